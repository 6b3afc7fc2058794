//! The load: an IMAP client that signs in, transfers and leaves.

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::relay::PASSWORD;

const PIECE_LEN: usize = 65_536;

/// What the client says to sign in.
#[derive(Clone, Copy)]
pub(crate) enum SignIn {
    /// LOGIN, for mailbearer to rewrite.
    Login,
    /// AUTHENTICATE XOAUTH2 with a token of the same length, for the upstream itself.
    Xoauth2,
}

/// One signed-in session.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects and signs in.
    pub(crate) async fn sign_in(port: u16, sign_in: SignIn) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut client = Self { stream: BufReader::with_capacity(PIECE_LEN, stream) };
        client.expect("* OK").await;
        let command = match sign_in {
            SignIn::Login => format!("a LOGIN alice@example.com {PASSWORD}\r\n"),
            SignIn::Xoauth2 => format!("a AUTHENTICATE XOAUTH2 {}\r\n", "t".repeat(1_700)),
        };
        client.stream.write_all(command.as_bytes()).await.unwrap();
        client.expect("a OK").await;
        client
    }

    /// Fetches `len` bytes.
    pub(crate) async fn download(mut self, len: u64) -> Self {
        self.stream.write_all(format!("b DOWNLOAD {len}\r\n").as_bytes()).await.unwrap();
        let mut left = usize::try_from(len).unwrap();
        while left > 0 {
            let got = self.stream.fill_buf().await.unwrap().len().min(left);
            assert!(got > 0, "the connection ended");
            self.stream.consume(got);
            left -= got;
        }
        self.expect("b OK").await;
        self
    }

    /// Sends `len` bytes.
    pub(crate) async fn upload(mut self, len: u64) -> Self {
        self.stream.write_all(format!("b UPLOAD {len}\r\n").as_bytes()).await.unwrap();
        let piece = vec![b'x'; PIECE_LEN];
        let mut left = usize::try_from(len).unwrap();
        while left > 0 {
            let part = left.min(PIECE_LEN);
            self.stream.write_all(&piece[..part]).await.unwrap();
            left -= part;
        }
        self.expect("b OK").await;
        self
    }

    /// Signs out and closes.
    pub(crate) async fn logout(mut self) {
        self.stream.write_all(b"z LOGOUT\r\n").await.unwrap();
        self.expect("z OK").await;
        self.stream.shutdown().await.unwrap();
        let _ = self.stream.read_to_end(&mut Vec::new()).await;
    }

    async fn expect(&mut self, start: &str) {
        let mut line = String::new();
        loop {
            line.clear();
            self.stream.read_line(&mut line).await.unwrap();
            assert!(!line.is_empty(), "no {start:?} before the end");
            if line.starts_with(start) {
                return;
            }
        }
    }
}
