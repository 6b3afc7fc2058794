//! IMAP, downstream side: what each command of a client comes to.
//!
//! Source: RFC 3501 section 6.1 and 6.2, RFC 2971 (ID), RFC 4959 (SASL-IR).
//! In:     the lines of a command, in order. Out: its responses, and what comes next.

use std::ops::ControlFlow::{Break, Continue};

use super::command::{Fault, Literal, Pace, Tag, Verb};
use super::downstream::{
    COMMAND_LINE_LEN_MAX, Due, ImapAwaitClientTls, ImapAwaitVerdict, ImapDownstream, Phase, Turn,
};
use super::gathering::{Content, Gathering, Login, Reception};
use super::response::{self, NonSyncLiterals};
use crate::proto::sasl::SaslError;
use crate::proto::sasl::exchange::{self, Exchange, Request};
use crate::proto::{Claim, CloseReason, Output, Privacy, Standing, Step};

/// What lasts from command to command.
#[derive(Debug, Clone, Copy)]
pub(super) struct Session {
    pub(super) literals: NonSyncLiterals,
    pub(super) standing: Standing,
}

impl Session {
    pub(super) fn with(self, phase: Phase) -> ImapDownstream {
        ImapDownstream { session: self, phase }
    }

    pub(super) fn await_command(self) -> ImapDownstream {
        self.with(Phase::Line(Due::Command))
    }

    pub(super) fn capabilities(self) -> String {
        response::capabilities(self.literals, self.standing.privacy)
    }

    pub(super) fn take_line(self, due: Due, line: &[u8], output: &mut Output) -> Turn {
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
            let command = Gathering::new(Tag::untagged(), Content::Faulty(Fault::Tag));
            return self.gather(command, line, output);
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
            Content::Login(Login::Claim(shown)) => {
                Break(Step::Verify(Claim::Password(shown), ImapAwaitVerdict { session: self, tag }))
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
            Ok(exchange::Turn::Claim(shown)) => {
                Break(Step::Verify(Claim::Password(shown), ImapAwaitVerdict { session: self, tag }))
            }
            Err(error) => self.fail(Some(&tag), Fault::Sasl(error), output),
        }
    }

    fn complete(self, tag: &Tag, command: &str, output: &mut Output) -> Turn {
        output.line(&response::completed(tag, command));
        Continue(self.await_command())
    }

    pub(super) fn fail(self, tag: Option<&Tag>, fault: Fault, output: &mut Output) -> Turn {
        self.answer_failure(&response::fault(tag, fault), output)
    }

    /// Answers a failure with `reply`, or with the end if it is the last one allowed.
    pub(super) fn answer_failure(mut self, reply: &str, output: &mut Output) -> Turn {
        if let Err(reason) = self.standing.count_failure() {
            return close(reason, "too many failures", output);
        }
        output.line(reply);
        Continue(self.await_command())
    }
}

pub(super) fn give_up(output: &mut Output) -> Turn {
    close(CloseReason::EndlessLine, "that was longer than any command", output)
}

pub(super) fn close(reason: CloseReason, text: &str, output: &mut Output) -> Turn {
    output.line(&response::bye(text));
    Break(Step::Close(reason))
}
