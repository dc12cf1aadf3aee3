//! The real Waku service node (waku-node/ in the repository), where its binary is named.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

const PLAIN: &str = "WAKU_NODE_BIN";
const WITH_RLN: &str = "WAKU_NODE_RLN_BIN";

/// Ends when it is dropped.
pub struct ServiceNode {
    process: Child,
    log: File,
    /// Multiaddr over TCP.
    pub tcp: String,
    /// Multiaddr over websockets.
    pub websocket: String,
}

impl ServiceNode {
    /// Panics where `WAKU_NODE_BIN` names no binary: a test that needs it says so with `#[ignore]`, and does not pass without.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with flags of the node.
    pub fn start_with(arguments: &[&str]) -> Self {
        Self::run(&binary(PLAIN), arguments)
    }

    /// A node that demands proofs of a new group, whose files it puts into the folder: group.json, and a member-N.json for each of
    /// the members. Panics where `WAKU_NODE_RLN_BIN` names no binary.
    pub fn start_rln(folder: &Path, members: u32, messages_per_epoch: u32, epoch_seconds: u32) -> Self {
        let binary = binary(WITH_RLN);
        let [members, limit, epoch] = [members, messages_per_epoch, epoch_seconds].map(|number| number.to_string());
        let made = Command::new(&binary)
            .args(["rln-group", "--members", &members, "--limit", &limit, "--epoch", &epoch, "--out"])
            .arg(folder)
            .output()
            .unwrap_or_else(|error| panic!("{binary}: {error}"));
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let group = folder.join("group.json");
        Self::run(&binary, &["--log-level", "info", "--rln-group", group.to_str().unwrap()])
    }

    fn run(binary: &str, arguments: &[&str]) -> Self {
        let log = tempfile::tempfile().unwrap();
        let mut process = Command::new(binary)
            .args(["--exit-on-stdin-close", "--log-level", "error"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log.try_clone().unwrap())
            .spawn()
            .unwrap_or_else(|error| panic!("{binary}: {error}"));
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let mut node = Self { process, log, tcp: String::new(), websocket: String::new() };
        let ready: serde_json::Value =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}\n{}", node.log()));
        [node.tcp, node.websocket] = ["tcp", "websocket"].map(|name| ready[name].as_str().unwrap().to_owned());
        node
    }

    /// It stands still, as if its machine slept.
    pub fn pause(&self) {
        self.signal("STOP");
    }

    /// It goes on.
    pub fn resume(&self) {
        self.signal("CONT");
    }

    /// Stops it in order, and gives all that it has logged.
    pub fn stop(mut self) -> String {
        self.signal("TERM");
        assert!(self.process.wait().unwrap().success(), "{}", self.log());
        self.log()
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.process.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    fn log(&mut self) -> String {
        let mut text = String::new();
        self.log.rewind().unwrap();
        self.log.read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for ServiceNode {
    fn drop(&mut self) {
        // It has been stopped, if this fails.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn binary(variable: &str) -> String {
    std::env::var(variable)
        .unwrap_or_else(|_| panic!("set {variable} to the service node's binary (see waku-node/README.md)"))
}

#[cfg(test)]
mod tests {
    #[test]
    #[should_panic(expected = "set CHATSDK_NO_SUCH_NODE to the service node's binary")]
    fn s4_a_test_that_needs_a_node_does_not_pass_without_one() {
        super::binary("CHATSDK_NO_SUCH_NODE");
    }
}
