//! SMTP submission, upstream side: greeting, STARTTLS where it is due, and the sign-in with an
//! access token.
//!
//! Sources: RFC 5321 section 4, RFC 3207 (STARTTLS), RFC 4954 (AUTH), RFC 7628 (OAUTHBEARER), and
//! Google's and Microsoft's pages on XOAUTH2 as `sasl::xoauth2` names them.
//! In:   replies, bounded as `reply` says.
//! Out:  EHLO, STARTTLS, EHLO, AUTH, the token, and what acknowledges an error challenge.
//! Ends: in `Authenticated`, `Refused` or `Close`; no token is sent before TLS is up.

use bytes::Bytes;

use super::Extensions;
use super::upstream_reply::{Reply, ReplyReader};
use crate::proto::sasl::{Credentials, challenge};
use crate::proto::{
    AwaitTls, AwaitToken, Input, Lasting, Output, Upstream, UpstreamFault, UpstreamRefusal,
    UpstreamStep,
};
use crate::provider::{Mechanism, UpstreamTls};
use crate::secret::{ExposeSecret as _, SecretString};

/// How we name ourselves: an address literal (RFC 5321 section 4.1.3), always the same.
///
/// The host's own name or address would tell the provider, and whoever reads the trace of a message,
/// about the client's network. Submission servers ask nothing of this name: they have the sign-in.
const EHLO: &str = "EHLO [127.0.0.1]";

/// A connection to a provider's submission server, before the sign-in.
#[derive(Debug)]
pub struct SmtpUpstream {
    mechanism: Mechanism,
    replies: ReplyReader,
    phase: Phase,
}

/// Which reply is awaited.
#[derive(Debug)]
enum Phase {
    /// The greeting.
    Greeting(UpstreamTls),
    /// The answer to an EHLO in clear, before STARTTLS.
    ClearEhlo,
    /// The answer to STARTTLS.
    StartTls,
    /// The answer to the EHLO under TLS.
    Ehlo,
    /// An answer to the sign-in.
    SignIn(SignIn),
}

/// Which answer to the sign-in is awaited, and what is kept until then.
#[derive(Debug)]
enum SignIn {
    /// The one to AUTH, before there is a token.
    Ahead { extensions: Extensions },
    /// The one to AUTH: a challenge to send the token.
    Challenge {
        /// The token and what goes with it, in base64.
        initial_response: SecretString,
        extensions: Extensions,
    },
    /// The one to the token.
    Verdict { extensions: Extensions },
    /// The one to the acknowledgement of an error challenge.
    Refusal {
        /// What the challenge said.
        challenge_status: Option<String>,
    },
}

/// What the provider said to the accepted sign-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Welcome {
    /// The lines of the 235 reply as the provider sent them, without their ends.
    pub reply: Vec<Bytes>,
    /// What the provider's EHLO showed under TLS.
    pub extensions: Extensions,
}

impl SmtpUpstream {
    /// A connection that was just made; with [`UpstreamTls::Implicit`], one whose TLS is up.
    pub fn new(tls: UpstreamTls, mechanism: Mechanism) -> Self {
        Self::in_phase(Phase::Greeting(tls), mechanism)
    }

    /// A connection on which nothing of the awaited reply was received.
    fn in_phase(phase: Phase, mechanism: Mechanism) -> Self {
        Self { mechanism, replies: ReplyReader::default(), phase }
    }

