//! IMAP, downstream side: the commands a client may send before it is signed in.
//!
//! Source: RFC 3501 section 6.1 and 6.2, RFC 2971 (ID), RFC 4959 (SASL-IR), RFC 7888 (literals).
//! In:     lines of up to 8 KiB, 12,288 bytes where they carry SASL; literals of up to 4 KiB.
//! Out:    the responses to each command, in order.
//! Ends:   in `Step::Verify`, `Step::StartTls` or `Step::Close`; what follows is never parsed here.

use std::ops::ControlFlow::{self, Break, Continue};

use super::Welcome;
use super::command::{Fault, Literal, Pace, Tag, Verb};
use super::gathering::{Content, Gathering, Login, Reception};
use super::response::{self, NonSyncLiterals};
use crate::proto::preauth::is_http;
use crate::proto::sasl::exchange::{Exchange, Request};
use crate::proto::sasl::{self, SaslError, exchange};
use crate::proto::{
    AwaitClientTls, AwaitVerdict, CloseReason, Downstream, Farewell, Input, Line, Output, Privacy,
    Standing, Step,
};
use crate::refusal::Refusal;

/// Longest line of a command, in bytes without its end. RFC 7162 section 4 recommends 8 KiB.
///
/// AUTHENTICATE with an initial response may be as long as a line of SASL.
const COMMAND_LINE_LEN_MAX: usize = 8_192;

/// The server that an IMAP client sees until it is signed in.
#[derive(Debug)]
pub struct ImapDownstream {
    session: Session,
    phase: Phase,
}

/// An IMAP client that was told to begin a TLS handshake.
#[derive(Debug)]
pub struct ImapAwaitClientTls(Session);

/// An IMAP client's sign-in that awaits the verdict.
#[derive(Debug)]
pub struct ImapAwaitVerdict {
    session: Session,
    tag: Tag,
}

/// What lasts from command to command.
#[derive(Debug, Clone, Copy)]
struct Session {
    literals: NonSyncLiterals,
    standing: Standing,
}

/// What comes next.
#[derive(Debug)]
enum Phase {
    /// A line.
    Line(Due),
    /// An argument of LOGIN, of so many bytes.
    Literal(Gathering, usize),
    /// So many bytes of a literal that are thrown away as they come.
    Discard(Gathering, usize),
}

/// What a line is.
#[derive(Debug)]
enum Due {
    /// The beginning of a command.
    Command,
    /// What stands behind a literal.
    Rest(Gathering),
    /// A response of SASL.
    Response(Tag, Exchange),
}

/// Goes on with the machine, or ends the call with a step.
type Turn = ControlFlow<Step<ImapDownstream>, ImapDownstream>;

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

impl Session {
    fn with(self, phase: Phase) -> ImapDownstream {
        ImapDownstream { session: self, phase }
    }

    fn await_command(self) -> ImapDownstream {
        self.with(Phase::Line(Due::Command))
    }

    fn capabilities(self) -> String {
        response::capabilities(self.literals, self.standing.privacy)
    }

    fn take_line(self, due: Due, line: &[u8], output: &mut Output) -> Turn {
        match due {
            Due::Command => self.begin(line, output),
            Due::Rest(command) => self.gather(command, line, output),
            Due::Response(tag, exchange) => self.take_turn(tag, exchange.respond(line), output),
        }
    }

    /// Begins a command, unless it is the session's last one.
    fn begin(mut self, line: &[u8], output: &mut Output) -> Turn {
        if let Err(reason) = self.standing.count_command() {
            return close(reason, "too many commands and no sign-in", output);
        }
        let privacy = self.standing.privacy;
        let Some((tag, rest)) = Tag::split_off(line) else {
            return self.fail(None, Fault::Tag, output);
        };
        let (verb, rest) = Verb::split_off(rest);
        let bare = rest.trim_ascii().is_empty();
        let content = match verb {
            // Refused like any other command: its literals are read to their end, nothing is asked
            // for, and what came with it is thrown away unread.
            Verb::Authenticate | Verb::Login if !privacy.takes_credentials() => {
                Content::Faulty(Fault::Privacy)
            }
            Verb::Authenticate if Literal::split_off(rest).1.is_none() => {
                return self.authenticate(tag, rest, output);
            }
            _ if line.len() > COMMAND_LINE_LEN_MAX => Content::Faulty(Fault::LineTooLong),
            Verb::Authenticate => Content::Faulty(Fault::AuthenticateArguments),
            Verb::Capability if bare => {
                output.line(&format!("* CAPABILITY {}", self.capabilities()));
                return self.complete(&tag, "CAPABILITY", output);
            }
            Verb::Noop if bare => return self.complete(&tag, "NOOP", output),
            Verb::Logout if bare => {
                output.line(&response::bye("mailbearer closes as you asked"));
                output.line(&response::completed(&tag, "LOGOUT"));
                return Break(Step::Close(CloseReason::Quit));
            }
            Verb::StartTls if bare && privacy.offers_tls() => {
                output.line(&response::begin_tls(&tag));
                return Break(Step::StartTls(ImapAwaitClientTls(self)));
            }
            Verb::StartTls => Content::Faulty(match privacy {
                Privacy::Clear => Fault::StartTls,
                Privacy::Offered | Privacy::Required => Fault::Arguments,
                Privacy::Tls => Fault::StartTlsAgain,
            }),
            Verb::Capability | Verb::Noop | Verb::Logout => Content::Faulty(Fault::Arguments),
            Verb::Id => Content::Id,
            Verb::Login => Content::Login(Login::Nothing),
            Verb::Missing => Content::Faulty(Fault::NoCommand),
            Verb::Other => Content::Faulty(Fault::UnknownCommand),
        };
        self.gather(Gathering::new(tag, content), rest, output)
    }

