//! IMAP, upstream side: from the provider's greeting to its answer to our token.
//!
//! Source: RFC 3501 sections 6.1, 6.2 and 7, RFC 4959 (SASL-IR), RFC 5530 (response codes),
//!         RFC 7628 section 3.2.3 and Google's XOAUTH2 page (error challenge).
//! In:     lines of up to 16 KiB, no literals. Out: our commands, tagged m1, m2 and so on.
//! Ends:   in `Authenticated`, `Refused` or `Close`; what follows is never parsed here.

use std::ops::ControlFlow::{self, Break, Continue};

use zeroize::Zeroizing;

use super::Welcome;
use super::status::{Capabilities, Condition, Response, Status};
use crate::proto::sasl::{Credentials, challenge};
use crate::proto::{
    AwaitTls, AwaitToken, Input, Lasting, Line, Output, Upstream, UpstreamFault, UpstreamRefusal,
    UpstreamStep, printable,
};
use crate::provider::{Mechanism, UpstreamTls};
use crate::secret::{ExposeSecret as _, SecretString};

/// Longest line of a provider, in bytes without its end. Capabilities take some 500.
const LINE_LEN_MAX: usize = 16_384;

/// A command line with the token in it is shorter than this, in bytes; else the token has a line
/// of its own. RFC 7162 section 4 has servers take 8,192.
const INLINE_LEN_MAX: usize = 8_000;

/// Longest welcome, in bytes: far above any seen, and far below what would hurt.
const WELCOME_LEN_MAX: usize = 65_536;

/// Longest reply of a provider that is kept, in bytes.
const REPLY_LEN_MAX: usize = 400;

/// The client that a provider sees until it has answered our token.
#[derive(Debug)]
pub struct ImapUpstream {
    course: Course,
    phase: Phase,
}

/// An IMAP upstream that awaits the end of a TLS handshake.
#[derive(Debug)]
pub struct ImapAwaitTls {
    course: Course,
}

/// An IMAP upstream that awaits an access token.
#[derive(Debug)]
pub struct ImapAwaitToken {
    course: Course,
    sasl_ir: bool,
}

/// What lasts from command to command.
#[derive(Debug, Clone, Copy)]
struct Course {
    mechanism: Mechanism,
    transport: Transport,
    /// How many commands were sent: five at most. The last one's tag is made of it.
    sent: u8,
}

#[derive(Debug, Clone, Copy)]
enum Transport {
    /// Nothing is done in clear but to ask for TLS.
    Clear,
    Tls,
}

/// What is awaited.
#[derive(Debug)]
enum Phase {
    Greeting,
    /// The end of CAPABILITY; what it told so far.
    Capability(Option<Capabilities>),
    /// The end of STARTTLS.
    StartTls,
    /// The end of AUTHENTICATE.
    SignIn(Token, Gathered),
    /// The end of CAPABILITY after the sign-in, whose tagged response is kept here.
    Welcome(Gathered, Vec<u8>),
}

/// Where the access token is.
#[derive(Debug)]
enum Token {
    /// Here, in base64, until the provider asks for it.
    Held(SecretString),
    Sent,
    /// Answered by an error challenge that told this status.
    Challenged(Option<String>),
}

/// The untagged responses since the sign-in began.
#[derive(Debug, Default)]
struct Gathered {
    bytes: Vec<u8>,
    /// Whether capabilities are among them.
    capabilities: bool,
}

/// Goes on with the machine, or ends the call with a step.
type Turn = ControlFlow<UpstreamStep<ImapUpstream>, ImapUpstream>;

impl ImapUpstream {
    /// A client for one connection. It offers a token only by `mechanism` and only under TLS.
    pub fn new(tls: UpstreamTls, mechanism: Mechanism) -> Self {
        let transport = match tls {
            UpstreamTls::Implicit => Transport::Tls,
            UpstreamTls::StartTls => Transport::Clear,
        };
        Course { mechanism, transport, sent: 0 }.with(Phase::Greeting)
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
        Ok(course.send("CAPABILITY", Phase::Capability(None), output))
    }
}

