//! A conversation: one connection of the provider's client, with its lines in, replies out, the
//! script's cues between them, and everything on record.
//!
//! In:  lines that end in CRLF, of up to [`LINE_LEN_MAX`] bytes; counted bytes; raw bytes.
//! Out: replies, gathered until more input is needed, so that each goes out in one write.
//! The stand-in is strict, to show what a relay does to line ends: a bare LF ends no line.

use std::io;
use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use memchr::memmem;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::record::{Recorder, Speaker, hidden};
use super::script::{Action, Script, Step};
use super::sign_in::SignIn;
use crate::provider::Protocol;

/// Longest line, in bytes without CRLF: the longest access token, its user and its frame in base64
/// (`4 * (65,536 + 320 + 40) / 3`) and the command before it.
const LINE_LEN_MAX: usize = 90_000;

/// How much is read at once, in bytes: little while commands come, so that an idle connection costs
/// little, more with every read that is filled.
const READ_LEN: RangeInclusive<usize> = 2_048..=65_536;

/// How many bytes of replies may gather before they are sent.
const UNSENT_LEN_MAX: usize = 65_536;

/// What stands for a command's tag in a scripted reply.
const TAG_PLACEHOLDER: &str = "{tag}";

/// How a conversation ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// What is unsent is sent; then the connection is closed in order.
    Orderly,
    /// The connection is dropped: it is broken, or the script resets it.
    Abrupt,
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Abrupt
    }
}

/// What the script makes of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cue {
    /// It is carried out. What is said may be replaced.
    Act,
    /// It is answered already and not carried out.
    Skip,
    /// The token is refused.
    RefuseToken,
    /// It is carried out, and the token is good whatever it is.
    AcceptToken,
}

/// A TCP connection or TLS on it.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {
    fn tcp(&self) -> &TcpStream;
}

impl Stream for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Stream for TlsStream<Box<dyn Stream>> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0.tcp()
    }
}

/// One connection of a client.
pub(super) struct Conversation {
    stream: Box<dyn Stream>,
    protocol: Protocol,
    received: BytesMut,
    read_len: usize,
    unsent: BytesMut,
    recorder: Recorder,
    script: Script,
    voice: Voice,
    /// Somebody is signed in and said nothing yet.
    first_is_due: bool,
}

/// Whether replies are sent.
enum Voice {
    Own,
    /// With these bytes behind the first line.
    Then(Bytes),
    /// These bytes instead of the first.
    Scripted(Bytes),
    /// No more of them until something is read.
    Mute,
}

impl Conversation {
    /// Begins one on a new connection.
    pub(super) fn new(
        tcp: TcpStream,
        protocol: Protocol,
        recorder: Recorder,
        script: Script,
    ) -> Self {
        let (received, unsent) = Default::default();
        let (stream, read_len, voice) = (Box::new(tcp), *READ_LEN.start(), Voice::Own);
        let first_is_due = false;
        Self { stream, protocol, received, read_len, unsent, recorder, script, voice, first_is_due }
    }

    /// What is spoken.
    pub(super) fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Goes on under TLS. Bytes received in clear are thrown away (RFC 3207 section 4.2).
    pub(super) async fn start_tls(mut self, tls: &Arc<ServerConfig>) -> Result<Self, End> {
        self.flush().await?;
        if !self.received.is_empty() {
            let event = format!("{} bytes in clear behind STARTTLS", self.received.len());
            self.recorder.add(Speaker::Event, event.as_bytes());
        }
        let accepted = TlsAcceptor::from(Arc::clone(tls)).accept(self.stream).await;
        let event = if accepted.is_ok() { "TLS started" } else { "TLS failed" };
        self.recorder.add(Speaker::Event, event.as_bytes());
        let (received, voice) = (BytesMut::new(), Voice::Own);
        Ok(Self { stream: Box::new(accepted?), received, voice, ..self })
    }

    /// Ends it.
    pub(super) async fn close(mut self, end: End) {
        if end == End::Orderly {
            // The client may be gone already, which is no news.
            let _ = self.flush().await;
            let _ = self.stream.shutdown().await;
        }
    }

