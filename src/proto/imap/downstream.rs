//! IMAP, downstream side: the commands a client may send before it is signed in.
//!
//! Source: RFC 3501 section 6.1 and 6.2, RFC 2971 (ID), RFC 4959 (SASL-IR), RFC 7888 (literals).
//! In:     lines of up to 8 KiB, 12,288 bytes where they carry SASL; literals of up to 4 KiB.
//! Out:    the responses to each command, in order.
//! Ends:   in `Step::Verify`, `Step::StartTls` or `Step::Close`; what follows is never parsed here.

use std::ops::ControlFlow::{self, Break, Continue};

use super::Welcome;
use super::command::{Fault, Literal, Tag};
use super::gathering::Gathering;
use super::response::{self, NonSyncLiterals};
use super::session::{Session, close, give_up};
use crate::proto::preauth::is_http;
use crate::proto::sasl;
use crate::proto::sasl::exchange::Exchange;
use crate::proto::{
    AwaitClientTls, AwaitVerdict, CloseReason, Downstream, Farewell, Input, Line, Output, Privacy,
    Standing, Step,
};
use crate::refusal::Refusal;

/// Longest line of a command, in bytes without its end. RFC 7162 section 4 recommends 8 KiB.
///
/// AUTHENTICATE with an initial response may be as long as a line of SASL.
pub(super) const COMMAND_LINE_LEN_MAX: usize = 8_192;

/// The server that an IMAP client sees until it is signed in.
#[derive(Debug)]
pub struct ImapDownstream {
    pub(super) session: Session,
    pub(super) phase: Phase,
}

/// An IMAP client that was told to begin a TLS handshake.
#[derive(Debug)]
pub struct ImapAwaitClientTls(pub(super) Session);

/// An IMAP client's sign-in that awaits the verdict.
#[derive(Debug)]
pub struct ImapAwaitVerdict {
    pub(super) session: Session,
    pub(super) tag: Tag,
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Phase {
    /// A line.
    Line(Due),
    /// An argument of LOGIN, of so many bytes.
    Literal(Gathering, usize),
    /// So many bytes of a literal that are thrown away as they come.
    Discard(Gathering, usize),
}

/// What a line is.
#[derive(Debug)]
pub(super) enum Due {
    /// The beginning of a command.
    Command,
    /// What stands behind a literal.
    Rest(Gathering),
    /// A response of SASL.
    Response(Tag, Exchange),
}

/// Goes on with the machine, or ends the call with a step.
pub(super) type Turn = ControlFlow<Step<ImapDownstream>, ImapDownstream>;

impl ImapDownstream {
    /// A server for one session.
    pub fn new(literals: NonSyncLiterals, privacy: Privacy) -> Self {
        Session { literals, standing: Standing::new(privacy) }.await_command()
    }

    /// Consumes one line, or one literal.
    fn advance(self, input: &mut Input, output: &mut Output) -> Turn {
        let Self { session, phase } = self;
        match phase {
            // Such a client reads no response.
            Phase::Line(Due::Command) if input.begins_tls_handshake() => {
                Break(Step::Close(CloseReason::ClientHello))
            }
            Phase::Line(due) => match input.take_line(due.len_max()) {
                Line::Whole(line) | Line::Skipped(line) if is_http(&line) => {
                    let text = "this is a mail server, it does not speak HTTP";
                    close(CloseReason::Browser, text, output)
                }
                Line::Whole(line) => session.take_line(due, &line, output),
                Line::TooLong => {
                    let begun = match due {
                        Due::Command => Tag::of_beginning(input),
                        Due::Rest(_) | Due::Response(..) => None,
                    };
                    session.fail(begun.as_ref().or(due.tag()), Fault::LineTooLong, output)
                }
                // Where its literal ends cannot be told, and it is no command.
                Line::Skipped(end) if Literal::may_come_at_once(&end) => give_up(output),
                Line::Skipped(_) => Continue(session.with(Phase::Line(due))),
                Line::Endless => give_up(output),
                Line::Incomplete => Break(Step::Read(session.with(Phase::Line(due)))),
            },
            Phase::Literal(mut command, len) => match input.take(len) {
                Some(literal) => {
                    command.push(&literal);
                    Continue(session.with(Phase::Line(Due::Rest(command))))
                }
                None => Break(Step::Read(session.with(Phase::Literal(command, len)))),
            },
            Phase::Discard(command, len) => {
                let piece = input.take(len.min(input.len())).unwrap_or_default();
                match len.saturating_sub(piece.len()) {
                    0 => Continue(session.with(Phase::Line(Due::Rest(command)))),
                    left => Break(Step::Read(session.with(Phase::Discard(command, left)))),
                }
            }
        }
    }
}

impl Downstream for ImapDownstream {
    type Awaiting = ImapAwaitVerdict;
    type AwaitTls = ImapAwaitClientTls;

    fn greet(&self, output: &mut Output) {
        let capabilities = self.session.capabilities();
        output.line(&format!("* OK [CAPABILITY {capabilities}] mailbearer ready"));
    }

    fn receive(mut self, input: &mut Input, output: &mut Output) -> Step<Self> {
        while !output.is_full() {
            match self.advance(input, output) {
                Continue(machine) => self = machine,
                Break(step) => return step,
            }
        }
        Step::Read(self)
    }

    fn farewell(farewell: Farewell, output: &mut Output) {
        output.line(&response::bye(farewell.text()));
    }
}

impl AwaitClientTls for ImapAwaitClientTls {
    type Machine = ImapDownstream;

    fn started(self, input: &Input) -> Result<ImapDownstream, CloseReason> {
        let standing = self.0.standing.start_tls(input)?;
        Ok(Session { standing, ..self.0 }.await_command())
    }
}

impl AwaitVerdict for ImapAwaitVerdict {
    type Machine = ImapDownstream;
    type Welcome = Welcome;

    fn accept(self, welcome: &Welcome, output: &mut Output) {
        output.bytes(&welcome.untagged);
        output.bytes(format!("{} OK ", self.tag).as_bytes());
        output.bytes(&welcome.tagged);
        output.bytes(b"\r\n");
    }

    fn refuse(self, refusal: &Refusal, output: &mut Output) -> Step<ImapDownstream> {
        match self.session.answer_failure(&response::refusal(&self.tag, refusal), output) {
            Continue(machine) => Step::Read(machine),
            Break(step) => step,
        }
    }
}

impl Due {
    fn len_max(&self) -> usize {
        match self {
            Self::Command | Self::Response(..) => sasl::LINE_LEN_MAX,
            Self::Rest(_) => COMMAND_LINE_LEN_MAX,
        }
    }

    /// The tag of the command that the line belongs to, where it is known before the line is.
    fn tag(&self) -> Option<&Tag> {
        match self {
            Self::Command => None,
            Self::Rest(command) => Some(&command.tag),
            Self::Response(tag, _) => Some(tag),
        }
    }
}
