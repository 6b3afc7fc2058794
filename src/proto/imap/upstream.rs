//! IMAP, upstream side: from the provider's greeting to its answer to our token.
//!
//! Source: RFC 3501 sections 6.1, 6.2 and 7, RFC 4959 (SASL-IR), RFC 5530 (response codes),
//!         RFC 7628 section 3.2.3 and Google's XOAUTH2 page (error challenge).
//! In:     lines of up to 16 KiB, 64 KiB in all, no literals.
//! Out:    our commands, tagged m1, m2 and so on.
//! Ends:   in `Authenticated`, `Refused` or `Close`; what follows is never parsed here.

use std::ops::ControlFlow::{self, Break, Continue};

use bytes::Bytes;

use super::course::{Course, Transport, protocol, unasked_continuation};
use super::status::{Capabilities, Condition, Response, Status};
use super::{Source, Welcome};
use crate::proto::sasl::{Credentials, challenge};
use crate::proto::{
    AwaitTls, AwaitToken, Input, Line, Output, Upstream, UpstreamFault, UpstreamRefusal,
    UpstreamStep, printable,
};
use crate::provider::{Mechanism, UpstreamTls};
use crate::secret::{ExposeSecret as _, SecretString};

/// Longest line of a provider, in bytes without its end. Capabilities take some 500.
const LINE_LEN_MAX: usize = 16_384;

/// A command line with the token in it is shorter than this, in bytes; else the token has a line
/// of its own. RFC 7162 section 4 has servers take 8,192.
const INLINE_LEN_MAX: usize = 8_000;

/// What is told of a provider that would sign in whoever asks.
const ACCEPTED_AHEAD: &str = "it accepts the sign-in before it has seen the token";

/// Longest reply of a provider that is kept, in bytes.
pub(super) const REPLY_LEN_MAX: usize = 400;

/// The client that a provider sees until it has answered our token.
#[derive(Debug)]
pub struct ImapUpstream {
    pub(super) course: Course,
    pub(super) phase: Phase,
}

/// An IMAP upstream that awaits the end of a TLS handshake.
#[derive(Debug)]
pub struct ImapAwaitTls {
    pub(super) course: Course,
}

/// An IMAP upstream that awaits an access token.
#[derive(Debug)]
pub struct ImapAwaitToken {
    course: Course,
    stage: Stage,
    gathered: Gathered,
}

/// How far the sign-in is before there is a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The token goes with AUTHENTICATE (SASL-IR), if it is not too long.
    Inline,
    /// The token has a line of its own.
    Idle,
    /// So it has, and AUTHENTICATE is answered.
    Asked,
}

/// What is awaited.
#[derive(Debug)]
pub(super) enum Phase {
    Greeting,
    /// The end of CAPABILITY; what it told so far.
    Capability(Option<Capabilities>),
    /// The end of STARTTLS.
    StartTls,
    /// The continuation of AUTHENTICATE, before there is a token.
    Ahead(Gathered),
    /// The end of AUTHENTICATE.
    SignIn(Token, Gathered),
    /// The end of CAPABILITY after the sign-in, whose tagged response is kept here.
    Welcome(Gathered, Vec<u8>),
}

/// Where the access token is.
#[derive(Debug)]
pub(super) enum Token {
    /// Here, in base64, until the provider asks for it.
    Held(SecretString),
    Sent,
    /// Answered by an error challenge that told this status.
    Challenged(Option<String>),
}

/// The untagged responses since the sign-in began.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    bytes: Vec<u8>,
    /// How many of the bytes came ahead of the token.
    ahead_len: usize,
    /// Whether capabilities are among them.
    capabilities: bool,
    /// Those that are put among them where there are none.
    remembered: Option<Bytes>,
    source: Source,
}

/// Goes on with the machine, or ends the call with a step.
pub(super) type Turn = ControlFlow<UpstreamStep<ImapUpstream>, ImapUpstream>;

impl ImapUpstream {
    /// A client for one connection. It offers a token only by `mechanism` and only under TLS.
    pub fn new(tls: UpstreamTls, mechanism: Mechanism) -> Self {
        let transport = match tls {
            UpstreamTls::Implicit => Transport::Tls,
            UpstreamTls::StartTls => Transport::Clear,
        };
        Course::new(mechanism, transport).with(Phase::Greeting)
    }

    /// Consumes one line.
    fn advance(self, input: &mut Input, output: &mut Output) -> Turn {
        match input.take_line(LINE_LEN_MAX) {
            Line::Whole(line) => self.take_line(&line, output),
            Line::TooLong | Line::Skipped(_) | Line::Endless => {
                protocol("it sends a line of more than 16 KiB")
            }
            Line::Incomplete => Break(UpstreamStep::Read(self)),
        }
    }

