//! SMTP submission, downstream side: what a client may say before it is signed in.
//!
//! Sources: RFC 5321 section 4, RFC 3207 (STARTTLS), RFC 4954 (AUTH), RFC 6409 section 4 (nothing is
//! taken unsigned).
//! In:   lines of up to `sasl::LINE_LEN_MAX` bytes, ending in CRLF or LF: one limit for commands and
//!       responses, because an AUTH with its initial response is both.
//! Out:  one reply a command, in order; none repeats a byte of the client.
//! Ends: in `Step::Verify`, `Step::StartTls` or `Step::Close`; what follows an accepted claim is
//!       never parsed here, and what follows STARTTLS in clear ends the session. Where devices are
//!       served, MAIL is a claim as well, and stays in the input until the verdict.

use super::command::Command;
use super::{Extensions, Welcome, reply};
use crate::proto::preauth::is_http;
use crate::proto::sasl::exchange::{Exchange, Request, Turn};
use crate::proto::sasl::{self, SaslError};
use crate::proto::{
    AwaitClientTls, AwaitVerdict, Claim, CloseReason, Downstream, Farewell, Input, Line,
    LocalCredentials, Output, Privacy, Standing, Step,
};
use crate::refusal::Refusal;

/// A session with a client that has not signed in.
#[derive(Debug)]
pub struct SmtpDownstream {
    extensions: Extensions,
    devices: DeviceMail,
    standing: Standing,
    phase: Phase,
}

/// Whether MAIL of a client that has not signed in is a device's claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceMail {
    /// It is not: whoever sends it has to sign in.
    Refused,
    /// It is, in clear as well.
    Heard,
    /// It is, once TLS is up.
    HeardUnderTls,
}

/// What the next line is.
#[derive(Debug)]
enum Phase {
    /// A command.
    Command,
    /// The MAIL of a device that was refused and has its answer.
    RefusedMail,
    /// A response of SASL.
    Response(Exchange),
}

