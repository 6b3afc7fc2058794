//! SMTP after the sign-in, for accounts and devices with rules: the one mode that reads on.
//!
//! Sources: RFC 5321, RFC 2920 (PIPELINING), RFC 3030 (CHUNKING, which is not served).
//! In:  the bytes of both sides. Out: the same, but for senders and headers where rules say so.
//!
//! Each line of the client leads to one command upstream, so replies stay in their order, however
//! many are on their way. One that is refused here goes up as NOOP, and the reply to that is replaced.
//! Behind DATA the client's bytes wait for the reply, for it alone says what they are.
//!
//! A rule that another reader could see past is none. So only CRLF ends a line, what was judged of
//! MAIL is what is sent, and a message that some server could take to end elsewhere is given up
//! before its final dot: upstream then drops it (RFC 5321 section 4.1.1.4). Nothing else that a
//! client may send changes: unknown commands, parameters and the bodies of messages pass as they are.

mod ehlo;
mod end;
mod line;
mod mail;
mod message;
mod refusals;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;

use super::reply;
use super::{PassedReply, Replies};
use crate::names::{AccountPattern, Address};
use crate::proto::Output;
use ehlo::EhloReply;
use line::{CommandLine, Progress, Verb};
use mail::{Becomes, Mail, asks_for_binarymime};
use message::{Message, Outlook};

/// Most commands that await their replies. Clients that pipeline send some hundred recipients at
/// once; more wait until replies come.
const AWAITED_MAX: usize = 512;

/// What a message's sender becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rewrite {
    /// It stays.
    Keep,
    /// MAIL FROM becomes the mailbox.
    Envelope(Address),
    /// MAIL FROM and From: become the mailbox. The old From: goes to Reply-To unless there is one;
    /// From, Date and Message-ID are added where missing.
    EnvelopeAndHeader(Address),
}

/// What holds for the messages of a session.
#[derive(Debug, Clone)]
pub struct Rules {
    /// What the sender becomes.
    pub rewrite: Rewrite,
    /// Which senders the client may name in MAIL FROM; `None` for any. `<>` is never among them.
    pub senders: Option<Vec<AccountPattern>>,
}

/// What the filter needs from outside: it has no clock, randomness or counter of its own.
pub trait Surroundings: Send {
    /// Counts a message that begins. `false` when the hour has no room for it.
    fn take_message(&mut self) -> bool;

    /// Takes one back that was counted: its transaction came to nothing.
    fn give_back_message(&mut self);

    /// Date and id for a message that lacks one or the other.
    fn stamp(&mut self) -> Stamp;
}

/// A date and an id for a message. Neither holds a line end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// A date-time as RFC 5322 section 3.3 writes it.
    pub date: String,
    /// A message id, in its angle brackets.
    pub message_id: String,
}

/// What [`Filter::take_from_upstream`] did.
#[derive(Debug, PartialEq, Eq)]
pub struct Passed {
    /// How many bytes were taken.
    pub taken: usize,
    /// The upstream's own reply that ended with them, if one did.
    pub reply: Option<PassedReply>,
    /// What the client heard in its place.
    pub instead: Option<&'static str>,
}

/// A session whose messages are held to rules.
pub struct Filter {
    rules: Rules,
    surroundings: Box<dyn Surroundings>,
    phase: Phase,
    line: CommandLine,
    /// What becomes of the replies that are to come, in order.
    awaited: VecDeque<Awaited>,
    replies: Replies,
    ehlo: EhloReply,
    /// Whether the upstream has taken a MAIL whose message has not been decided on.
    in_transaction: bool,
}

/// What the client's next bytes are.
#[derive(Debug)]
enum Phase {
    /// Commands.
    Command,
    /// The rest of a chunk whose BDAT was refused.
    Chunk(u64),
    /// Not known before the reply to DATA.
    DataAwaited,
    /// A message.
    Message(Message),
    /// Nothing that matters. What the client hears last.
    Over(&'static str),
}

/// What becomes of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    /// It passes.
    Pass,
    /// The client hears this in its place.
    Instead(&'static str),
    /// It is looked through, and its command ends a transaction.
    Ehlo,
    /// Its command ends a transaction.
    Reset,
    /// Its command begins a transaction; a message was counted.
    Mail,
    /// It says whether a message follows.
    Data,
    /// It says what became of a message.
    End,
}

impl Filter {
    /// A session that is signed in and awaits the first command.
    pub fn new(rules: Rules, surroundings: Box<dyn Surroundings>) -> Self {
        Self {
            rules,
            surroundings,
            phase: Phase::Command,
            line: CommandLine::default(),
            awaited: VecDeque::new(),
            replies: Replies::default(),
            ehlo: EhloReply::default(),
            in_transaction: false,
        }
    }

