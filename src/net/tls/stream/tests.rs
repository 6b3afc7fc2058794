//! What a stream under TLS promises, against rustls' buffered server on in-memory pipes.

use std::time::Duration;

use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, server};

use super::*;
use crate::net::props::{Authority, HOST, put};
use crate::net::tls::server::Shown;

mod broken;

const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// A server, and who trusts it.
struct Server {
    acceptor: TlsAcceptor,
    authority: Authority,
}

impl Server {
    fn new() -> Self {
        let authority = Authority::new();
        let dir = tempfile::tempdir().unwrap();
        let files = put(dir.path(), &authority.issue(HOST));
        Self { acceptor: Shown::read(&files).unwrap().acceptor(), authority }
    }

    /// Meets a client of `version` whose bytes come by `near`.
    async fn meet<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        version: &'static SupportedProtocolVersion,
        near: S,
        far: DuplexStream,
    ) -> (TlsStream<S>, server::TlsStream<DuplexStream>) {
        let config = self.authority.client(&[version]);
        let (near, far) =
            tokio::join!(TlsStream::connect(config, name(), near), self.acceptor.accept(far));
        (near.unwrap(), far.unwrap())
    }
}

fn name() -> ServerName<'static> {
    ServerName::try_from(HOST).unwrap()
}

/// Bytes that repeat at no power of two.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

/// Sends `said` while it hears so many bytes; gives those.
async fn exchange<S: AsyncRead + AsyncWrite>(stream: S, said: &[u8], len: usize) -> Vec<u8> {
    let (mut read, mut write) = tokio::io::split(stream);
    let mut heard = vec![0; len];
    let say = async {
        write.write_all(said).await.unwrap();
        write.flush().await.unwrap();
    };
    tokio::join!(say, async { read.read_exact(&mut heard).await.unwrap() });
    heard
}

/// Counts reads and writes, damages the byte `at` of what is read, and takes so many writes.
struct Pipe {
    inner: DuplexStream,
    reads: usize,
    writes: usize,
    damage_at: Option<usize>,
    writes_max: usize,
    beyond: Beyond,
}

/// What becomes of the writes that a [`Pipe`] does not take.
enum Beyond {
    Lost,
    Blocked,
    Broken,
}