/// What comes of one line.
enum Answer {
    /// None: it has had one.
    Nothing,
    /// A reply that is no failure.
    Reply(&'static str),
    /// The extensions, with STARTTLS and AUTH as the last of them.
    Ehlo,
    /// Leave to begin the TLS handshake.
    StartTls,
    /// A challenge of SASL in base64.
    Challenge(Exchange, &'static str),
    /// A reply that counts as a failure.
    Failure(&'static str),
    /// Whom the client claims to be.
    Claim(LocalCredentials),
    /// A last reply.
    Close(CloseReason, &'static str),
}

impl SmtpDownstream {
    /// A new session, which shows `extensions` and what `privacy` says of STARTTLS and AUTH.
    pub fn new(extensions: Extensions, privacy: Privacy) -> Self {
        let (devices, standing) = (DeviceMail::Refused, Standing::new(privacy));
        Self { extensions, devices, standing, phase: Phase::Command }
    }

    /// The same session, where MAIL of a client that has not signed in is what `devices` says.
    #[must_use]
    pub fn with_devices(self, devices: DeviceMail) -> Self {
        Self { devices, ..self }
    }

    /// Answers one line, which ends the phase that it belongs to.
    fn answer(&mut self, line: &[u8]) -> Answer {
        let answer = match std::mem::replace(&mut self.phase, Phase::Command) {
            Phase::Command => self.carry_out(line),
            Phase::RefusedMail => Ok(Answer::Nothing),
            Phase::Response(exchange) => exchange.respond(line).map(Answer::from),
        };
        answer.unwrap_or_else(|error| {
            Answer::Failure(match error {
                SaslError::Cancelled => reply::CANCELLED,
                SaslError::Base64 => reply::NOT_BASE64,
                SaslError::Malformed => reply::MALFORMED,
                SaslError::ForeignAuthzid => reply::FOREIGN_AUTHZID,
            })
        })
    }

    /// Answers a command, or the session's last one.
    fn carry_out(&mut self, line: &[u8]) -> Result<Answer, SaslError> {
        if let Err(reason) = self.standing.count_command() {
            return Ok(Answer::Close(reason, reply::TOO_MANY_COMMANDS));
        }
        let privacy = self.standing.privacy;
        let may_sign_in = privacy.takes_credentials();
        Ok(match Command::parse(line) {
            Command::Ehlo => Answer::Ehlo,
            Command::Helo => Answer::Reply(reply::HELO),
            Command::Auth(request) if may_sign_in => return begin_sign_in(&request),
            // Nothing is asked for, and what came with it is thrown away unread.
            Command::Auth(_) => Answer::Failure(reply::AUTH_AFTER_TLS),
            Command::Noop | Command::Rset => Answer::Reply(reply::OK),
            Command::Vrfy => Answer::Reply(reply::VRFY),
            Command::Help => Answer::Reply(if may_sign_in { reply::HELP } else { reply::HELP_TLS }),
            Command::Expn => Answer::Failure(reply::NO_EXPN),
            Command::Mail if may_sign_in => Answer::Failure(reply::AUTH_FIRST),
            Command::Mail => Answer::Failure(reply::MAIL_AFTER_TLS),
            Command::Transaction => Answer::Failure(reply::BAD_ORDER),
            Command::StartTls if privacy.offers_tls() => Answer::StartTls,
            Command::StartTls | Command::StartTlsWithArguments => Answer::Failure(match privacy {
                Privacy::Clear => reply::NO_STARTTLS,
                Privacy::Offered | Privacy::Required => reply::STARTTLS_ARGUMENTS,
                Privacy::Tls => reply::STARTTLS_AGAIN,
            }),
            Command::Unknown => Answer::Failure(reply::UNKNOWN),
            Command::Quit => Answer::Close(CloseReason::Quit, reply::BYE),
            Command::Http => Answer::Close(CloseReason::Browser, reply::NO_WEB_SERVER),
        })
    }

    /// Counts a failure and writes `text`, or the session's last words in its place.
    fn fail(mut self, text: &str, output: &mut Output) -> Step<Self> {
        match self.standing.count_failure() {
            Ok(()) => {
                output.line(text);
                Step::Read(self)
            }
            Err(reason) => {
                output.line(reply::TOO_MANY_FAILURES);
                Step::Close(reason)
            }
        }
    }

    fn show_extensions(&self, output: &mut Output) {
        output.line("250-mailbearer");
        for line in self.extensions.lines() {
            output.line(&format!("250-{line}"));
        }
        let privacy = self.standing.privacy;
        if privacy.takes_credentials() {
            if privacy.offers_tls() {
                output.line("250-STARTTLS");
            }
            output.line("250 AUTH PLAIN LOGIN");
        } else {
            output.line("250 STARTTLS");
        }
    }

    /// Whether the next line is a MAIL that is a device's claim. It stays where it is.
    fn hears_device(&self, input: &Input) -> bool {
        let is_heard = match self.devices {
            DeviceMail::Refused => false,
            DeviceMail::Heard => true,
            DeviceMail::HeardUnderTls => self.standing.privacy == Privacy::Tls,
        };
        is_heard
            && matches!(self.phase, Phase::Command)
            && input.peek_line(sasl::LINE_LEN_MAX).is_some_and(Command::is_mail)
    }

    /// Whether a TLS handshake begins where a command is due.
    fn hears_tls(&self, input: &Input) -> bool {
        matches!(self.phase, Phase::Command) && input.begins_tls_handshake()
    }
}

impl Downstream for SmtpDownstream {
    type Awaiting = SmtpAwaitVerdict;
    type AwaitTls = SmtpAwaitClientTls;

    fn greet(&self, output: &mut Output) {
        output.line(reply::GREETING);
    }

    fn receive(mut self, input: &mut Input, output: &mut Output) -> Step<Self> {
        while !output.is_full() {
            if self.hears_tls(input) {
                // Such a client reads no reply.
                return Step::Close(CloseReason::ClientHello);
            }
            if self.hears_device(input) {
                if self.standing.count_command().is_err() {
                    output.line(reply::TOO_MANY_COMMANDS);
                    return Step::Close(CloseReason::TooManyCommands);
                }
                return Step::Verify(Claim::Device, SmtpAwaitVerdict::Device(self));
            }
            let answer = match input.take_line(sasl::LINE_LEN_MAX) {
                Line::Incomplete => return Step::Read(self),
                Line::Whole(line) => self.answer(&line),
                Line::TooLong => {
                    self.phase = Phase::Command;
                    Answer::Failure(reply::TOO_LONG)
                }
                Line::Skipped(end) if is_http(&end) => {
                    Answer::Close(CloseReason::Browser, reply::NO_WEB_SERVER)
                }
                Line::Skipped(_) => continue,
                Line::Endless => Answer::Close(CloseReason::EndlessLine, reply::ENDLESS),
            };
            match answer {
                Answer::Nothing => {}
                Answer::Reply(text) => output.line(text),
                Answer::Ehlo => self.show_extensions(output),
                Answer::StartTls => {
                    output.line(reply::BEGIN_TLS);
                    return Step::StartTls(SmtpAwaitClientTls(self));
                }
                Answer::Challenge(exchange, challenge) => {
                    self.phase = Phase::Response(exchange);
                    output.line(&format!("334 {challenge}"));
                }
                Answer::Failure(text) => {
                    let step = self.fail(text, output);
                    let Step::Read(machine) = step else { return step };
                    self = machine;
                }
                Answer::Claim(shown) => {
                    let awaiting = SmtpAwaitVerdict::Password(self);
                    return Step::Verify(Claim::Password(shown), awaiting);
                }
                Answer::Close(reason, text) => {
                    output.line(text);
                    return Step::Close(reason);
                }
            }
        }
        Step::Read(self)
    }

    fn farewell(farewell: Farewell, output: &mut Output) {
        output.line(&reply::farewell(farewell));
    }
}

/// A session whose client was told to begin a TLS handshake.
#[derive(Debug)]
pub struct SmtpAwaitClientTls(SmtpDownstream);

impl AwaitClientTls for SmtpAwaitClientTls {
    type Machine = SmtpDownstream;

    fn started(self, input: &Input) -> Result<SmtpDownstream, CloseReason> {
        let SmtpDownstream { extensions, devices, standing, phase: _ } = self.0;
        let standing = standing.start_tls(input)?;
        Ok(SmtpDownstream { extensions, devices, standing, phase: Phase::Command })
    }
}

/// A session whose client claims to be somebody.
#[derive(Debug)]
pub enum SmtpAwaitVerdict {
    /// It has shown a name and a password.
    Password(SmtpDownstream),
    /// It is a device, whose MAIL stands in the input.
    Device(SmtpDownstream),
}

impl AwaitVerdict for SmtpAwaitVerdict {
    type Machine = SmtpDownstream;
    type Welcome = Welcome;

    fn accept(self, welcome: &Welcome, output: &mut Output) {
        match self {
            Self::Password(_) => {
                for line in &welcome.reply {
                    output.bytes(line);
                    output.bytes(b"\r\n");
                }
            }
            // It has asked for nothing but MAIL, which the provider answers.
            Self::Device(_) => {}
        }
    }

    fn refuse(self, refusal: &Refusal, output: &mut Output) -> Step<SmtpDownstream> {
        match self {
            Self::Password(machine) => machine.fail(&reply::refusal(refusal), output),
            Self::Device(mut machine) => {
                let may_sign_in = machine.standing.privacy.takes_credentials();
                let text = if *refusal == Refusal::NoDevice && !may_sign_in {
                    reply::MAIL_AFTER_TLS.to_owned()
                } else {
                    reply::refusal_of_mail(refusal)
                };
                machine.phase = Phase::RefusedMail;
                machine.fail(&text, output)
            }
        }
    }
}

fn begin_sign_in(request: &Request<'_>) -> Result<Answer, SaslError> {
    match Exchange::of(request.mechanism) {
        Some(exchange) => exchange.begin(request.initial_response).map(Answer::from),
        None if request.mechanism.is_empty() => Ok(Answer::Failure(reply::MECHANISM_MISSING)),
        None => Ok(Answer::Failure(reply::MECHANISM_UNKNOWN)),
    }
}

impl From<Turn> for Answer {
    fn from(turn: Turn) -> Self {
        match turn {
            Turn::Challenge(exchange, challenge) => Self::Challenge(exchange, challenge),
            Turn::Claim(shown) => Self::Claim(shown),
        }
    }
}