    /// Takes what it can of the client's bytes and writes what goes upstream to `up`; how many were
    /// taken. Those that were not are to be shown again once `up` was sent or replies have come.
    pub fn take_from_client(&mut self, bytes: &[u8], up: &mut Output) -> usize {
        let mut taken = 0;
        while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty())
            && !up.is_full()
        {
            taken += match &mut self.phase {
                Phase::Command if self.awaited.len() >= AWAITED_MAX => break,
                Phase::Command => self.take_command(rest, up),
                Phase::Chunk(left) => {
                    let len = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    *left = left.saturating_sub(u64::try_from(len).unwrap_or(u64::MAX));
                    if *left == 0 {
                        self.phase = Phase::Command;
                    }
                    len
                }
                Phase::DataAwaited => break,
                Phase::Message(message) => {
                    let (len, outlook) = message.take(rest, &mut *self.surroundings, up);
                    match outlook {
                        Outlook::Open => {}
                        Outlook::Sent => {
                            self.awaited.push_back(Awaited::End);
                            self.phase = Phase::Command;
                        }
                        Outlook::Refused(last_words) => self.phase = Phase::Over(last_words),
                    }
                    len
                }
                Phase::Over(_) => rest.len(),
            };
        }
        taken
    }

    /// Takes the upstream's bytes up to the end of the first reply in them; what the client hears
    /// goes to `down`. The reply that is returned is the upstream's own, whatever the client hears.
    pub fn take_from_upstream(&mut self, bytes: &[u8], down: &mut Output) -> Passed {
        if self.is_over() {
            return Passed { taken: bytes.len(), reply: None, instead: None };
        }
        let (taken, reply) =
            self.replies.read(bytes).map_or((bytes.len(), None), |(len, reply)| (len, Some(reply)));
        let piece = bytes.get(..taken).unwrap_or_default();
        let mut instead = None;
        match self.awaited.front() {
            Some(Awaited::Instead(refusal)) => {
                instead = reply.as_ref().map(|_| *refusal);
            }
            Some(Awaited::Ehlo) => match self.ehlo.push(piece, down) {
                Ok(()) if reply.is_some() => self.ehlo.finish(down),
                Ok(()) => {}
                Err(ehlo::LineTooLong) => self.phase = Phase::Over(refusals::UNREADABLE),
            },
            _ => down.bytes(piece),
        }
        if let Some(refusal) = instead {
            down.line(refusal);
        }
        if let Some(reply) = &reply
            && !self.is_over()
        {
            self.settle(reply.code);
        }
        Passed { taken, reply, instead }
    }