impl AwaitToken for ImapAwaitToken {
    type Machine = ImapUpstream;

    fn authenticate(self, credentials: &Credentials<'_>, output: &mut Output) -> ImapUpstream {
        let course = Course { mechanism: credentials.mechanism, ..self.course };
        let response = credentials.initial_response();
        let command = format!("AUTHENTICATE {}", course.mechanism.name());
        let inline = Zeroizing::new(format!("{command} {}", response.expose_secret()));
        let len = course.next().tag().len() + 1 + inline.len();
        let (command, token) = if self.sasl_ir && len < INLINE_LEN_MAX {
            (inline.as_str(), Token::Sent)
        } else {
            (command.as_str(), Token::Held(response))
        };
        course.send(command, Phase::SignIn(token, Gathered::default()), output)
    }
}

impl Course {
    fn with(self, phase: Phase) -> ImapUpstream {
        ImapUpstream { course: self, phase }
    }

    fn next(self) -> Self {
        Self { sent: self.sent.saturating_add(1), ..self }
    }

    /// The tag of the command that was sent last.
    fn tag(self) -> String {
        format!("m{}", self.sent)
    }

    fn send(self, command: &str, phase: Phase, output: &mut Output) -> ImapUpstream {
        let course = self.next();
        output.bytes(course.tag().as_bytes());
        output.bytes(b" ");
        output.line(command);
        course.with(phase)
    }

    fn take_greeting(self, response: &Response<'_>, output: &mut Output) -> Turn {
        let Response::Status(status) = response else {
            return protocol("it does not greet as an IMAP server: check host and port");
        };
        match (status.condition, response.capabilities()) {
            (Condition::Ok, Some(list)) => {
                self.follow(Capabilities::read(list, self.mechanism), output)
            }
            (Condition::Ok, None) => {
                Continue(self.send("CAPABILITY", Phase::Capability(None), output))
            }
            (Condition::Preauth, _) => fault(UpstreamFault::Preauth),
            (Condition::Bye, _) => turned_away(status),
            (Condition::No | Condition::Bad, _) => protocol("it greets with neither OK nor BYE"),
        }
    }

    fn take_capability(
        self,
        told: Option<Capabilities>,
        response: &Response<'_>,
        output: &mut Output,
    ) -> Turn {
        let read = |list| Capabilities::read(list, self.mechanism);
        let told = response.capabilities().map(read).or(told);
        match (response, told) {
            (Response::Continuation(_), _) => unasked_continuation(),
            (Response::Status(status), _) if status.condition == Condition::Bye => {
                turned_away(status)
            }
            (Response::Status(_) | Response::Data(_), told) => {
                Continue(self.with(Phase::Capability(told)))
            }
            (Response::Tagged(_, status), _) if status.condition != Condition::Ok => {
                protocol("it refuses CAPABILITY")
            }
            (Response::Tagged(..), Some(told)) => self.follow(told, output),
            (Response::Tagged(..), None) => protocol("it tells no capabilities"),
        }
    }

    /// Goes on as the capabilities allow.
    fn follow(self, capabilities: Capabilities, output: &mut Output) -> Turn {
        let Capabilities { starttls, sasl_ir, mechanism } = capabilities;
        match self.transport {
            Transport::Clear if starttls => {
                Continue(self.send("STARTTLS", Phase::StartTls, output))
            }
            Transport::Clear => fault(UpstreamFault::NoStartTls),
            Transport::Tls if mechanism => {
                Break(UpstreamStep::Ready(ImapAwaitToken { course: self, sasl_ir }))
            }
            Transport::Tls => {
                fault(UpstreamFault::NoMechanism { mechanism: self.mechanism.name() })
            }
        }
    }

    fn take_starttls(self, response: &Response<'_>) -> Turn {
        match response {
            Response::Continuation(_) => unasked_continuation(),
            Response::Status(status) if status.condition == Condition::Bye => turned_away(status),
            Response::Status(_) | Response::Data(_) => Continue(self.with(Phase::StartTls)),
            Response::Tagged(_, status) if status.condition == Condition::Ok => {
                Break(UpstreamStep::StartTls(ImapAwaitTls { course: self }))
            }
            Response::Tagged(_, status) if lasting(status) == Lasting::Temporary => {
                turned_away(status)
            }
            Response::Tagged(..) => fault(UpstreamFault::NoStartTls),
        }
    }