    /// Goes on with the next reply: another phase, or the end.
    fn advance(self, reply: Reply, output: &mut Output) -> UpstreamStep<Self> {
        let (code, mechanism) = (reply.code(), self.mechanism);
        let phase = match self.phase {
            Phase::SignIn(awaited) => return awaited.advance(mechanism, reply, output),
            Phase::Greeting(tls) if code == 220 => {
                output.line(EHLO);
                match tls {
                    UpstreamTls::Implicit => Phase::Ehlo,
                    UpstreamTls::StartTls => Phase::ClearEhlo,
                }
            }
            Phase::ClearEhlo if code == 250 => {
                if !offers_starttls(&reply) {
                    return UpstreamStep::Close(UpstreamFault::NoStartTls);
                }
                output.line("STARTTLS");
                Phase::StartTls
            }
            Phase::StartTls if code == 220 => {
                return UpstreamStep::StartTls(SmtpAwaitTls { mechanism });
            }
            // RFC 3207 section 4: 454, TLS not available due to temporary reason. RFC 5321 section 3.8:
            // 421 to anything.
            Phase::StartTls if (400..500).contains(&code) => return turned_away(&reply),
            Phase::StartTls => return UpstreamStep::Close(UpstreamFault::NoStartTls),
            Phase::Ehlo if code == 250 => return read_ehlo(&reply, mechanism),
            Phase::Greeting(_) => return unexpected(&reply, "its greeting is no 220"),
            Phase::ClearEhlo | Phase::Ehlo => {
                return unexpected(&reply, "its answer to EHLO is no 250");
            }
        };
        UpstreamStep::Read(Self { phase, ..self })
    }
}

impl SignIn {
    /// Goes on with the next reply; a 421 here is a refusal like any other.
    fn advance(
        self,
        mechanism: Mechanism,
        reply: Reply,
        output: &mut Output,
    ) -> UpstreamStep<SmtpUpstream> {
        match (self, reply.code()) {
            (Self::Ahead { extensions }, 334) => {
                UpstreamStep::Ready(SmtpAwaitToken { mechanism, extensions, stage: Stage::Asked })
            }
            (Self::Challenge { initial_response, extensions }, 334) => {
                output.line(initial_response.expose_secret());
                Self::Verdict { extensions }.awaited(mechanism)
            }
            (Self::Verdict { .. }, 334) => {
                output.line(challenge::acknowledgement(mechanism));
                let challenge_status = challenge::status(reply.last_text());
                Self::Refusal { challenge_status }.awaited(mechanism)
            }
            (Self::Verdict { extensions }, 235) => {
                UpstreamStep::Authenticated(Welcome { reply: reply.into_lines(), extensions })
            }
            (Self::Refusal { .. }, 235) => protocol(challenge::ACCEPTED),
            (Self::Refusal { challenge_status }, 400..=599) => {
                refused(&reply, challenge_status, false)
            }
            // RFC 5321 section 3.8: 421 is said before the server closes the connection.
            (Self::Ahead { .. } | Self::Challenge { .. } | Self::Verdict { .. }, 400..=599) => {
                refused(&reply, None, reply.code() == 421)
            }
            _ => protocol("its answer to AUTH is neither a challenge nor a verdict"),
        }
    }

    fn awaited(self, mechanism: Mechanism) -> UpstreamStep<SmtpUpstream> {
        UpstreamStep::Read(SmtpUpstream::in_phase(Phase::SignIn(self), mechanism))
    }
}

impl Upstream for SmtpUpstream {
    type Welcome = Welcome;
    type AwaitTls = SmtpAwaitTls;
    type AwaitToken = SmtpAwaitToken;

    fn receive(mut self, input: &mut Input, output: &mut Output) -> UpstreamStep<Self> {
        loop {
            let reply = match self.replies.read(input) {
                Ok(Some(reply)) => reply,
                Ok(None) => return UpstreamStep::Read(self),
                Err(fault) => return UpstreamStep::Close(fault),
            };
            let step = self.advance(reply, output);
            let UpstreamStep::Read(machine) = step else { return step };
            self = machine;
        }
    }
}

/// A connection whose server awaits a TLS handshake. Nothing that it said before is kept.
#[derive(Debug)]
pub struct SmtpAwaitTls {
    mechanism: Mechanism,
}

impl AwaitTls for SmtpAwaitTls {
    type Machine = SmtpUpstream;

    fn started(self, input: &Input, output: &mut Output) -> Result<SmtpUpstream, UpstreamFault> {
        if !input.is_empty() {
            return Err(UpstreamFault::CleartextBehindStartTls);
        }
        output.line(EHLO);
        Ok(SmtpUpstream::in_phase(Phase::Ehlo, self.mechanism))
    }
}

