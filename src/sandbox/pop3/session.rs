//! A client that is signed in, and its commands (RFC 1939 sections 5 and 6).

use std::collections::HashSet;

use memchr::memmem;

use super::super::conversation::{Conversation, Cue, End};
use super::super::mailboxes::{Flags, Message};
use super::super::record::hidden;
use super::super::script::Step;
use super::super::server::{Shared, SignedIn};
use super::super::throttle::Place;
use super::{Command, capabilities};
use crate::names::Username;

/// How to sign in, as CAPA shows it under TLS.
pub(super) const SASL: &str = "SASL XOAUTH2 OAUTHBEARER";

/// A signed-in client. Its messages are those that were there when it signed in.
pub(super) struct Session<'a> {
    shared: &'a Shared,
    talk: Conversation,
    user: Username,
    place: Option<Place>,
    messages: Vec<Message>,
    /// The UIDs of the messages that go at QUIT.
    deleted: HashSet<u32>,
}

/// Why a command has no reply of its own.
enum Failure {
    Arguments,
    NoSuchMessage,
    Unknown,
    End(End),
}

impl From<End> for Failure {
    fn from(end: End) -> Self {
        Self::End(end)
    }
}

impl<'a> Session<'a> {
    /// Goes on after the sign-in.
    pub(super) fn new(shared: &'a Shared, talk: Conversation, signed_in: SignedIn) -> Self {
        let SignedIn { user, place } = signed_in;
        let messages = shared.mailboxes.messages(&user);
        Self { shared, talk, user, place, messages, deleted: HashSet::new() }
    }

    /// Speaks until either side ends it.
    pub(super) async fn speak(&mut self) -> End {
        loop {
            if let Err(end) = self.exchange().await {
                return end;
            }
        }
    }

    /// Ends it.
    pub(super) async fn close(self, end: End) {
        drop(self.place);
        self.talk.close(end).await;
    }

    /// Reads one command and answers it.
    async fn exchange(&mut self) -> Result<(), End> {
        let Command { verb, argument } = Command::read(&mut self.talk).await?;
        if self.talk.cue(Step::Command(&verb), "").await? == Cue::Skip {
            return Ok(());
        }
        let reply = match self.obey(&verb, &argument).await {
            Ok(()) => return Ok(()),
            Err(Failure::End(end)) => return Err(end),
            Err(Failure::Arguments) => "-ERR Command argument error.",
            Err(Failure::NoSuchMessage) => "-ERR The specified message is out of range.",
            Err(Failure::Unknown) => "-ERR Command is not valid in this state.",
        };
        self.say(reply);
        Ok(())
    }

    async fn obey(&mut self, verb: &str, argument: &str) -> Result<(), Failure> {
        match (verb, argument) {
            ("STAT", "") => self.say(&format!("+OK {}", self.size())),
            ("LIST", "") => {
                let listing = self.listing(|message| message.bytes.len().to_string());
                self.say(&format!("+OK {}\r\n{listing}.", self.size()));
            }
            ("UIDL", "") => {
                let listing = self.listing(|message| unique_id(message.uid));
                self.say(&format!("+OK\r\n{listing}."));
            }
            ("LIST", number) => {
                let message = self.find(number)?;
                self.say(&format!("+OK {number} {}", message.bytes.len()));
            }
            ("UIDL", number) => {
                let message = self.find(number)?;
                self.say(&format!("+OK {number} {}", unique_id(message.uid)));
            }
            ("RETR", number) => {
                let message = self.find(number)?;
                self.retrieve(&message, &message.bytes).await?;
            }
            ("TOP", arguments) => {
                let (number, lines) = arguments.split_once(' ').ok_or(Failure::Arguments)?;
                let lines = lines.parse().map_err(|_| Failure::Arguments)?;
                let message = self.find(number)?;
                let top = message.bytes.get(..top_len(&message.bytes, lines));
                self.retrieve(&message, top.unwrap_or(&message.bytes)).await?;
            }
            ("DELE", number) => {
                let message = self.find(number)?;
                self.deleted.insert(message.uid);
                self.say("+OK");
            }
            ("RSET", "") => {
                self.deleted.clear();
                self.say("+OK");
            }
            ("NOOP", "") => self.say("+OK"),
            ("CAPA", "") => self.say(&capabilities(SASL)),
            ("QUIT", "") => {
                self.update();
                self.say("+OK Signing off.");
                return Err(End::Orderly.into());
            }
            ("STAT" | "RSET" | "NOOP" | "CAPA" | "QUIT", _) => return Err(Failure::Arguments),
            _ => return Err(Failure::Unknown),
        }
        Ok(())
    }

    fn say(&mut self, lines: &str) {
        self.talk.say(lines);
    }

