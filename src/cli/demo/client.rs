//! The demo's old client: knows SMTP, IMAP and a password, and has never heard of OAuth.

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{ACCOUNT, PASSWORD, Result};

/// What is sent: a line with a leading dot and one that is no ASCII are where relays go wrong.
pub(super) const MESSAGE: &[u8] = "From: alice@example.com\r\nTo: alice@example.com\r\n\
    Subject: Hello from an old client\r\nMIME-Version: 1.0\r\n\
    Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
    This was sent with a password.\r\n.hidden is a line with a leading dot.\r\nGrüße\r\n"
    .as_bytes();

/// How long a reply may take.
const REPLY_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest line and largest message taken, in bytes. The relay is ours; this bounds a mistake.
const LINE_LEN_MAX: u64 = 65_536;
const MESSAGE_LEN_MAX: usize = 1 << 20;

/// What came back.
pub(super) struct Heard {
    /// What was said, `C: ` and `S: ` before each line.
    pub(super) transcript: Vec<String>,
    /// The message fetched.
    pub(super) message: Vec<u8>,
}

/// Sends the message with AUTH PLAIN; gives what was said.
pub(super) async fn send(address: SocketAddr) -> Result<Vec<String>> {
    let mut session = Session::connect(address).await?;
    session.until("220 ").await?;
    session.ask("EHLO old-client.example", "250 ").await?;
    let plain = STANDARD.encode(format!("\0{ACCOUNT}\0{PASSWORD}"));
    session.ask(&format!("AUTH PLAIN {plain}"), "235").await?;
    session.ask(&format!("MAIL FROM:<{ACCOUNT}>"), "250").await?;
    session.ask(&format!("RCPT TO:<{ACCOUNT}>"), "250").await?;
    session.ask("DATA", "354").await?;
    session.note(&format!("C: <message, {} bytes>", MESSAGE.len()));
    let text = String::from_utf8_lossy(MESSAGE).replace("\r\n.", "\r\n..");
    session.write(format!("{text}.\r\n").as_bytes()).await?;
    session.until("250 ").await?;
    session.ask("QUIT", "221").await?;
    Ok(session.transcript)
}

/// Fetches the last message with IMAP LOGIN.
pub(super) async fn fetch(address: SocketAddr) -> Result<Heard> {
    let mut session = Session::connect(address).await?;
    session.until("* OK").await?;
    session.ask(&format!("a1 LOGIN {ACCOUNT} {PASSWORD}"), "a1 OK").await?;
    session.ask("a2 SELECT INBOX", "a2 OK").await?;
    session.say("a3 FETCH * BODY[]").await?;
    let start = session.line().await?;
    let (start, len) = start.rsplit_once('{').ok_or("no message came back")?;
    let len = len.strip_suffix('}').and_then(|len| len.parse().ok());
    let len: usize = len.filter(|len| *len <= MESSAGE_LEN_MAX).ok_or("no message came back")?;
    let mut message = vec![0; len];
    let read = timeout(REPLY_TIMEOUT, session.stream.read_exact(&mut message)).await;
    read.map_err(|_| "the message does not come")?.map_err(|error| broken(&error))?;
    let end = session.line().await?;
    session.note(&format!("S: {start}<{len} bytes>{end}"));
    session.until("a3 OK").await?;
    session.ask("a4 LOGOUT", "a4 OK").await?;
    Ok(Heard { transcript: session.transcript, message })
}

struct Session {
    stream: BufReader<TcpStream>,
    transcript: Vec<String>,
}

impl Session {
    async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await.map_err(|error| broken(&error))?;
        Ok(Self { stream: BufReader::new(stream), transcript: Vec::new() })
    }

    fn note(&mut self, line: &str) {
        self.transcript.push(line.to_owned());
    }

    async fn ask(&mut self, line: &str, end: &str) -> Result<()> {
        self.say(line).await?;
        self.until(end).await
    }

    async fn say(&mut self, line: &str) -> Result<()> {
        self.note(&format!("C: {line}"));
        self.write(format!("{line}\r\n").as_bytes()).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await.map_err(|error| broken(&error))
    }

    /// Reads lines up to the first that begins with `end`.
    async fn until(&mut self, end: &str) -> Result<()> {
        loop {
            let line = self.line().await?;
            self.note(&format!("S: {line}"));
            if line.starts_with(end) {
                return Ok(());
            }
            if line.is_empty() || line.starts_with(['4', '5']) || line.contains(" NO ") {
                return Err(format!("mailbearer was expected to say {end:?} and said {line:?}"));
            }
        }
    }

    /// Reads one line, without its end; empty at the end of the stream.
    async fn line(&mut self) -> Result<String> {
        let mut line = Vec::new();
        let mut limited = (&mut self.stream).take(LINE_LEN_MAX);
        let read = timeout(REPLY_TIMEOUT, limited.read_until(b'\n', &mut line)).await;
        read.map_err(|_| "no reply comes")?.map_err(|error| broken(&error))?;
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }
}

fn broken(error: &std::io::Error) -> String {
    format!("the connection to mailbearer broke ({error})")
}