    /// Asks the script about `step`, which belongs to the command with `tag`; SMTP has no tags.
    pub(super) async fn cue(&mut self, step: Step<'_>, tag: &str) -> Result<Cue, End> {
        self.voice = Voice::Own;
        let is_first = self.first_is_due && matches!(step, Step::Command(_));
        self.first_is_due &= !is_first;
        let first = is_first.then(|| self.script.next(self.protocol, Step::FirstCommand)).flatten();
        let action = first.or_else(|| self.script.next(self.protocol, step));
        let Some(action) = action else { return Ok(Cue::Act) };
        match action {
            Action::Reply(bytes) => {
                let bytes = with_tag(&bytes, tag);
                if !is_positive(self.protocol, &bytes) {
                    self.send(&bytes);
                    return Ok(Cue::Skip);
                }
                self.voice = Voice::Scripted(bytes);
                Ok(if step == Step::Token { Cue::AcceptToken } else { Cue::Act })
            }
            Action::ReplyThenClose(bytes) => {
                self.send(&with_tag(&bytes, tag));
                Err(End::Orderly)
            }
            Action::Append(bytes) => {
                self.voice = Voice::Then(bytes);
                Ok(Cue::Act)
            }
            Action::RefuseToken if step == Step::Token => Ok(Cue::RefuseToken),
            Action::RefuseToken => Ok(Cue::Act),
            Action::Close => Err(End::Orderly),
            Action::Reset => {
                self.recorder.add(Speaker::Event, b"connection reset");
                self.stream.tcp().set_zero_linger()?;
                Err(End::Abrupt)
            }
            Action::Stall => {
                self.flush().await?;
                self.recorder.add(Speaker::Event, b"stalled");
                std::future::pending().await
            }
        }
    }

    /// Reads a line; it is for the caller to put on record, without its secrets.
    ///
    /// May be cancelled without loss once nothing is unsent.
    pub(super) async fn line(&mut self) -> Result<Bytes, End> {
        self.voice = Voice::Own;
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.received) {
                let line = self.received.split_to(at + 1).freeze();
                if let Some(line) = line.strip_suffix(b"\r\n").filter(|it| it.len() <= LINE_LEN_MAX)
                {
                    return Ok(Bytes::copy_from_slice(line));
                }
                return self.give_up("a line that does not end in CRLF or is too long").await;
            }
            if self.received.len() > LINE_LEN_MAX {
                return self.give_up("a line that is too long").await;
            }
            self.fill().await?;
        }
    }

    /// Reads `len` bytes.
    pub(super) async fn take(&mut self, len: usize) -> Result<Bytes, End> {
        while self.received.len() < len {
            self.fill().await?;
        }
        // A copy, or a small message would keep a large buffer alive.
        Ok(Bytes::copy_from_slice(&self.received.split_to(len)))
    }

    /// Sends what is unsent, then reads at least one byte more.
    pub(super) async fn fill(&mut self) -> Result<(), End> {
        self.flush().await?;
        if self.received.is_empty() {
            self.received = BytesMut::new();
        }
        self.received.reserve(self.read_len);
        let len = self.stream.read_buf(&mut self.received).await?;
        self.read_len = match len {
            0 => return Err(End::Orderly),
            _ if len < self.read_len => *READ_LEN.start(),
            _ => (2 * self.read_len).min(*READ_LEN.end()),
        };
        Ok(())
    }

    /// What was received and not yet consumed.
    pub(super) fn received(&mut self) -> &mut BytesMut {
        &mut self.received
    }

    /// Puts what the client said on record.
    pub(super) fn heard(&self, line: &[u8]) {
        self.recorder.add(Speaker::Client, line);
    }

    /// Puts bytes that are not shown on record as heard.
    pub(super) fn heard_hidden(&self, what: &str, len: usize) {
        self.heard(hidden(what, len).as_bytes());
    }

    /// Puts the end of a sign-in on record.
    pub(super) fn signed_in(&mut self, sign_in: &SignIn) {
        self.first_is_due = sign_in.refusal.is_none();
        self.recorder.sign_in(sign_in);
    }

    /// Says lines, given without the last CRLF.
    pub(super) fn say(&mut self, lines: &str) {
        match std::mem::replace(&mut self.voice, Voice::Mute) {
            Voice::Own => {
                self.voice = Voice::Own;
                self.send(lines.as_bytes());
                self.unsent.extend_from_slice(b"\r\n");
            }
            Voice::Then(bytes) => {
                self.voice = Voice::Own;
                self.send(lines.as_bytes());
                self.unsent.extend_from_slice(b"\r\n");
                self.send(&bytes);
            }
            Voice::Scripted(bytes) => self.send(&bytes),
            Voice::Mute => {}
        }
    }

    /// Says `bytes`, on record as `shown`, and sends all that is unsent if that is much.
    pub(super) async fn say_bytes(&mut self, bytes: &[u8], shown: &str) -> Result<(), End> {
        if matches!(self.voice, Voice::Own | Voice::Then(_)) {
            self.recorder.add(Speaker::Provider, shown.as_bytes());
            self.unsent.extend_from_slice(bytes);
            if self.unsent.len() > UNSENT_LEN_MAX {
                self.flush().await?;
            }
        }
        Ok(())
    }

    /// Sends what is unsent.
    pub(super) async fn flush(&mut self) -> Result<(), End> {
        if !self.unsent.is_empty() {
            self.stream.write_all(&self.unsent).await?;
            self.stream.flush().await?;
            self.unsent = BytesMut::new();
        }
        Ok(())
    }

    /// Queues bytes as they are and puts their lines on record.
    fn send(&mut self, bytes: &[u8]) {
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.recorder.add(Speaker::Provider, line.strip_suffix(b"\r\n").unwrap_or(line));
        }
        self.unsent.extend_from_slice(bytes);
    }

    async fn give_up<T>(&mut self, problem: &str) -> Result<T, End> {
        self.recorder.add(Speaker::Event, problem.as_bytes());
        self.say(match self.protocol {
            Protocol::Submission => "500 5.5.2 Lines end in CRLF and have a limit",
            Protocol::Imap => "* BYE Lines end in CRLF and have a limit.",
            Protocol::Pop3 => "-ERR Lines end in CRLF and have a limit.",
        });
        Err(End::Orderly)
    }
}