    /// Whether all is said and both sides are to be closed: behind [`Filter::last_words`], and the
    /// upstream's without another byte, so that it drops the message that was not sent to its end.
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over(_))
    }

    /// The line, without its end, that the client is to hear before it is closed.
    pub fn last_words(&self) -> Option<&'static str> {
        match self.phase {
            Phase::Over(last_words) => Some(last_words),
            Phase::Command | Phase::Chunk(_) | Phase::DataAwaited | Phase::Message(_) => None,
        }
    }

    /// Takes bytes of a command, and carries it out at its end; how many.
    fn take_command(&mut self, bytes: &[u8], up: &mut Output) -> usize {
        let (len, progress) = self.line.push(bytes);
        match progress {
            Progress::Part => {}
            Progress::Endless => self.phase = Phase::Over(reply::ENDLESS),
            Progress::Whole => {
                let carried_out = self.line.take().and_then(|line| self.carry_out(&line, up));
                let awaited = carried_out.unwrap_or_else(|refusal| {
                    up.bytes(b"NOOP\r\n");
                    Awaited::Instead(refusal)
                });
                self.awaited.push_back(awaited);
            }
        }
        len
    }

    /// Writes a command; what becomes of its reply.
    ///
    /// # Errors
    /// What the client hears where it is refused. Nothing is written then.
    fn carry_out(&mut self, line: &[u8], up: &mut Output) -> Result<Awaited, &'static str> {
        let awaited = match Verb::parse(line)? {
            Verb::Mail => return self.carry_out_mail(line, up),
            Verb::Bdat(len) => {
                self.phase = if len == 0 { Phase::Command } else { Phase::Chunk(len) };
                return Err(refusals::NO_CHUNKS);
            }
            Verb::Data => {
                self.phase = Phase::DataAwaited;
                Awaited::Data
            }
            Verb::Ehlo => Awaited::Ehlo,
            Verb::Reset => Awaited::Reset,
            Verb::Other => Awaited::Pass,
        };
        up.bytes(line);
        up.bytes(b"\r\n");
        Ok(awaited)
    }

    fn carry_out_mail(&mut self, line: &[u8], up: &mut Output) -> Result<Awaited, &'static str> {
        if asks_for_binarymime(line) {
            return Err(refusals::NO_BINARYMIME);
        }
        let mail = match (&self.rules.rewrite, &self.rules.senders) {
            // Nobody asks for the sender.
            (Rewrite::Keep, None) => None,
            (Rewrite::Envelope(_) | Rewrite::EnvelopeAndHeader(_), None) => {
                Some(Mail::parse_replaced(line).ok_or(refusals::BAD_MAIL)?)
            }
            (_, Some(_)) => Some(Mail::parse(line).ok_or(refusals::BAD_MAIL)?),
        };
        if let (Some(mail), Some(senders)) = (&mail, &self.rules.senders)
            && !mail.is_covered_by(senders)
        {
            return Err(refusals::FOREIGN_SENDER);
        }
        if !self.surroundings.take_message() {
            return Err(refusals::QUOTA_USED_UP);
        }
        match mail {
            None => {
                up.bytes(line);
                up.bytes(b"\r\n");
            }
            Some(mail) => mail.write(
                match &self.rules.rewrite {
                    Rewrite::Keep => Becomes::Same,
                    Rewrite::Envelope(mailbox) => Becomes::Sender(mailbox),
                    Rewrite::EnvelopeAndHeader(mailbox) => Becomes::SenderAndSize(mailbox),
                },
                up,
            ),
        }
        Ok(Awaited::Mail)
    }

    /// Draws from a reply what follows for its command. One that nothing asked for, a 421, passes.
    fn settle(&mut self, code: u16) {
        let awaited = self.awaited.front().copied();
        let is_message = code == 354 && awaited == Some(Awaited::Data) && self.in_transaction;
        // Behind a code of 0 nobody knows which command is answered next. Behind a 3xx the client
        // would send what is no command, and the upstream read what was not judged.
        if code == 0 {
            self.phase = Phase::Over(refusals::UNREADABLE);
            return;
        }
        if matches!(code, 300..=399) && !is_message {
            self.phase = Phase::Over(refusals::OUT_OF_STEP);
            return;
        }
        self.awaited.pop_front();
        let is_yes = matches!(code, 200..=299);
        match awaited {
            Some(Awaited::Data) if is_message => {
                self.phase = Phase::Message(Message::new(&self.rules.rewrite));
            }
            Some(Awaited::Data) => self.phase = Phase::Command,
            Some(Awaited::Mail) if is_yes && !self.in_transaction => self.in_transaction = true,
            // Refused, or in place of one before it.
            Some(Awaited::Mail) => self.surroundings.give_back_message(),
            Some(Awaited::Ehlo | Awaited::Reset) if is_yes => self.end_transaction(Sent::No),
            Some(Awaited::End) => self.end_transaction(if is_yes { Sent::Yes } else { Sent::No }),
            Some(Awaited::Pass | Awaited::Instead(_) | Awaited::Ehlo | Awaited::Reset) | None => {}
        }
    }

    fn end_transaction(&mut self, sent: Sent) {
        if std::mem::take(&mut self.in_transaction) && sent == Sent::No {
            self.surroundings.give_back_message();
        }
    }
}

/// Whether a transaction ended with a message that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    Yes,
    No,
}

/// Gives back what was counted and cannot have been sent.
impl Drop for Filter {
    fn drop(&mut self) {
        let begun = self.awaited.iter().filter(|awaited| **awaited == Awaited::Mail).count();
        for _ in 0..begun {
            self.surroundings.give_back_message();
        }
        // Whether a message that has gone up to its end was accepted, nobody knows: it counts.
        if !self.awaited.contains(&Awaited::End) {
            self.end_transaction(Sent::No);
        }
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filter").field("rules", &self.rules).finish_non_exhaustive()
    }
}