    /// Sends `text`, which is a part of `message` or all of it.
    async fn retrieve(&mut self, message: &Message, text: &[u8]) -> Result<(), End> {
        self.say(&format!("+OK {} octets", message.bytes.len()));
        let stuffed = stuffed(text);
        self.talk.say_bytes(&stuffed, &hidden("message", text.len())).await
    }

    /// The messages that are not deleted, with their numbers.
    fn present(&self) -> impl Iterator<Item = (usize, &Message)> {
        let numbered = self.messages.iter().enumerate().map(|(at, message)| (at + 1, message));
        numbered.filter(|(_, message)| !self.deleted.contains(&message.uid))
    }

    /// How many messages there are, and what they take together.
    fn size(&self) -> String {
        let total: usize = self.present().map(|(_, message)| message.bytes.len()).sum();
        format!("{} {total}", self.present().count())
    }

    /// One line for each message, with its number and what `tell` says of it.
    fn listing(&self, tell: impl Fn(&Message) -> String) -> String {
        self.present().map(|(number, message)| format!("{number} {}\r\n", tell(message))).collect()
    }

    fn find(&self, number: &str) -> Result<Message, Failure> {
        let number: usize = number.parse().map_err(|_| Failure::Arguments)?;
        let found = self.present().find(|(present, _)| *present == number);
        found.map(|(_, message)| message.clone()).ok_or(Failure::NoSuchMessage)
    }

    /// Removes what is deleted (RFC 1939 section 6). A session that ends otherwise removes nothing.
    fn update(&mut self) {
        let deleted = std::mem::take(&mut self.deleted);
        let mailboxes = &self.shared.mailboxes;
        for uid in &deleted {
            mailboxes.change_flags(&self.user, *uid, |flags| flags | Flags::DELETED);
        }
        mailboxes.expunge(&self.user, |uid| deleted.contains(&uid));
    }
}

/// What UIDL tells: no UID is ever given twice while a sandbox lives.
fn unique_id(uid: u32) -> String {
    format!("sandbox-{uid}")
}

/// How many bytes the header, the empty line behind it and the first `lines` lines of the body take.
fn top_len(message: &[u8], lines: usize) -> usize {
    let header_len = memmem::find(message, b"\r\n\r\n").map_or(message.len(), |at| at + 4);
    let body = message.get(header_len..).unwrap_or_default();
    let Some(last) = lines.checked_sub(1) else { return header_len };
    let end = memmem::find_iter(body, b"\r\n").nth(last);
    header_len + end.map_or(body.len(), |at| at + 2)
}

/// `text` as it stands behind `+OK`: lines that begin with a dot have one more, the last line has an
/// end, and a dot ends it all (RFC 1939 section 3). A line begins behind CRLF alone.
fn stuffed(text: &[u8]) -> Vec<u8> {
    let mut stuffed = Vec::with_capacity(text.len() + text.len() / 64 + 5);
    let ends = memmem::find_iter(text, b"\r\n").map(|at| at + 2);
    let mut start = 0;
    for end in ends.chain([text.len()]) {
        let line = text.get(start..end).unwrap_or_default();
        if line.first() == Some(&b'.') {
            stuffed.push(b'.');
        }
        stuffed.extend_from_slice(line);
        start = end;
    }
    if !text.is_empty() && !text.ends_with(b"\r\n") {
        stuffed.extend_from_slice(b"\r\n");
    }
    stuffed.extend_from_slice(b".\r\n");
    stuffed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_begin_with_a_dot_are_stuffed_and_the_end_is_marked() {
        for (text, sent) in [
            (&b""[..], &b".\r\n"[..]),
            (b"a", b"a\r\n.\r\n"),
            (b"a\r\n", b"a\r\n.\r\n"),
            (b".\r\n", b"..\r\n.\r\n"),
            (b".a\r\n..b\r\nc.\r\n.", b"..a\r\n...b\r\nc.\r\n..\r\n.\r\n"),
            (b"a\n.\nb\r.\r\n", b"a\n.\nb\r.\r\n.\r\n"),
            (b"a\r\r\n.", b"a\r\r\n..\r\n.\r\n"),
        ] {
            assert_eq!(stuffed(text), sent, "{text:?}");
        }
    }

    #[test]
    fn top_takes_the_header_and_so_many_lines() {
        let message = b"a: b\r\n\r\none\r\ntwo\r\nthree";
        for (lines, end) in [(0, 8), (1, 13), (2, 18), (3, 23), (usize::MAX, 23)] {
            assert_eq!(top_len(message, lines), end, "{lines} lines");
        }
        assert_eq!(top_len(b"no header's end", 1), 15);
    }
}
