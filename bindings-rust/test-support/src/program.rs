//! A process whose output is awaited piece by piece.

use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use regex::Regex;

/// An acknowledgement may take a minute.
const PATIENCE: Duration = Duration::from_secs(90);

/// A process under test.
pub struct Program {
    process: Child,
    input: Option<ChildStdin>,
    output: mpsc::Receiver<String>,
    /// What was printed since the piece that was waited for last.
    unread: String,
}

impl Program {
    /// Starts it with a pipe to its standard input.
    pub fn start(program: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut process = Command::new(program)
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        let input = process.stdin.take();
        let mut stdout = process.stdout.take().unwrap();
        let (sender, output) = mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            let mut rest = Vec::new();
            while let Ok(count @ 1..) = stdout.read(&mut bytes) {
                rest.extend_from_slice(&bytes[..count]);
                let whole = rest.iter().rposition(|&byte| byte == b'\n').map_or(0, |place| place + 1);
                let text = String::from_utf8(rest.drain(..whole).collect()).unwrap();
                if sender.send(text).is_err() {
                    return;
                }
            }
        });
        Self { process, input, output, unread: String::new() }
    }

    /// Types a line.
    pub fn write_line(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Waits for a pattern in what has been printed since the last one. Gives its first group, or all of it.
    pub fn until(&mut self, pattern: &str) -> String {
        let regex = Regex::new(pattern).unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = regex.captures(&self.unread) {
                let text = found.get(1).or(found.get(0)).unwrap().as_str().to_owned();
                let end = found.get(0).unwrap().end();
                self.unread.drain(..end);
                return text;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(text) => self.unread.push_str(&text),
                Err(_) => panic!("{pattern:?} did not come; unread output:\n{}", self.unread),
            }
        }
    }

    /// Ends the input and waits for the end of the process.
    pub fn end(&mut self) -> ExitStatus {
        self.input = None;
        self.process.wait().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It has ended, if this fails.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