    fn take_sign_in(
        self,
        token: Token,
        gathered: Gathered,
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
            (Response::Status(status), token) if status.condition == Condition::Bye => {
                refused(status, token)
            }
            (Response::Status(_) | Response::Data(_), token) => match gathered.push(line, response)
            {
                Some(gathered) => Continue(self.with(Phase::SignIn(token, gathered))),
                None => welcome_too_long(),
            },
            (Response::Tagged(_, status), token) if status.condition != Condition::Ok => {
                refused(status, token)
            }
            (Response::Tagged(..), Token::Held(_)) => {
                protocol("it accepts the sign-in before it has seen the token")
            }
            (Response::Tagged(..), Token::Challenged(_)) => protocol(challenge::ACCEPTED),
            (Response::Tagged(_, status), Token::Sent) => {
                let tagged = status.text.to_vec();
                if gathered.capabilities || response.capabilities().is_some() {
                    return gathered.authenticated(tagged);
                }
                // Exchange tells none, and has others now. The client may not ask again.
                Continue(self.send("CAPABILITY", Phase::Welcome(gathered, tagged), output))
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
                refused(status, Token::Sent)
            }
            Response::Status(_) | Response::Data(_) => match gathered.push(line, response) {
                Some(gathered) => Continue(self.with(Phase::Welcome(gathered, tagged))),
                None => welcome_too_long(),
            },
            // Whatever it says here, it has accepted the sign-in.
            Response::Tagged(..) => gathered.authenticated(tagged),
        }
    }
}

impl Gathered {
    /// Appends a response; `None` when that is too much.
    fn push(mut self, line: &[u8], response: &Response<'_>) -> Option<Self> {
        self.bytes.extend_from_slice(line);
        self.bytes.extend_from_slice(b"\r\n");
        self.capabilities |= response.capabilities().is_some();
        (self.bytes.len() <= WELCOME_LEN_MAX).then_some(self)
    }

    fn authenticated(self, tagged: Vec<u8>) -> Turn {
        Break(UpstreamStep::Authenticated(Welcome { untagged: self.bytes, tagged }))
    }
}

/// Whether the refusal may pass by itself. The codes of RFC 5530 that say so are believed, and so
/// is BYE; texts are not interpreted. CONTACTADMIN is no such code: somebody has to do something.
fn lasting(status: &Status<'_>) -> Lasting {
    const TEMPORARY: [&[u8]; 4] = [b"UNAVAILABLE", b"INUSE", b"LIMIT", b"SERVERBUG"];
    let passes = match status.condition {
        Condition::Bye => true,
        Condition::No => TEMPORARY
            .iter()
            .any(|code| status.code.is_some_and(|told| told.eq_ignore_ascii_case(code))),
        Condition::Ok | Condition::Bad | Condition::Preauth => false,
    };
    if passes { Lasting::Temporary } else { Lasting::Permanent }
}

fn refused(status: &Status<'_>, token: Token) -> Turn {
    let challenge_status = match token {
        Token::Challenged(status) => status,
        Token::Held(_) | Token::Sent => None,
    };
    let reply = printable(status.line, REPLY_LEN_MAX);
    let lasting = lasting(status);
    Break(UpstreamStep::Refused(UpstreamRefusal { reply, lasting, challenge_status }))
}

fn turned_away(status: &Status<'_>) -> Turn {
    fault(UpstreamFault::TurnedAway { reply: printable(status.line, REPLY_LEN_MAX) })
}

fn unasked_continuation() -> Turn {
    protocol("it asks for more than was begun")
}

fn welcome_too_long() -> Turn {
    protocol("it says more than 64 KiB before the sign-in is complete")
}

fn protocol(problem: &'static str) -> Turn {
    fault(UpstreamFault::Protocol { problem })
}

fn fault(fault: UpstreamFault) -> Turn {
    Break(UpstreamStep::Close(fault))
}
