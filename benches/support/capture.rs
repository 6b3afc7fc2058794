//! What is seen on the loopback interface of how soon a proxy dials.

use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

/// Watches packets; only root may.
const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/support/capture.py");

/// A watch over the sessions of one proxy.
pub struct Capture {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Capture {
    /// Watches from now on.
    pub fn start(proxy: u16, upstream: u16) -> Self {
        let mut process = Command::new("python3")
            .args(["-B", PROGRAM, &proxy.to_string(), &upstream.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 is installed");
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let first = lines.next().expect("root watches packets").unwrap();
        assert_eq!(first, "ready");
        Self { process, lines }
    }

    /// The microseconds from the last byte of each sign-in to the SYN.
    pub fn end(mut self) -> Vec<f64> {
        drop(self.process.stdin.take());
        let waited = self.lines.map(|line| line.unwrap().parse().unwrap()).collect();
        assert!(self.process.wait().unwrap().success());
        waited
    }
}

/// Whether this program may watch packets.
pub fn is_possible() -> bool {
    rustix::process::geteuid().is_root()
}
