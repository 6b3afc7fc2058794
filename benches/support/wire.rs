//! A byte stream with lines, under TLS or not, and the listener of the roles.

use std::io;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// How much is read at once: four TLS records. An idle session touches one page of it.
const READ_LEN: usize = 65_536;

/// Whatever bytes come through.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// One end of a connection.
pub struct Wire {
    pub stream: BufReader<Box<dyn Stream>>,
}

impl Wire {
    pub fn new(stream: Box<dyn Stream>) -> Self {
        Self { stream: BufReader::with_capacity(READ_LEN, stream) }
    }

    /// Says one line, or several with CRLF between them.
    pub async fn say(&mut self, text: &str) -> io::Result<()> {
        self.stream.write_all(format!("{text}\r\n").as_bytes()).await?;
        self.stream.flush().await
    }

    /// The next line with its end, unless the peer has ended.
    pub async fn line(&mut self) -> io::Result<Option<String>> {
        let mut line = String::new();
        Ok((self.stream.read_line(&mut line).await? > 0).then_some(line))
    }

    /// Takes `left` bytes and forgets them; false when the peer ends before.
    pub async fn discard(&mut self, mut left: usize) -> io::Result<bool> {
        while left > 0 {
            let len = self.stream.fill_buf().await?.len().min(left);
            if len == 0 {
                return Ok(false);
            }
            self.stream.consume(len);
            left -= len;
        }
        Ok(true)
    }
}

/// A connection in clear.
pub fn plain(stream: TcpStream) -> Wire {
    Wire::new(Box::new(stream))
}

/// Listens on a port that it prints, and serves each connection in a task of its own.
pub fn listen<F>(serve: impl Fn(TcpStream) -> F + Send + 'static)
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    listener.set_nonblocking(true).unwrap();
    let listener = TcpListener::from_std(listener).unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            // A peer that breaks off is nobody's fault here.
            tokio::spawn(serve(stream));
        }
    });
}