    fn take_line(self, line: &[u8], output: &mut Output) -> Turn {
        let Self { course, phase } = self;
        let Some(course) = course.hear(line) else {
            return protocol("it says more than 64 KiB before the sign-in is complete");
        };
        let Some(response) = Response::parse(line) else {
            return protocol("it sends what is no response, or none that may come before sign-in");
        };
        if matches!(response, Response::Tagged(tag, _) if tag != course.tag().as_bytes()) {
            return protocol("it answers a command that was not sent");
        }
        match phase {
            Phase::Greeting => course.take_greeting(&response, output),
            Phase::Capability(told) => course.take_capability(told, &response, output),
            Phase::StartTls => course.take_starttls(&response),
            Phase::Ahead(gathered) => course.take_ahead(gathered, line, &response),
            Phase::SignIn(token, gathered) => {
                course.take_sign_in(token, gathered, line, &response, output)
            }
            Phase::Welcome(gathered, tagged) => {
                course.take_welcome(gathered, tagged, line, &response)
            }
        }
    }
}

impl Upstream for ImapUpstream {
    type Welcome = Welcome;
    type AwaitTls = ImapAwaitTls;
    type AwaitToken = ImapAwaitToken;

    fn receive(mut self, input: &mut Input, output: &mut Output) -> UpstreamStep<Self> {
        loop {
            match self.advance(input, output) {
                Continue(machine) => self = machine,
                Break(step) => return step,
            }
        }
    }
}

impl AwaitTls for ImapAwaitTls {
    type Machine = ImapUpstream;

    /// Asks for the capabilities anew: those from before TLS may be anybody's.
    fn started(self, input: &Input, output: &mut Output) -> Result<ImapUpstream, UpstreamFault> {
        if !input.is_empty() {
            return Err(UpstreamFault::CleartextBehindStartTls);
        }
        let course = Course { transport: Transport::Tls, ..self.course };
        Ok(course.send(&["CAPABILITY"], Phase::Capability(None), output))
    }
}

impl ImapAwaitToken {
    pub(super) fn new(course: Course, stage: Stage) -> Self {
        Self { course, stage, gathered: Gathered::default() }
    }

    /// Goes by the CAPABILITY response `told`, with its CRLF, where the provider tells no
    /// capabilities behind the sign-in: another session heard it there as the same mailbox.
    pub fn remember(&mut self, told: Bytes) {
        self.gathered.remembered = Some(told);
    }
}

impl AwaitToken for ImapAwaitToken {
    type Machine = ImapUpstream;

    /// Writes AUTHENTICATE where the token has a line of its own: sent alone, it would rule out that
    /// the token goes with it.
    fn begin(self, output: &mut Output) -> UpstreamStep<ImapUpstream> {
        let Self { course, stage: Stage::Idle, gathered } = self else {
            return UpstreamStep::Ready(self);
        };
        let command = format!("AUTHENTICATE {}", course.mechanism.name());
        UpstreamStep::Read(course.send(&[&command], Phase::Ahead(gathered), output))
    }

    fn authenticate(self, credentials: &Credentials<'_>, output: &mut Output) -> ImapUpstream {
        let Self { course, stage, gathered } = self;
        debug_assert_eq!(course.mechanism, credentials.mechanism, "the server was asked for it");
        let response = credentials.initial_response();
        if stage == Stage::Asked {
            output.line(response.expose_secret());
            return course.with(Phase::SignIn(Token::Sent, gathered));
        }
        let command = format!("AUTHENTICATE {}", course.mechanism.name());
        let inline = [command.as_str(), " ", response.expose_secret()];
        let len: usize = inline.into_iter().map(str::len).sum();
        if stage == Stage::Inline && course.next().tag().len() + 1 + len < INLINE_LEN_MAX {
            course.send(&inline, Phase::SignIn(Token::Sent, gathered), output)
        } else {
            course.send(&[&command], Phase::SignIn(Token::Held(response), gathered), output)
        }
    }
}

impl Course {
    fn take_ahead(self, gathered: Gathered, line: &[u8], response: &Response<'_>) -> Turn {
        match response {
            Response::Continuation(_) => {
                let awaiting = ImapAwaitToken { course: self, stage: Stage::Asked, gathered };
                Break(UpstreamStep::Ready(awaiting))
            }
            Response::Status(status) if status.condition == Condition::Bye => {
                refused(status, Token::Sent, gathered.is_silent_on_token())
            }
            Response::Status(_) | Response::Data(_) => {
                Continue(self.with(Phase::Ahead(gathered.push_ahead(line, response))))
            }
            Response::Tagged(_, status) if status.condition != Condition::Ok => {
                refused(status, Token::Sent, false)
            }
            Response::Tagged(..) => protocol(ACCEPTED_AHEAD),
        }
    }