    /// Goes on with a command that may hold literals. One that is refused is read to its end,
    /// lest its literals be taken for commands, unless the client waits for leave to send them.
    fn gather(self, mut command: Gathering, line: &[u8], output: &mut Output) -> Turn {
        let Some(reception) = command.push_line(line) else {
            return self.carry_out(command, output);
        };
        let (literal, phase) = match reception {
            Reception::Keep(literal) => (literal, Phase::Literal(command, literal.len)),
            Reception::Discard(literal) => (literal, Phase::Discard(command, literal.len)),
            Reception::Refuse(fault) => return self.fail(Some(&command.tag), fault, output),
            Reception::GiveUp => return give_up(output),
        };
        if literal.pace == Pace::Waiting {
            output.line("+ go ahead");
        }
        Continue(self.with(phase))
    }

    /// Carries out a command that is whole.
    fn carry_out(self, command: Gathering, output: &mut Output) -> Turn {
        let Gathering { tag, content, .. } = command;
        match content {
            Content::Login(Login::Claim(claim)) => {
                Break(Step::Verify(claim, ImapAwaitVerdict { session: self, tag }))
            }
            Content::Login(_) => self.fail(Some(&tag), Fault::LoginArguments, output),
            Content::Id => {
                output.line("* ID NIL");
                self.complete(&tag, "ID", output)
            }
            Content::Faulty(fault) => self.fail(Some(&tag), fault, output),
        }
    }

    /// Begins a SASL exchange.
    fn authenticate(self, tag: Tag, arguments: &[u8], output: &mut Output) -> Turn {
        let Request { mechanism, initial_response } = Request::parse(arguments);
        match Exchange::of(mechanism) {
            Some(exchange) => self.take_turn(tag, exchange.begin(initial_response), output),
            None if mechanism.is_empty() => {
                self.fail(Some(&tag), Fault::AuthenticateArguments, output)
            }
            None => self.fail(Some(&tag), Fault::Mechanism, output),
        }
    }

    /// Goes on with what a SASL exchange has come to.
    fn take_turn(
        self,
        tag: Tag,
        turn: Result<exchange::Turn, SaslError>,
        output: &mut Output,
    ) -> Turn {
        match turn {
            Ok(exchange::Turn::Challenge(exchange, challenge)) => {
                output.line(&format!("+ {challenge}"));
                Continue(self.with(Phase::Line(Due::Response(tag, exchange))))
            }
            Ok(exchange::Turn::Claim(claim)) => {
                Break(Step::Verify(claim, ImapAwaitVerdict { session: self, tag }))
            }
            Err(error) => self.fail(Some(&tag), Fault::Sasl(error), output),
        }
    }

    fn complete(self, tag: &Tag, command: &str, output: &mut Output) -> Turn {
        output.line(&response::completed(tag, command));
        Continue(self.await_command())
    }

    fn fail(self, tag: Option<&Tag>, fault: Fault, output: &mut Output) -> Turn {
        self.answer_failure(&response::fault(tag, fault), output)
    }

    /// Answers a failure with `reply`, or with the end if it is the last one allowed.
    fn answer_failure(mut self, reply: &str, output: &mut Output) -> Turn {
        if let Err(reason) = self.standing.count_failure() {
            return close(reason, "too many failures", output);
        }
        output.line(reply);
        Continue(self.await_command())
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

fn give_up(output: &mut Output) -> Turn {
    close(CloseReason::EndlessLine, "that was longer than any command", output)
}

fn close(reason: CloseReason, text: &str, output: &mut Output) -> Turn {
    output.line(&response::bye(text));
    Break(Step::Close(reason))
}
