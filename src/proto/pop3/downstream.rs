//! POP3, downstream side: the commands a client may send before it is signed in.
//!
//! Sources: RFC 1939 section 7 (USER, PASS), RFC 2449 (CAPA), RFC 2595 section 4 (STLS), RFC 5034
//!          section 4 (AUTH).
//! In:   lines of up to `COMMAND_LINE_LEN_MAX` bytes, `sasl::LINE_LEN_MAX` where they carry SASL,
//!       ending in CRLF or LF.
//! Out:  one reply a command, in order; none repeats a byte of the client.
//! Ends: in `Step::Verify`, `Step::StartTls` or `Step::Close`; what follows is never parsed here.

use super::command::Command;
use super::{Welcome, reply};
use crate::names::Username;
use crate::proto::preauth::is_http;
use crate::proto::sasl::exchange::{Exchange, Request, Turn};
use crate::proto::sasl::{self, SaslError};
use crate::proto::{
    AwaitClientTls, AwaitVerdict, Claim, CloseReason, Downstream, Farewell, Input, Line,
    LocalCredentials, Output, Privacy, Standing, Step,
};
use crate::refusal::Refusal;

/// Longest line of a command, in bytes without its end.
///
/// RFC 2449 section 4 allows 255 with its end. AUTH may be as long as a line of SASL: clients send
/// long initial responses inline, though RFC 5034 section 4 forbids it.
const COMMAND_LINE_LEN_MAX: usize = 255;

/// The server that a POP3 client sees until it is signed in.
#[derive(Debug)]
pub struct Pop3Downstream {
    standing: Standing,
    phase: Phase,
}

/// What the next line is.
#[derive(Debug)]
enum Phase {
    /// A command. The name is that of the last USER, until something else begins a sign-in.
    Command(Option<Username>),
    /// A response of SASL.
    Response(Exchange),
}