    fn take_sign_in(
        self,
        token: Token,
        mut gathered: Gathered,
        line: &[u8],
        response: &Response<'_>,
        output: &mut Output,
    ) -> Turn {
        match (response, token) {
            (Response::Continuation(_), Token::Held(response)) => {
                output.line(response.expose_secret());
                Continue(self.with(Phase::SignIn(Token::Sent, gathered)))
            }
            (Response::Continuation(text), Token::Sent) => {
                output.line(challenge::acknowledgement(self.mechanism));
                let token = Token::Challenged(challenge::status(text));
                Continue(self.with(Phase::SignIn(token, gathered)))
            }
            (Response::Continuation(_), Token::Challenged(_)) => unasked_continuation(),
            // RFC 3501 section 7.1.5: it closes, whatever was asked. A refusal is tagged.
            (Response::Status(status), token) if status.condition == Condition::Bye => {
                let is_first =
                    gathered.is_silent_on_token() && !matches!(token, Token::Challenged(_));
                refused(status, token, is_first)
            }
            (Response::Status(_) | Response::Data(_), token @ Token::Held(_)) => {
                Continue(self.with(Phase::SignIn(token, gathered.push_ahead(line, response))))
            }
            (Response::Status(_) | Response::Data(_), token) => {
                Continue(self.with(Phase::SignIn(token, gathered.push(line, response))))
            }
            (Response::Tagged(_, status), token) if status.condition != Condition::Ok => {
                refused(status, token, false)
            }
            (Response::Tagged(..), Token::Held(_)) => protocol(ACCEPTED_AHEAD),
            (Response::Tagged(..), Token::Challenged(_)) => protocol(challenge::ACCEPTED),
            (Response::Tagged(_, status), Token::Sent) => {
                let tagged = status.text.to_vec();
                if gathered.capabilities || response.capabilities().is_some() {
                    return gathered.authenticated(tagged);
                }
                // Exchange tells none, and has others now. The client may not ask again.
                if let Some(told) = gathered.remembered.take() {
                    gathered.bytes.extend_from_slice(&told);
                    gathered.source = Source::Remembered;
                    return gathered.authenticated(tagged);
                }
                gathered.source = Source::Asked;
                Continue(self.send(&["CAPABILITY"], Phase::Welcome(gathered, tagged), output))
            }
        }
    }

    fn take_welcome(
        self,
        gathered: Gathered,
        tagged: Vec<u8>,
        line: &[u8],
        response: &Response<'_>,
    ) -> Turn {
        match response {
            Response::Continuation(_) => unasked_continuation(),
            Response::Status(status) if status.condition == Condition::Bye => {
                refused(status, Token::Sent, false)
            }
            Response::Status(_) | Response::Data(_) => {
                Continue(self.with(Phase::Welcome(gathered.push(line, response), tagged)))
            }
            // Whatever it says here, it has accepted the sign-in.
            Response::Tagged(..) => gathered.authenticated(tagged),
        }
    }
}

impl Gathered {
    /// Appends a response.
    fn push(mut self, line: &[u8], response: &Response<'_>) -> Self {
        self.bytes.extend_from_slice(line);
        self.bytes.extend_from_slice(b"\r\n");
        self.capabilities |= response.capabilities().is_some();
        self
    }

    /// Appends a response that comes ahead of the token, unless it tells capabilities: others count
    /// behind the sign-in (RFC 3501 section 6.2.2).
    fn push_ahead(self, line: &[u8], response: &Response<'_>) -> Self {
        if response.capabilities().is_some() {
            return self;
        }
        let gathered = self.push(line, response);
        Self { ahead_len: gathered.bytes.len(), ..gathered }
    }

    /// Whether nothing came behind the token so far.
    fn is_silent_on_token(&self) -> bool {
        self.bytes.len() == self.ahead_len
    }

    fn authenticated(self, tagged: Vec<u8>) -> Turn {
        let Self { bytes: untagged, source, .. } = self;
        Break(UpstreamStep::Authenticated(Welcome { untagged, tagged, source }))
    }
}

fn refused(status: &Status<'_>, token: Token, is_farewell: bool) -> Turn {
    let challenge_status = match token {
        Token::Challenged(status) => status,
        Token::Held(_) | Token::Sent => None,
    };
    let reply = printable(status.line, REPLY_LEN_MAX);
    let lasting = status.lasting();
    Break(UpstreamStep::Refused(UpstreamRefusal { reply, lasting, challenge_status, is_farewell }))
}