/// A connection on which a sign-in can begin.
#[derive(Debug)]
pub struct SmtpAwaitToken {
    mechanism: Mechanism,
    extensions: Extensions,
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

impl AwaitToken for SmtpAwaitToken {
    type Machine = SmtpUpstream;

    fn begin(self, output: &mut Output) -> UpstreamStep<SmtpUpstream> {
        let Self { mechanism, extensions, stage: Stage::Idle } = self else {
            return UpstreamStep::Ready(self);
        };
        output.line(&format!("AUTH {}", mechanism.name()));
        SignIn::Ahead { extensions }.awaited(mechanism)
    }

    /// Writes AUTH without an initial response: tokens are longer than the 512 bytes that RFC 4954
    /// section 4 allows for one, and Gmail refuses longer lines (angus-mail issue 201, seen 2026).
    fn authenticate(self, credentials: &Credentials<'_>, output: &mut Output) -> SmtpUpstream {
        let Self { mechanism, extensions, stage } = self;
        debug_assert_eq!(mechanism, credentials.mechanism, "the server was asked for this one");
        let initial_response = credentials.initial_response();
        let awaited = match stage {
            Stage::Idle => {
                output.line(&format!("AUTH {}", mechanism.name()));
                SignIn::Challenge { initial_response, extensions }
            }
            Stage::Asked => {
                output.line(initial_response.expose_secret());
                SignIn::Verdict { extensions }
            }
        };
        SmtpUpstream::in_phase(Phase::SignIn(awaited), mechanism)
    }
}

/// Reads the EHLO that counts: the one under TLS.
fn read_ehlo(reply: &Reply, mechanism: Mechanism) -> UpstreamStep<SmtpUpstream> {
    if offers_mechanism(reply, mechanism) {
        let extensions = Extensions::parse(keyword_lines(reply));
        UpstreamStep::Ready(SmtpAwaitToken { mechanism, extensions, stage: Stage::Idle })
    } else {
        UpstreamStep::Close(UpstreamFault::NoMechanism { mechanism: mechanism.name() })
    }
}

/// The keyword lines of an EHLO reply: all but the first, which names the server.
fn keyword_lines(reply: &Reply) -> impl Iterator<Item = &[u8]> {
    reply.texts().skip(1)
}

fn offers_starttls(reply: &Reply) -> bool {
    keyword_lines(reply).any(|line| line.trim_ascii().eq_ignore_ascii_case(b"STARTTLS"))
}

/// Whether a line `AUTH …`, or `AUTH=…` as old servers write it, lists the mechanism.
fn offers_mechanism(reply: &Reply, mechanism: Mechanism) -> bool {
    keyword_lines(reply).any(|line| {
        let mut words = line.split(|&byte| matches!(byte, b' ' | b'\t' | b'='));
        words.next().is_some_and(|keyword| keyword.eq_ignore_ascii_case(b"AUTH"))
            && words.any(|word| word.eq_ignore_ascii_case(mechanism.name().as_bytes()))
    })
}

fn turned_away(reply: &Reply) -> UpstreamStep<SmtpUpstream> {
    UpstreamStep::Close(UpstreamFault::TurnedAway { reply: reply.one_line() })
}

fn refused(
    reply: &Reply,
    challenge_status: Option<String>,
    is_farewell: bool,
) -> UpstreamStep<SmtpUpstream> {
    let lasting = if reply.code() < 500 { Lasting::Temporary } else { Lasting::Permanent };
    let reply = reply.one_line();
    UpstreamStep::Refused(UpstreamRefusal { reply, lasting, challenge_status, is_farewell })
}

/// What a reply means that does not lead on: a refusal in its own words, which 421 always is, or a
/// fault.
fn unexpected(reply: &Reply, problem: &'static str) -> UpstreamStep<SmtpUpstream> {
    match reply.code() {
        400..=599 => turned_away(reply),
        _ => protocol(problem),
    }
}

fn protocol(problem: &'static str) -> UpstreamStep<SmtpUpstream> {
    UpstreamStep::Close(UpstreamFault::Protocol { problem })
}