impl Pipe {
    fn new(inner: DuplexStream) -> Self {
        let (writes_max, beyond) = (usize::MAX, Beyond::Broken);
        Self { inner, reads: 0, writes: 0, damage_at: None, writes_max, beyond }
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        self.reads += 1;
        let read = &mut buf.filled_mut()[before..];
        if let Some(at) = self.damage_at {
            if let Some(byte) = read.get_mut(at) {
                *byte ^= 0x55;
            }
            self.damage_at = at.checked_sub(read.len());
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.writes += 1;
        if self.writes > self.writes_max {
            return match self.beyond {
                Beyond::Lost => Poll::Ready(Ok(bytes.len())),
                Beyond::Blocked => Poll::Pending,
                Beyond::Broken => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            };
        }
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn bytes_pass_both_ways_at_once_however_narrow_the_pipe() {
    let server = Server::new();
    for version in VERSIONS {
        for (pipe_len, len) in [(7, 20_000), (777, 100_000), (100_000, 300_000)] {
            let (near, far) = duplex(pipe_len);
            let (up, down) = (pattern(len), pattern(len / 2 + 1));
            let config = server.authority.client(&[version]);
            let client = async {
                let near = TlsStream::connect(config, name(), near).await.unwrap();
                exchange(near, &up, down.len()).await
            };
            let far = async {
                let far = server.acceptor.accept(far).await.unwrap();
                exchange(far, &down, up.len()).await
            };
            let (got_down, got_up) = tokio::join!(client, far);
            assert!(got_up == up && got_down == down, "{version:?}, {pipe_len}");
        }
    }
}

#[tokio::test]
async fn a_stream_that_waits_keeps_no_buffer() {
    let server = Server::new();
    for version in VERSIONS {
        let (near, far) = duplex(1_000);
        let (mut near, mut far) = server.meet(version, near, far).await;
        let (sent, mut got) = (pattern(100_000), vec![0; 100_000]);
        let down = async {
            far.write_all(&sent).await.unwrap();
            far.flush().await.unwrap();
        };
        tokio::join!(down, async { near.read_exact(&mut got).await.unwrap() });
        let up = async {
            near.write_all(&sent).await.unwrap();
            near.flush().await.unwrap();
        };
        tokio::join!(up, async { far.read_exact(&mut got).await.unwrap() });
        let Records { begun, unsent, .. } = &near.records;
        assert_eq!((begun.capacity(), unsent.capacity(), near.plain.len()), (0, 0, 0));
    }
}

#[tokio::test]
async fn a_full_buffer_is_written_at_once_and_read_at_once() {
    let server = Server::new();
    for version in VERSIONS {
        let (near, far) = duplex(200_000);
        let (mut near, mut far) = server.meet(version, Pipe::new(near), far).await;
        let (sent, mut got) = (pattern(READ_LEN), vec![0; READ_LEN]);
        let writes = near.stream.writes;
        assert_eq!(near.write(&sent).await.unwrap(), READ_LEN);
        assert_eq!(near.stream.writes, writes + 1);
        far.read_exact(&mut got).await.unwrap();
        assert!(got == sent);
        // With the tickets before it.
        far.write_all(b"* OK\r\n").await.unwrap();
        far.flush().await.unwrap();
        near.read_exact(&mut [0; 6]).await.unwrap();
        far.write_all(&sent).await.unwrap();
        far.flush().await.unwrap();
        let reads = near.stream.reads;
        assert_eq!(near.read(&mut got).await.unwrap(), READ_LEN);
        assert!(got == sent);
        assert_eq!(near.stream.reads, reads + 1);
    }
}

#[tokio::test]
async fn what_was_read_and_not_asked_for_comes_later() {
    let server = Server::new();
    let (near, far) = duplex(1_000);
    let (mut near, mut far) = server.meet(&TLS13, near, far).await;
    far.write_all(b"* 1 EXISTS\r\n").await.unwrap();
    let mut got = Vec::new();
    for _ in 0..4 {
        let mut piece = [0; 3];
        assert_eq!(near.read(&mut piece).await.unwrap(), 3);
        got.extend_from_slice(&piece);
    }
    assert_eq!(got, b"* 1 EXISTS\r\n");
}

#[tokio::test]
async fn what_nobody_has_asked_for_is_not_taken_from_the_system() {
    let server = Server::new();
    for version in VERSIONS {
        let (near, far) = duplex(200_000);
        let (mut near, mut far) = server.meet(version, near, far).await;
        let (sent, mut got) = (pattern(READ_LEN), vec![0; READ_LEN]);
        // With the tickets before it.
        far.write_all(b"* OK\r\n").await.unwrap();
        far.flush().await.unwrap();
        near.read_exact(&mut [0; 6]).await.unwrap();
        far.write_all(&sent).await.unwrap();
        far.flush().await.unwrap();
        near.read_exact(&mut got[..1]).await.unwrap();
        let Records { begun, .. } = &near.records;
        assert!(near.plain.len() + begun.len() <= RECORD_LEN + ADDED_LEN_MAX);
        near.read_exact(&mut got[1..]).await.unwrap();
        assert!(got == sent);
    }
}

#[tokio::test]
async fn a_server_that_renews_its_keys_gets_new_ones_and_is_understood() {
    let server = Server::new();
    let (near, far) = duplex(1_000);
    let (mut near, mut far) = server.meet(&TLS13, near, far).await;
    for _ in 0..3 {
        far.get_mut().1.refresh_traffic_keys().unwrap();
        far.write_all(b"* OK\r\n").await.unwrap();
        let mut heard = [0; 6];
        near.read_exact(&mut heard).await.unwrap();
        near.write_all(b"a NOOP\r\n").await.unwrap();
        near.flush().await.unwrap();
        let mut said = [0; 8];
        far.read_exact(&mut said).await.unwrap();
        assert_eq!((&heard, &said), (b"* OK\r\n", b"a NOOP\r\n"));
    }
}

#[tokio::test]
async fn an_end_is_told_from_a_connection_that_broke() {
    let server = Server::new();
    for version in VERSIONS {
        let (near, far) = duplex(1_000);
        let (mut near, mut far) = server.meet(version, near, far).await;
        far.write_all(b"221 bye\r\n").await.unwrap();
        far.shutdown().await.unwrap();
        let mut heard = String::new();
        near.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "221 bye\r\n");

        let (near, far) = duplex(1_000);
        let (mut near, mut far) = server.meet(version, near, far).await;
        far.write_all(b"221 bye\r\n").await.unwrap();
        far.flush().await.unwrap();
        drop(far);
        let mut heard = Vec::new();
        let error = near.read_to_end(&mut heard).await.unwrap_err();
        assert_eq!(
            (heard.as_slice(), error.kind()),
            (&b"221 bye\r\n"[..], io::ErrorKind::UnexpectedEof)
        );
    }
}

#[tokio::test]
async fn who_has_said_goodbye_still_hears_the_answer() {
    let server = Server::new();
    let (near, far) = duplex(1_000);
    let (mut near, mut far) = server.meet(&TLS13, near, far).await;
    near.write_all(b"QUIT\r\n").await.unwrap();
    near.shutdown().await.unwrap();
    let mut said = String::new();
    far.read_to_string(&mut said).await.unwrap();
    assert_eq!(said, "QUIT\r\n");
    far.write_all(b"221 bye\r\n").await.unwrap();
    far.shutdown().await.unwrap();
    let mut heard = String::new();
    near.read_to_string(&mut heard).await.unwrap();
    assert_eq!(heard, "221 bye\r\n");
}

#[tokio::test]
async fn a_server_that_is_not_trusted_is_told_so_and_hears_nothing_else() {
    let server = Server::new();
    for version in VERSIONS {
        let config = Authority::called("another").client(&[version]);
        let (near, far) = duplex(10_000);
        let (near, far) =
            tokio::join!(TlsStream::connect(config, name(), near), server.acceptor.accept(far));
        let (ours, theirs) = (near.unwrap_err(), far.unwrap_err());
        assert_eq!(ours.kind(), io::ErrorKind::InvalidData);
        assert!(ours.to_string().contains("invalid peer certificate"), "{ours}");
        assert!(theirs.to_string().contains("UnknownCA"), "{theirs}");
    }
}

#[tokio::test(start_paused = true)]
async fn damaged_bytes_end_it_and_never_pass() {
    // Beyond what a server says in the handshake, its tickets and its greeting.
    const LEN: usize = 2_600;
    const GREETING: &[u8] = b"* OK ready\r\n";

    let server = Server::new();
    for version in VERSIONS {
        let config = server.authority.client(&[version]);
        let mut ended = 0;
        for at in (0..LEN).step_by(17) {
            let (near, far) = duplex(10_000);
            let near = Pipe { damage_at: Some(at), ..Pipe::new(near) };
            let client = async {
                let mut near = TlsStream::connect(Arc::clone(&config), name(), near).await?;
                let mut heard = Vec::new();
                let read = near.read_to_end(&mut heard).await;
                // What is left to be done with a broken one must not go wrong either.
                let _ = near.write(b"a NOOP\r\n").await;
                let _ = near.shutdown().await;
                read.map(|_| heard)
            };
            let greeting = async {
                let mut far = server.acceptor.accept(far).await?;
                far.write_all(GREETING).await?;
                far.shutdown().await
            };
            let client = timeout(Duration::from_secs(9), client);
            let (heard, _) = tokio::join!(client, timeout(Duration::from_secs(8), greeting));
            match heard {
                Ok(Ok(heard)) => assert_eq!(heard, GREETING, "damaged at {at}"),
                Ok(Err(_)) | Err(_) => ended += 1,
            }
        }
        assert!(ended > 10, "{version:?}: {ended}");
    }
}
