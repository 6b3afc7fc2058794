//! The load: a mail client that signs in, transfers and leaves.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::ideal;
use super::tokens::token;
use super::wire::{Wire, plain};

/// The one account.
pub const USER: &str = "alice@example.com";

/// Its local password.
pub const PASSWORD: &str = "bench-password";

/// How much is written at once in bulk, in bytes.
const PIECE_LEN: usize = 65_536;

/// What a client says to sign in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SignIn {
    /// A password, by LOGIN or AUTH PLAIN: the proxy rewrites it.
    Password,
    /// XOAUTH2, which is for the upstream itself.
    Xoauth2,
}

/// Where clients go, and how they speak there.
#[derive(Clone)]
pub struct Door {
    pub imap: u16,
    pub submission: u16,
    pub sign_in: SignIn,
    /// With what a client opens TLS itself.
    pub tls: Option<TlsConnector>,
    /// Whether the one at `submission` is begun in clear.
    pub starttls: bool,
}

/// One IMAP session that is signed in.
pub struct Imap {
    wire: Wire,
}

impl Imap {
    /// Connects and signs in. `two_steps` of SASL are taken where the upstream wants them.
    pub async fn sign_in(door: &Door, steps: Steps) -> Self {
        let mut wire = connect(door.imap, door.tls.as_ref()).await;
        expect(&mut wire, "* OK").await;
        match (door.sign_in, steps) {
            (SignIn::Password, _) => {
                wire.say(&format!("a LOGIN {USER} {PASSWORD}")).await.unwrap();
            }
            (SignIn::Xoauth2, Steps::One) => {
                wire.say(&format!("a AUTHENTICATE XOAUTH2 {}", response())).await.unwrap();
            }
            (SignIn::Xoauth2, Steps::Two) => {
                wire.say("a AUTHENTICATE XOAUTH2").await.unwrap();
                expect(&mut wire, "+").await;
                wire.say(&response()).await.unwrap();
            }
        }
        expect(&mut wire, "a OK").await;
        Self { wire }
    }

    /// Asks and hears the answer.
    pub async fn ping(&mut self) {
        self.wire.say("p NOOP").await.unwrap();
        expect(&mut self.wire, "p OK").await;
    }

    /// Fetches `len` bytes.
    pub async fn download(mut self, len: usize) -> Self {
        self.wire.say(&format!("b DOWNLOAD {len}")).await.unwrap();
        assert!(self.wire.discard(len).await.unwrap(), "the connection ended");
        expect(&mut self.wire, "b OK").await;
        self
    }

    /// Sends `len` bytes.
    pub async fn upload(mut self, len: usize) -> Self {
        self.wire.say(&format!("b UPLOAD {len}")).await.unwrap();
        let piece = vec![b'x'; PIECE_LEN];
        let mut left = len;
        while left > 0 {
            let part = left.min(PIECE_LEN);
            self.wire.stream.write_all(&piece[..part]).await.unwrap();
            left -= part;
        }
        self.wire.stream.flush().await.unwrap();
        expect(&mut self.wire, "b OK").await;
        self
    }

    /// Signs out and closes.
    pub async fn logout(mut self) {
        self.wire.say("z LOGOUT").await.unwrap();
        expect(&mut self.wire, "z OK").await;
        close(self.wire).await;
    }
}

/// In how many steps IMAP signs in by XOAUTH2.
#[derive(Clone, Copy)]
pub enum Steps {
    /// With an initial response (SASL-IR).
    One,
    /// The response after `+`.
    Two,
}

/// One submission session that is signed in.
pub struct Submission {
    wire: Wire,
}

