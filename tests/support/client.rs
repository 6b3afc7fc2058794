//! A legacy client that says exactly what a test wants.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a test waits for a reply before it fails: far longer than any takes.
const PATIENCE: Duration = Duration::from_secs(40);

/// One connection.
pub struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects without reading the greeting.
    pub async fn connect(address: SocketAddr) -> Self {
        Self { stream: BufReader::new(TcpStream::connect(address).await.unwrap()) }
    }

    /// Whether somebody listens there.
    pub async fn connects(address: SocketAddr) -> bool {
        TcpStream::connect(address).await.is_ok()
    }

    /// Sends a line.
    pub async fn send(&mut self, line: &str) {
        self.send_bytes(format!("{line}\r\n").as_bytes()).await;
    }

    /// Sends bytes as they are.
    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Closes the client's side.
    pub async fn close(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// The next line, without its end; empty at the end of the connection.
    pub async fn line(&mut self) -> String {
        let mut line = Vec::new();
        timeout(PATIENCE, self.stream.read_until(b'\n', &mut line)).await.unwrap().unwrap();
        let line = String::from_utf8(line).unwrap();
        line.trim_end_matches(['\r', '\n']).to_owned()
    }

    /// The next line, which must begin with `start`.
    pub async fn expect(&mut self, start: &str) -> String {
        let line = self.line().await;
        assert!(line.starts_with(start), "expected {start:?}, heard {line:?}");
        line
    }

    /// Lines up to the first that begins with `start`.
    pub async fn expect_after(&mut self, start: &str) -> Vec<String> {
        let mut lines = Vec::new();
        while !lines.last().is_some_and(|line: &String| line.starts_with(start)) {
            let line = self.line().await;
            assert!(!line.is_empty(), "no {start:?} before the end, but {lines:?}");
            lines.push(line);
        }
        lines
    }

    /// Sends a line and expects a reply.
    pub async fn ask(&mut self, line: &str, start: &str) -> String {
        self.send(line).await;
        self.expect(start).await
    }

    /// Exactly so many bytes.
    pub async fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        timeout(PATIENCE, self.stream.read_exact(&mut bytes)).await.unwrap().unwrap();
        bytes
    }

    /// Expects that nothing more comes, and that the connection is closed in order.
    pub async fn expect_end(&mut self) {
        let mut rest = Vec::new();
        timeout(PATIENCE, self.stream.read_to_end(&mut rest)).await.unwrap().unwrap();
        assert_eq!(String::from_utf8_lossy(&rest), "", "expected the end");
        // Elsewhere than on Linux, a reset throws away what was not read yet.
        let error = self.stream.get_ref().take_error().unwrap();
        assert!(error.is_none(), "the connection was reset: {error:?}");
    }
}
