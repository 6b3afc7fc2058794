//! A message on its way: its header, if that is rewritten, and the rest as it comes.
//!
//! In:  the client's bytes behind a 354, in any pieces. Out: the message, dot-stuffed as it was sent,
//!      with its end; or why it was given up.

use super::super::header::{Header, HeaderFault, Progress};
use super::end::{EndFinder, Ending};
use super::{Rewrite, Surroundings, refusals};
use crate::names::Address;
use crate::proto::Output;

/// How much is read at once, in bytes, before it is asked whether the output is full.
const PIECE_LEN_MAX: usize = 16 * 1024;

/// A message on its way.
#[derive(Debug)]
pub(super) struct Message {
    end: EndFinder,
    content: Content,
}

/// What comes next, and what becomes of it.
#[derive(Debug)]
enum Content {
    /// The header, which is held until its end.
    Header(Header, Address),
    /// Bytes that pass.
    Passing,
    /// Bytes that are thrown away: the client hears this at the end of its message.
    Refused(&'static str),
}

/// How a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outlook {
    /// It goes on.
    Open,
    /// It has gone up to its end.
    Sent,
    /// It has ended for the client, and never will for the upstream.
    Refused(&'static str),
}

impl Message {
    /// A message that begins.
    pub(super) fn new(rewrite: &Rewrite) -> Self {
        let content = match rewrite {
            Rewrite::Keep | Rewrite::Envelope(_) => Content::Passing,
            Rewrite::EnvelopeAndHeader(mailbox) => {
                Content::Header(Header::default(), mailbox.clone())
            }
        };
        Self { end: EndFinder::new(), content }
    }

    /// Takes bytes of the message, none behind its end; how many.
    pub(super) fn take(
        &mut self,
        bytes: &[u8],
        surroundings: &mut dyn Surroundings,
        up: &mut Output,
    ) -> (usize, Outlook) {
        let piece = bytes.get(..PIECE_LEN_MAX).unwrap_or(bytes);
        let content = &mut self.content;
        let (taken, ending) = self.end.read(piece, |text| content.take(text, surroundings, up));
        let outlook = match ending {
            None => Outlook::Open,
            Some(ending) => content.finish(ending, surroundings, up),
        };
        (taken, outlook)
    }
}

impl Content {
    fn take(&mut self, text: &[u8], surroundings: &mut dyn Surroundings, up: &mut Output) {
        match self {
            Self::Header(header, mailbox) => match header.take(text) {
                Ok((_, Progress::Open)) => {}
                Ok((taken, Progress::Ended)) => {
                    header.write(mailbox, || surroundings.stamp(), up);
                    up.bytes(text.get(taken..).unwrap_or_default());
                    *self = Self::Passing;
                }
                Err(HeaderFault::TooLong) => *self = Self::Refused(refusals::HEADER_TOO_LONG),
                Err(HeaderFault::LineEnd) => *self = Self::Refused(refusals::MESSAGE_LINE_ENDS),
            },
            Self::Passing => up.bytes(text),
            Self::Refused(_) => {}
        }
    }

    fn finish(
        &mut self,
        ending: Ending,
        surroundings: &mut dyn Surroundings,
        up: &mut Output,
    ) -> Outlook {
        match (&mut *self, ending) {
            (Self::Refused(last_words), _) => return Outlook::Refused(last_words),
            (_, Ending::Ambiguous) => return Outlook::Refused(refusals::MESSAGE_LINE_ENDS),
            (Self::Header(header, mailbox), Ending::Strict) => {
                header.write(mailbox, || surroundings.stamp(), up);
            }
            (Self::Passing, Ending::Strict) => {}
        }
        up.bytes(b".\r\n");
        Outlook::Sent
    }
}