impl Submission {
    /// Connects and signs in.
    pub async fn sign_in(door: &Door) -> Self {
        let mut wire = match (&door.tls, door.starttls) {
            (Some(tls), true) => starttls(door.submission, tls).await,
            (tls, _) => connect(door.submission, tls.as_ref()).await,
        };
        if !door.starttls || door.tls.is_none() {
            reply(&mut wire, "220").await;
        }
        wire.say("EHLO client").await.unwrap();
        reply(&mut wire, "250").await;
        match door.sign_in {
            SignIn::Password => {
                let message = STANDARD.encode(format!("\0{USER}\0{PASSWORD}"));
                wire.say(&format!("AUTH PLAIN {message}")).await.unwrap();
            }
            // Longer than the 512 bytes of a command line, so in a step of its own (RFC 4954 section 4).
            SignIn::Xoauth2 => {
                wire.say("AUTH XOAUTH2").await.unwrap();
                reply(&mut wire, "334").await;
                wire.say(&response()).await.unwrap();
            }
        }
        reply(&mut wire, "235").await;
        Self { wire }
    }

    /// Sends one message of `len` bytes.
    pub async fn deliver(&mut self, len: usize) {
        let wire = &mut self.wire;
        for (command, code) in [
            (format!("MAIL FROM:<{USER}>"), "250"),
            ("RCPT TO:<bob@example.com>".to_owned(), "250"),
            ("DATA".to_owned(), "354"),
        ] {
            wire.say(&command).await.unwrap();
            reply(wire, code).await;
        }
        let head = format!("From: {USER}\r\nTo: bob@example.com\r\nSubject: bench\r\n\r\n");
        let line = format!("{}\r\n", "x".repeat(76));
        let mut message = head;
        while message.len() < len {
            message.push_str(&line);
        }
        message.push('.');
        wire.say(&message).await.unwrap();
        reply(wire, "250").await;
    }

    /// Signs out and closes.
    pub async fn quit(mut self) {
        self.wire.say("QUIT").await.unwrap();
        reply(&mut self.wire, "221").await;
        close(self.wire).await;
    }
}

async fn connect(port: u16, tls: Option<&TlsConnector>) -> Wire {
    let stream = dial(port).await;
    match tls {
        Some(tls) => {
            Wire::new(Box::new(tls.connect(ideal::name(), stream).await.expect("TLS comes up")))
        }
        None => plain(stream),
    }
}

async fn dial(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("somebody listens");
    stream.set_nodelay(true).unwrap();
    stream
}

async fn starttls(port: u16, tls: &TlsConnector) -> Wire {
    let mut wire = plain(dial(port).await);
    reply(&mut wire, "220").await;
    wire.say("EHLO client").await.unwrap();
    reply(&mut wire, "250").await;
    wire.say("STARTTLS").await.unwrap();
    reply(&mut wire, "220").await;
    let stream = tls.connect(ideal::name(), wire.stream.into_inner()).await;
    Wire::new(Box::new(stream.expect("TLS comes up")))
}

/// XOAUTH2's initial response.
fn response() -> String {
    STANDARD.encode(format!("user={USER}\x01auth=Bearer {}\x01\x01", token()))
}

async fn expect(wire: &mut Wire, start: &str) -> String {
    loop {
        let line = wire.line().await.unwrap();
        let line = line.unwrap_or_else(|| panic!("no {start:?} before the end"));
        if line.starts_with(start) {
            return line;
        }
        assert!(line.starts_with("* "), "{line:?} instead of {start:?}");
    }
}

/// Hears one reply of SMTP to its last line.
async fn reply(wire: &mut Wire, code: &str) {
    loop {
        let line = wire.line().await.unwrap();
        let line = line.unwrap_or_else(|| panic!("no {code} before the end"));
        assert!(line.starts_with(code), "{line:?} instead of {code}");
        if line.as_bytes().get(3) != Some(&b'-') {
            return;
        }
    }
}

async fn close(mut wire: Wire) {
    // A peer that has closed already is no failure.
    let _ = wire.stream.shutdown().await;
    let _ = wire.stream.read_to_end(&mut Vec::new()).await;
}
