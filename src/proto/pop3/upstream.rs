//! POP3, upstream side: from the provider's greeting to its answer to our token.
//!
//! Sources: RFC 1939 section 3, RFC 2595 section 4 (STLS), RFC 5034 section 4 (AUTH), RFC 2449
//!          section 8 and RFC 3206 (response codes), RFC 7628 section 3.2.3 and Google's XOAUTH2 page
//!          (error challenge).
//! In:     lines of up to 2 KiB. Out: STLS where TLS is not up, AUTH, the token on its own line.
//! Ends:   in `Authenticated`, `Refused` or `Close`; what follows is never parsed here.
//!
//! CAPA is not asked: STLS and AUTH are answered by `-ERR` where they are not there, and each sign-in
//! would wait one round trip longer.

use std::ops::ControlFlow::{self, Break, Continue};

use super::Welcome;
use crate::proto::sasl::{Credentials, challenge};
use crate::proto::{
    AwaitTls, AwaitToken, Input, Lasting, Line, Output, Upstream, UpstreamFault, UpstreamRefusal,
    UpstreamStep, printable,
};
use crate::provider::{Mechanism, UpstreamTls};
use crate::secret::{ExposeSecret as _, SecretString};

/// Longest line of a provider, in bytes without its end.
///
/// RFC 2449 section 4 allows 512; error challenges of providers are longer.
const LINE_LEN_MAX: usize = 2_048;

/// Longest reply of a provider that is kept, in bytes.
const REPLY_LEN_MAX: usize = 400;

/// The client that a provider sees until it has answered our token.
#[derive(Debug)]
pub struct Pop3Upstream {
    mechanism: Mechanism,
    phase: Phase,
}

/// Where the connection is.
#[derive(Debug)]
enum Phase {
    /// TLS was started. A server does not greet again (RFC 2595 section 4).
    Private,
    /// A reply to something.
    Reply(Awaited),
}

/// The reply that is awaited.
#[derive(Debug)]
enum Awaited {
    /// The greeting.
    Greeting(UpstreamTls),
    /// The answer to STLS.
    Stls,
    /// Leave to send a token that is not here yet.
    Ahead,
    /// Leave to send the token, which is here in base64.
    ///
    /// It never comes with AUTH: Exchange Online closes the connection on that, and most tokens
    /// exceed the 255 bytes that RFC 5034 section 4 allows there.
    Leave(SecretString),
    /// The answer to the token.
    Outcome,
    /// The final reply, behind an error challenge that told this status.
    Final(Option<String>),
}

