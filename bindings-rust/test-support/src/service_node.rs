//! The real Waku service node (waku-node/ in the repository), where its binary is named.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

/// Ends when it is dropped.
pub struct ServiceNode {
    process: Child,
    /// Multiaddr over TCP.
    pub tcp: String,
    /// Multiaddr over websockets.
    pub websocket: String,
}

impl ServiceNode {
    /// `None`, with a word about it, where `WAKU_NODE_BIN` names no binary.
    pub fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// The same with flags of the node.
    pub fn start_with(arguments: &[&str]) -> Option<Self> {
        let Some(binary) = std::env::var_os("WAKU_NODE_BIN") else {
            eprintln!("skipped: set WAKU_NODE_BIN to the service node's binary (see waku-node/README.md)");
            return None;
        };
        let mut process = Command::new(&binary)
            .args(["--exit-on-stdin-close", "--log-level", "error"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", binary.display()));
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
        let address = |name: &str| ready[name].as_str().unwrap().to_owned();
        Some(Self { process, tcp: address("tcp"), websocket: address("websocket") })
    }

    /// It stands still, as if its machine slept.
    pub fn pause(&self) {
        self.signal("STOP");
    }

    /// It goes on.
    pub fn resume(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.process.id().to_string()]).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for ServiceNode {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}
