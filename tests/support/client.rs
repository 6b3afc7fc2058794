//! A legacy client that says exactly what a test wants, in clear or under TLS.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::yield_now;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::certificates::HERE;

/// How long a test waits for a reply before it fails: far longer than any takes.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// Tries until `attempt` gives something. Where none does, `promise` is what was broken.
///
/// A place, or a descriptor, is free once the relay has seen a close, which may take a moment.
pub async fn until<T>(promise: &str, mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
    let tried = async {
        loop {
            if let Some(got) = attempt().await {
                return got;
            }
            // An attempt may never have waited, and then nobody else has had a turn.
            yield_now().await;
        }
    };
    timeout(PATIENCE, tried).await.unwrap_or_else(|_| panic!("{promise}, but it did not"))
}

/// One connection.
pub struct Client<S = TcpStream> {
    stream: BufReader<S>,
}

/// One connection under TLS.
pub type TlsClient = Client<TlsStream<TcpStream>>;

/// One connection of which it does not matter whether it is under TLS.
pub type AnyClient = Client<Box<dyn Stream>>;

/// A TCP connection, or TLS on it.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Client {
    /// Connects without reading the greeting.
    pub async fn connect(address: SocketAddr) -> Self {
        Self { stream: BufReader::new(TcpStream::connect(address).await.unwrap()) }
    }

    /// The same from this address of the machine.
    pub async fn connect_from(source: IpAddr, address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(source, 0)).unwrap();
        Self { stream: BufReader::new(socket.connect(address).await.unwrap()) }
    }

    /// The same with as little room for what it is sent as the system allows.
    pub async fn connect_with_no_room(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(1).unwrap();
        Self { stream: BufReader::new(socket.connect(address).await.unwrap()) }
    }

    /// Whether somebody listens there.
    pub async fn connects(address: SocketAddr) -> bool {
        TcpStream::connect(address).await.is_ok()
    }

    /// Goes on under TLS with a server that is [`HERE`].
    pub async fn start_tls(self, connector: &TlsConnector) -> TlsClient {
        let stream = self.handshake(connector).await.map_err(|(error, _)| error);
        Client { stream: BufReader::new(stream.expect("a handshake")) }
    }

    /// Begins a handshake that fails, and goes on in clear.
    pub async fn fail_to_start_tls(self, connector: &TlsConnector) -> Self {
        let (_, stream) = self.handshake(connector).await.expect_err("a handshake that fails");
        Self { stream: BufReader::new(stream) }
    }

    async fn handshake(
        self,
        connector: &TlsConnector,
    ) -> Result<TlsStream<TcpStream>, (std::io::Error, TcpStream)> {
        assert!(self.stream.buffer().is_empty(), "bytes in clear are left");
        let name = ServerName::try_from(HERE).unwrap();
        let started = connector.connect(name, self.stream.into_inner()).into_fallible();
        timeout(PATIENCE, started).await.expect("the handshake ends")
    }

    /// Resets the connection.
    pub fn reset(self) {
        let stream = self.stream.into_inner();
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Expects that nothing more comes, and that the connection is closed in order.
    pub async fn expect_end(&mut self) {
        assert_eq!(String::from_utf8_lossy(&self.rest().await), "", "expected the end");
        // Elsewhere than on Linux, a reset throws away what was not read yet.
        let error = self.stream.get_ref().take_error().unwrap();
        assert!(error.is_none(), "the connection was reset: {error:?}");
    }

    /// Everything up to the end of the connection, however that comes.
    pub async fn rest_until_it_breaks(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // What was read before a reset is kept.
        let _ = timeout(PATIENCE, self.stream.read_to_end(&mut rest)).await.unwrap();
        rest
    }
}

impl TlsClient {
    /// Resets the connection, without a word of TLS.
    pub fn reset(self) {
        let (stream, _) = self.stream.into_inner().into_inner();
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

impl<S: Stream + 'static> Client<S> {
    /// The same of whatever kind.
    pub fn of_any_kind(self) -> AnyClient {
        assert!(self.stream.buffer().is_empty(), "bytes are left");
        Client { stream: BufReader::new(Box::new(self.stream.into_inner())) }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// A client at the end of `stream`.
    pub fn over(stream: S) -> Self {
        Self { stream: BufReader::new(stream) }
    }

    /// Sends a line.
    pub async fn send(&mut self, line: &str) {
        self.send_bytes(format!("{line}\r\n").as_bytes()).await;
    }

    /// Sends bytes as they are.
    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// Sends bytes to somebody who may have closed; gives whether they were all taken.
    pub async fn try_send(&mut self, bytes: &[u8]) -> bool {
        timeout(PATIENCE, self.stream.write_all(bytes)).await.unwrap().is_ok()
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

    /// Everything up to the end of the connection, which is closed in order.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        timeout(PATIENCE, self.stream.read_to_end(&mut rest)).await.unwrap().unwrap();
        rest
    }
}