/// A line of a provider.
enum Reply<'a> {
    /// `+OK …`
    Ok,
    /// `-ERR …`, with what stands between `[` and `]` at the beginning of its text.
    Err(Option<&'a [u8]>),
    /// `+ …`: what stands behind it.
    Continuation(&'a [u8]),
}

/// Goes on with the machine, or ends the call with a step.
type Turn = ControlFlow<UpstreamStep<Pop3Upstream>, Pop3Upstream>;

impl Pop3Upstream {
    /// A connection that was just made; with [`UpstreamTls::Implicit`], one whose TLS is up.
    pub fn new(tls: UpstreamTls, mechanism: Mechanism) -> Self {
        Self::awaiting(Awaited::Greeting(tls), mechanism)
    }

    fn awaiting(reply: Awaited, mechanism: Mechanism) -> Self {
        Self { mechanism, phase: Phase::Reply(reply) }
    }

    /// Consumes one line.
    fn advance(self, input: &mut Input, output: &mut Output) -> Turn {
        let Self { mechanism, phase } = self;
        let awaited = match phase {
            Phase::Private => return Break(Pop3AwaitToken::idle(mechanism)),
            Phase::Reply(awaited) => awaited,
        };
        match input.take_line(LINE_LEN_MAX) {
            Line::Whole(line) => awaited.take(&line, mechanism, output),
            Line::TooLong | Line::Skipped(_) | Line::Endless => {
                protocol("it sends a line of more than 2,048 bytes")
            }
            Line::Incomplete => Break(UpstreamStep::Read(Self::awaiting(awaited, mechanism))),
        }
    }
}

impl Awaited {
    fn take(self, line: &[u8], mechanism: Mechanism, output: &mut Output) -> Turn {
        let go_on = |reply| Continue(Pop3Upstream::awaiting(reply, mechanism));
        let Some(reply) = Reply::parse(line) else {
            return protocol(match self {
                Self::Greeting(_) => "it does not greet as a POP3 server: check host and port",
                Self::Stls | Self::Ahead | Self::Leave(_) | Self::Outcome | Self::Final(_) => {
                    "it sends what is no reply"
                }
            });
        };
        match (self, reply) {
            (Self::Greeting(UpstreamTls::StartTls), Reply::Ok) => {
                output.line("STLS");
                go_on(Self::Stls)
            }
            (Self::Greeting(UpstreamTls::Implicit), Reply::Ok) => {
                Break(Pop3AwaitToken::idle(mechanism))
            }
            (Self::Greeting(_), Reply::Err(_)) => {
                fault(UpstreamFault::TurnedAway { reply: printable(line, REPLY_LEN_MAX) })
            }
            (Self::Stls, Reply::Ok) => Break(UpstreamStep::StartTls(Pop3AwaitTls { mechanism })),
            (Self::Stls, Reply::Err(code)) if lasting(code) == Lasting::Temporary => {
                fault(UpstreamFault::TurnedAway { reply: printable(line, REPLY_LEN_MAX) })
            }
            (Self::Stls, Reply::Err(_)) => fault(UpstreamFault::NoStartTls),
            (Self::Ahead, Reply::Continuation(_)) => {
                Break(UpstreamStep::Ready(Pop3AwaitToken { mechanism, stage: Stage::Asked }))
            }
            (Self::Leave(token), Reply::Continuation(_)) => {
                output.line(token.expose_secret());
                go_on(Self::Outcome)
            }
            (Self::Ahead | Self::Leave(_), Reply::Ok) => {
                protocol("it accepts the sign-in before it has seen the token")
            }
            // Where no code tells more, it is the mechanism that it does not take.
            (Self::Ahead | Self::Leave(_), Reply::Err(None)) => {
                fault(UpstreamFault::NoMechanism { mechanism: mechanism.name() })
            }
            (Self::Outcome, Reply::Continuation(text)) => {
                output.line(challenge::acknowledgement(mechanism));
                go_on(Self::Final(challenge::status(text)))
            }
            (Self::Outcome, Reply::Ok) => {
                Break(UpstreamStep::Authenticated(Welcome { reply: line.to_vec() }))
            }
            (Self::Final(_), Reply::Ok) => protocol(challenge::ACCEPTED),
            (Self::Ahead | Self::Leave(_) | Self::Outcome, Reply::Err(code)) => {
                refused(line, code, None)
            }
            (Self::Final(status), Reply::Err(code)) => refused(line, code, status),
            (Self::Greeting(_) | Self::Stls | Self::Final(_), Reply::Continuation(_)) => {
                protocol("it asks for more than was begun")
            }
        }
    }
}

impl<'a> Reply<'a> {
    /// Takes a line apart; `None` where it is no reply.
    fn parse(line: &'a [u8]) -> Option<Self> {
        let (word, text) = match memchr::memchr(b' ', line) {
            Some(end) => line.split_at_checked(end)?,
            None => (line, &b""[..]),
        };
        let text = text.trim_ascii();
        match word {
            b"+OK" => Some(Self::Ok),
            b"-ERR" => Some(Self::Err(text.strip_prefix(b"[").and_then(|code| {
                let end = memchr::memchr(b']', code)?;
                code.get(..end)
            }))),
            b"+" => Some(Self::Continuation(text)),
            _ => None,
        }
    }
}

impl Upstream for Pop3Upstream {
    type Welcome = Welcome;
    type AwaitTls = Pop3AwaitTls;
    type AwaitToken = Pop3AwaitToken;

    fn receive(mut self, input: &mut Input, output: &mut Output) -> UpstreamStep<Self> {
        loop {
            match self.advance(input, output) {
                Continue(machine) => self = machine,
                Break(step) => return step,
            }
        }
    }
}

/// A POP3 upstream that awaits the end of a TLS handshake.
#[derive(Debug)]
pub struct Pop3AwaitTls {
    mechanism: Mechanism,
}

impl AwaitTls for Pop3AwaitTls {
    type Machine = Pop3Upstream;

    fn started(self, input: &Input, _: &mut Output) -> Result<Pop3Upstream, UpstreamFault> {
        if input.is_empty() {
            Ok(Pop3Upstream { mechanism: self.mechanism, phase: Phase::Private })
        } else {
            Err(UpstreamFault::CleartextBehindStartTls)
        }
    }
}

/// A POP3 upstream that can begin the sign-in.
#[derive(Debug)]
pub struct Pop3AwaitToken {
    mechanism: Mechanism,
    stage: Stage,
}

/// How far a sign-in is that awaits its token.
#[derive(Debug, Clone, Copy)]
enum Stage {
    /// Nothing was said.
    Idle,
    /// AUTH was said, and the server asks for the token.
    Asked,
}

impl Pop3AwaitToken {
    fn idle(mechanism: Mechanism) -> UpstreamStep<Pop3Upstream> {
        UpstreamStep::Ready(Self { mechanism, stage: Stage::Idle })
    }
}

impl AwaitToken for Pop3AwaitToken {
    type Machine = Pop3Upstream;

    fn begin(self, output: &mut Output) -> UpstreamStep<Pop3Upstream> {
        let Self { mechanism, stage: Stage::Idle } = self else {
            return UpstreamStep::Ready(self);
        };
        output.line(&format!("AUTH {}", mechanism.name()));
        UpstreamStep::Read(Pop3Upstream::awaiting(Awaited::Ahead, mechanism))
    }

    fn authenticate(self, credentials: &Credentials<'_>, output: &mut Output) -> Pop3Upstream {
        let Self { mechanism, stage } = self;
        debug_assert_eq!(mechanism, credentials.mechanism, "the server was asked for this one");
        let response = credentials.initial_response();
        let awaited = match stage {
            Stage::Idle => {
                output.line(&format!("AUTH {}", mechanism.name()));
                Awaited::Leave(response)
            }
            Stage::Asked => {
                output.line(response.expose_secret());
                Awaited::Outcome
            }
        };
        Pop3Upstream::awaiting(awaited, mechanism)
    }
}

/// Whether the refusal may pass by itself. The codes that say so are believed (RFC 3206 section 4,
/// RFC 2449 section 8.1); texts are not interpreted. A code may be refined behind a slash (RFC 2449
/// section 8), which changes nothing.
fn lasting(code: Option<&[u8]>) -> Lasting {
    const TEMPORARY: [&str; 3] = ["SYS/TEMP", "IN-USE", "LOGIN-DELAY"];
    let passes = |code: &[u8]| {
        TEMPORARY.iter().any(|known| {
            let (name, rest) = code.split_at_checked(known.len()).unwrap_or_default();
            name.eq_ignore_ascii_case(known.as_bytes()) && matches!(rest.first(), None | Some(b'/'))
        })
    };
    if code.is_some_and(passes) { Lasting::Temporary } else { Lasting::Permanent }
}

fn refused(line: &[u8], code: Option<&[u8]>, challenge_status: Option<String>) -> Turn {
    let (reply, lasting) = (printable(line, REPLY_LEN_MAX), lasting(code));
    // Nothing tells a server that closes from one that refuses.
    let is_farewell = false;
    Break(UpstreamStep::Refused(UpstreamRefusal { reply, lasting, challenge_status, is_farewell }))
}

fn protocol(problem: &'static str) -> Turn {
    fault(UpstreamFault::Protocol { problem })
}

fn fault(fault: UpstreamFault) -> Turn {
    Break(UpstreamStep::Close(fault))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_may_pass_where_its_code_says_so() {
        for code in ["SYS/TEMP", "sys/temp", "SYS/TEMP/DISK", "IN-USE", "LOGIN-DELAY"] {
            assert_eq!(lasting(Some(code.as_bytes())), Lasting::Temporary, "{code}");
        }
        for code in ["", "AUTH", "SYS/PERM", "SYS", "SYS/TEMPORARY", "IN-USER", "X/SYS/TEMP"] {
            assert_eq!(lasting(Some(code.as_bytes())), Lasting::Permanent, "{code}");
        }
        assert_eq!(lasting(None), Lasting::Permanent);
    }

    #[test]
    fn a_line_is_a_reply_by_its_first_word_alone() {
        let code = |line| match Reply::parse(line) {
            Some(Reply::Err(code)) => code,
            _ => panic!("{line:?} is no refusal"),
        };
        assert_eq!(code(b"-ERR [AUTH] no"), Some(&b"AUTH"[..]));
        assert_eq!(code(b"-ERR  [sys/temp]"), Some(&b"sys/temp"[..]));
        for line in [&b"-ERR"[..], b"-ERR no", b"-ERR [AUTH no", b"-ERR no [AUTH]"] {
            assert_eq!(code(line), None, "{line:?}");
        }
        assert!(matches!(Reply::parse(b"+OK"), Some(Reply::Ok)));
        assert!(matches!(Reply::parse(b"+"), Some(Reply::Continuation(b""))));
        assert!(matches!(Reply::parse(b"+ eyJ9 "), Some(Reply::Continuation(b"eyJ9"))));
        for line in [&b""[..], b" +OK", b"+ok", b"+OKAY", b"-ERROR", b"* OK", b"220 mx", b""] {
            assert!(Reply::parse(line).is_none(), "{line:?}");
        }
    }
}
