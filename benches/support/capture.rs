//! What is seen on the loopback interface of how soon a proxy dials.

use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::LazyLock;

/// Watches packets; it takes Python 3, and root (CAP_NET_RAW).
const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/support/capture.py");

/// A watch over the sessions of one proxy.
pub struct Capture {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Capture {
    /// Watches from now on.
    pub fn start(proxy: u16, upstream: u16) -> Self {
        Self::try_start(proxy, upstream, Stdio::inherit()).expect("packets may be watched")
    }

    /// The same, or nothing where it cannot be; it complains to `stderr` then.
    fn try_start(proxy: u16, upstream: u16, stderr: Stdio) -> Option<Self> {
        let mut process = Command::new("python3")
            .args(["-B", PROGRAM, &proxy.to_string(), &upstream.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .ok()?;
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        if lines.next().is_none_or(|line| line.unwrap() != "ready") {
            process.wait().unwrap();
            return None;
        }
        Some(Self { process, lines })
    }

    /// The microseconds from the last byte of each sign-in to the SYN.
    pub fn end(mut self) -> Vec<f64> {
        drop(self.process.stdin.take());
        let waited = self.lines.map(|line| line.unwrap().parse().unwrap()).collect();
        assert!(self.process.wait().unwrap().success());
        waited
    }
}

/// Whether packets can be watched here, which is tried once.
pub fn is_possible() -> bool {
    static IS_POSSIBLE: LazyLock<bool> = LazyLock::new(|| {
        // No packet has port 0.
        let capture = Capture::try_start(0, 0, Stdio::null());
        capture.map(Capture::end).is_some()
    });
    *IS_POSSIBLE
}