/// What comes of one line.
enum Answer {
    /// A reply that is no failure.
    Reply(&'static str),
    /// The capabilities.
    Capabilities,
    /// The SASL mechanisms.
    Mechanisms,
    /// A challenge of SASL in base64.
    Challenge(Exchange, &'static str),
    /// A reply that counts as a failure.
    Failure(&'static str),
    /// Whom the client claims to be.
    Claim(LocalCredentials),
    /// A TLS handshake is due.
    StartTls,
    /// A last reply.
    Close(CloseReason, &'static str),
}

impl Pop3Downstream {
    /// A server for one session.
    pub fn new(privacy: Privacy) -> Self {
        Self { standing: Standing::new(privacy), phase: Phase::Command(None) }
    }

    /// Answers one line, which ends the phase that it belongs to.
    fn answer(&mut self, line: &[u8]) -> Answer {
        let answer = match std::mem::replace(&mut self.phase, Phase::Command(None)) {
            Phase::Command(user) => self.obey(line, user),
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

    fn obey(&mut self, line: &[u8], user: Option<Username>) -> Result<Answer, SaslError> {
        let command = Command::parse(line);
        if let Err(reason) = self.standing.count_command() {
            return Ok(Answer::Close(reason, reply::TOO_MANY_COMMANDS));
        }
        if line.len() > COMMAND_LINE_LEN_MAX && !command.may_be_long() {
            return Ok(Answer::Failure(reply::TOO_LONG));
        }
        let signs_in = matches!(command, Command::User(_) | Command::Pass(_) | Command::Auth(_));
        if signs_in && !self.standing.privacy.takes_credentials() {
            return Ok(Answer::Failure(reply::TLS_FIRST));
        }
        let answer = match command {
            Command::User(name) => return Ok(self.take_name(name)),
            Command::Pass(password) => return claim(user, password),
            Command::Auth(request) => return begin_sign_in(&request),
            Command::Apop => Answer::Failure(reply::NO_APOP),
            Command::Capa => Answer::Capabilities,
            Command::Stls => match self.standing.privacy {
                Privacy::Offered | Privacy::Required => Answer::StartTls,
                Privacy::Tls => Answer::Failure(reply::TLS_ACTIVE),
                Privacy::Clear => Answer::Failure(reply::NO_STLS),
            },
            Command::Noop => Answer::Reply(reply::OK),
            Command::Quit => Answer::Close(CloseReason::Quit, reply::BYE),
            Command::Transaction => Answer::Failure(reply::SIGN_IN_FIRST),
            Command::Arguments => Answer::Failure(reply::NO_ARGUMENTS),
            Command::Unknown => Answer::Failure(reply::UNKNOWN),
            Command::Http => Answer::Close(CloseReason::Browser, reply::NO_WEB_SERVER),
        };
        // Clients ask for capabilities, or say NOOP, between USER and PASS.
        self.phase = Phase::Command(user);
        Ok(answer)
    }

    /// Takes a name that PASS is to follow. Whether there is such an account is never told here.
    fn take_name(&mut self, name: &[u8]) -> Answer {
        match Username::from_wire(name) {
            Ok(name) => {
                self.phase = Phase::Command(Some(name));
                Answer::Reply(reply::SEND_PASS)
            }
            Err(_) => Answer::Failure(reply::USERNAME),
        }
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

    /// Shows what a client may use here and behind the sign-in. It asks again after that, and is
    /// answered by the provider.
    fn show_capabilities(&self, output: &mut Output) {
        let privacy = self.standing.privacy;
        output.line(reply::CAPABILITIES);
        if privacy.takes_credentials() {
            output.line("USER");
            output.line("SASL PLAIN LOGIN");
        }
        if privacy.offers_tls() {
            output.line("STLS");
        }
        for capability in ["RESP-CODES", "AUTH-RESP-CODE", "UIDL", "TOP", "PIPELINING"] {
            output.line(capability);
        }
        output.line(reply::END_OF_LIST);
    }

    /// Whether a TLS handshake begins where a command is due.
    fn hears_tls(&self, input: &Input) -> bool {
        matches!(self.phase, Phase::Command(_)) && input.begins_tls_handshake()
    }
}

impl Downstream for Pop3Downstream {
    type Awaiting = Pop3AwaitVerdict;
    type AwaitTls = Pop3AwaitClientTls;

    fn greet(&self, output: &mut Output) {
        output.line(reply::GREETING);
    }

    fn receive(mut self, input: &mut Input, output: &mut Output) -> Step<Self> {
        while !output.is_full() {
            if self.hears_tls(input) {
                // Such a client reads no reply.
                return Step::Close(CloseReason::ClientHello);
            }
            let answer = match input.take_line(sasl::LINE_LEN_MAX) {
                Line::Incomplete => return Step::Read(self),
                Line::Whole(line) => self.answer(&line),
                Line::TooLong => {
                    self.phase = Phase::Command(None);
                    Answer::Failure(reply::TOO_LONG)
                }
                Line::Skipped(end) if is_http(&end) => {
                    Answer::Close(CloseReason::Browser, reply::NO_WEB_SERVER)
                }
                Line::Skipped(_) => continue,
                Line::Endless => Answer::Close(CloseReason::EndlessLine, reply::ENDLESS),
            };
            match answer {
                Answer::Reply(text) => output.line(text),
                Answer::Capabilities => self.show_capabilities(output),
                Answer::Mechanisms => {
                    for line in [reply::MECHANISMS, "PLAIN", "LOGIN", reply::END_OF_LIST] {
                        output.line(line);
                    }
                }
                Answer::Challenge(exchange, challenge) => {
                    self.phase = Phase::Response(exchange);
                    output.line(&format!("+ {challenge}"));
                }
                Answer::Failure(text) => {
                    let step = self.fail(text, output);
                    let Step::Read(machine) = step else { return step };
                    self = machine;
                }
                Answer::Claim(shown) => {
                    return Step::Verify(Claim::Password(shown), Pop3AwaitVerdict(self));
                }
                Answer::StartTls => {
                    output.line(reply::BEGIN_TLS);
                    return Step::StartTls(Pop3AwaitClientTls(self));
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

/// A POP3 client that was told to begin a TLS handshake.
#[derive(Debug)]
pub struct Pop3AwaitClientTls(Pop3Downstream);

impl AwaitClientTls for Pop3AwaitClientTls {
    type Machine = Pop3Downstream;

    fn started(self, input: &Input) -> Result<Pop3Downstream, CloseReason> {
        let standing = self.0.standing.start_tls(input)?;
        Ok(Pop3Downstream { standing, phase: Phase::Command(None) })
    }
}

/// A POP3 client's sign-in that awaits the verdict.
#[derive(Debug)]
pub struct Pop3AwaitVerdict(Pop3Downstream);

impl AwaitVerdict for Pop3AwaitVerdict {
    type Machine = Pop3Downstream;
    type Welcome = Welcome;

    fn accept(self, welcome: &Welcome, output: &mut Output) {
        output.bytes(&welcome.reply);
        output.bytes(b"\r\n");
    }

    fn refuse(self, refusal: &Refusal, output: &mut Output) -> Step<Pop3Downstream> {
        self.0.fail(&reply::refusal(refusal), output)
    }
}

/// The claim of USER and PASS.
fn claim(user: Option<Username>, password: Option<&[u8]>) -> Result<Answer, SaslError> {
    Ok(match (user, password) {
        (None, _) => Answer::Failure(reply::USER_FIRST),
        (Some(_), None) => Answer::Failure(reply::PASSWORD_MISSING),
        (Some(_), Some(password)) if password.contains(&0) => return Err(SaslError::Malformed),
        (Some(username), Some(password)) => {
            Answer::Claim(LocalCredentials { username, password: password.to_vec().into() })
        }
    })
}

/// Begins a sign-in, or lists the mechanisms for AUTH alone.
fn begin_sign_in(request: &Request<'_>) -> Result<Answer, SaslError> {
    match Exchange::of(request.mechanism) {
        Some(exchange) => exchange.begin(request.initial_response).map(Answer::from),
        None if request.mechanism.is_empty() => Ok(Answer::Mechanisms),
        None => Ok(Answer::Failure(reply::MECHANISM)),
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