fn with_tag(reply: &Bytes, tag: &str) -> Bytes {
    let Some(at) = memmem::find(reply, TAG_PLACEHOLDER.as_bytes()) else { return reply.clone() };
    let (before, rest) = reply.split_at(at);
    let after = rest.get(TAG_PLACEHOLDER.len()..).unwrap_or_default();
    Bytes::from([before, tag.as_bytes(), after].concat())
}

/// Whether a step whose reply is replaced by `reply` is still carried out.
fn is_positive(protocol: Protocol, reply: &[u8]) -> bool {
    match protocol {
        Protocol::Submission => matches!(reply.first(), Some(b'2' | b'3')),
        Protocol::Pop3 => reply.first() == Some(&b'+'),
        Protocol::Imap => {
            let last = reply.trim_ascii_end().rsplit(|&byte| byte == b'\n').next();
            let mut words = last.unwrap_or_default().split(|&byte| byte == b' ');
            words.next() == Some(b"+")
                || words.next().is_some_and(|it| it.eq_ignore_ascii_case(b"OK"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scripted_reply_is_positive_when_its_last_line_is() {
        let imap = |reply: &[u8]| is_positive(Protocol::Imap, reply);
        assert!(imap(b"+ \r\n") && imap(b"+") && imap(b"* CAPABILITY X\r\na OK\r\n"));
        assert!(!imap(b"* OK hello\r\na NO no\r\n") && !imap(b"* BYE\r\n") && !imap(b""));
        let smtp = |reply: &[u8]| is_positive(Protocol::Submission, reply);
        assert!(smtp(b"250 OK\r\n") && smtp(b"334 \r\n"));
        assert!(!smtp(b"421 no\r\n") && !smtp(b"535 no\r\n") && !smtp(b""));
        let pop3 = |reply: &[u8]| is_positive(Protocol::Pop3, reply);
        assert!(pop3(b"+OK\r\n") && pop3(b"+ \r\n"));
        assert!(!pop3(b"-ERR no +OK\r\n") && !pop3(b""));
    }

    #[test]
    fn a_scripted_reply_has_the_tag_of_the_command() {
        assert_eq!(with_tag(&Bytes::from_static(b"x\r\n{tag} NO\r\n"), "a1"), "x\r\na1 NO\r\n");
        assert_eq!(with_tag(&Bytes::from_static(b"{ta"), "a1"), "{ta");
    }
}
