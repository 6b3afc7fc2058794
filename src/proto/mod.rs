//! Protocol machines without I/O: what is said between accept and sign-in, on both sides.
//!
//! A machine takes bytes from an [`Input`], writes bytes to an [`Output`] and answers with a step
//! that says what it waits for. It knows no socket, clock or TLS library, so it is tested at every
//! split of its input. Nothing here runs after the sign-in: from then on bytes are streamed.
//!
//! Protocols never import each other; what they share is in this file and in [`preauth`] and
//! [`sasl`].

pub mod imap;
pub mod pop3;
pub mod preauth;
pub mod probe;
#[cfg(test)]
mod promises;
pub mod sasl;
pub mod smtp;
mod standing;
#[cfg(test)]
mod transcript;

use crate::names::Username;
use crate::refusal::Refusal;
use crate::secret::SecretSlice;
pub use preauth::{Input, Line, Output};
use standing::Standing;
pub use standing::{COMMANDS_MAX, FAILURES_MAX, Privacy};

/// The client's side of a protocol, before the sign-in.
pub trait Downstream: Sized + Send {
    /// The machine while a claim awaits its verdict.
    type Awaiting: AwaitVerdict<Machine = Self>;
    /// The machine when the client is about to begin a TLS handshake.
    type AwaitTls: AwaitClientTls<Machine = Self>;

    /// Writes the greeting. Called once, first.
    fn greet(&self, output: &mut Output);

    /// Consumes what it can of `input` and says what is needed next. It stops at an output that is
    /// full: what is left of the input is consumed by the next call.
    fn receive(self, input: &mut Input, output: &mut Output) -> Step<Self>;

    /// Writes the last words to a client that has not signed in.
    fn farewell(farewell: Farewell, output: &mut Output);
}

/// What a downstream machine needs next.
#[derive(Debug)]
pub enum Step<M: Downstream> {
    /// More input, or, where the output is full, that it be sent.
    Read(M),
    /// A verdict on what the client claims. Whatever is left in the input stays there: it is
    /// streamed after an acceptance, and parsed as commands after a refusal.
    Verify(Claim, M::Awaiting),
    /// A TLS handshake, once the output is written.
    StartTls(M::AwaitTls),
    /// The connection is to be closed once the output is written.
    Close(CloseReason),
}

/// A downstream machine whose client was told to begin a TLS handshake.
pub trait AwaitClientTls: Sized + Send {
    /// The machine that goes on under TLS. It remembers nothing that was said in clear but how many
    /// failures and commands there were, so that TLS brings no new tries.
    type Machine: Downstream<AwaitTls = Self>;

    /// Goes on under TLS; said before the handshake. `input` is what was received in clear and not
    /// consumed.
    ///
    /// # Errors
    /// [`CloseReason::CleartextBehindStartTls`] when that is not empty: somebody on the path may
    /// have put it there, for it to be taken as said under TLS (CVE-2011-0411).
    fn started(self, input: &Input) -> Result<Self::Machine, CloseReason>;
}

/// A downstream machine that awaits the verdict on a claim.
pub trait AwaitVerdict: Sized + Send {
    /// The machine that a refusal gives back.
    type Machine: Downstream<Awaiting = Self>;
    /// What the upstream said to the accepted sign-in.
    type Welcome;

    /// Tells the client that it is signed in. What follows is streamed and never parsed here.
    fn accept(self, welcome: &Self::Welcome, output: &mut Output);

    /// Tells the client why it is not signed in; the step is `Read`, or `Close` after the last
    /// failure that a session is allowed.
    fn refuse(self, refusal: &Refusal, output: &mut Output) -> Step<Self::Machine>;
}

/// Who a client claims to be.
#[derive(Debug)]
pub enum Claim {
    /// Who has shown a name and a password.
    Password(LocalCredentials),
    /// A device that is known by its network: it has begun a message without signing in. Its MAIL
    /// stands at the beginning of the input. An acceptance leaves it there, to be streamed first; a
    /// refusal answers it.
    Device,
}

/// What a client shows to sign in.
#[derive(Debug)]
pub struct LocalCredentials {
    /// The user name, as sent.
    pub username: Username,
    /// The local password: any bytes but NUL.
    pub password: SecretSlice<u8>,
}

/// Why a downstream machine closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// The client said QUIT or LOGOUT.
    Quit,
    /// The client speaks HTTP.
    Browser,
    /// The session's [`FAILURES_MAX`] failures are used up.
    TooManyFailures,
    /// A line went on past every bound.
    EndlessLine,
    /// The session's [`COMMANDS_MAX`] commands are used up.
    TooManyCommands,
    /// The client begins a TLS handshake where none is expected.
    ClientHello,
    /// Bytes came in clear behind STARTTLS.
    CleartextBehindStartTls,
    /// A load balancer that did not say for whom it speaks said more than NOOP and QUIT.
    NoAddress,
}

/// Why this side ends a session that has not signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Farewell {
    /// The relay is shutting down.
    Draining,
    /// The client took longer than `limits.sign_in_timeout`.
    SignInTimeout,
    /// `limits.sessions` is reached.
    TooManySessions,
    /// `limits.sessions_per_peer` is reached.
    TooManyFromPeer,
    /// A load balancer did not say for whom it speaks.
    NoAddress,
}

impl Farewell {
    /// One sentence without a full stop for the client.
    pub fn text(self) -> &'static str {
        match self {
            Self::Draining => "mailbearer is shutting down, try again later",
            Self::SignInTimeout => "no sign-in in time",
            Self::TooManySessions => "too many sessions, try again later",
            Self::TooManyFromPeer => "too many sessions from your address have not signed in",
            Self::NoAddress => "the load balancer told no client address, NOOP and QUIT are served",
        }
    }
}

/// The provider's side of a protocol: greeting, STARTTLS where due, sign-in.
pub trait Upstream: Sized + Send {
    /// What the provider said to the accepted sign-in.
    type Welcome: Send;
    /// The machine while TLS is being started.
    type AwaitTls: AwaitTls<Machine = Self>;
    /// The machine while the access token is awaited; no credentials were sent so far.
    type AwaitToken: AwaitToken<Machine = Self>;

    /// Consumes what it can of `input` and says what is needed next.
    fn receive(self, input: &mut Input, output: &mut Output) -> UpstreamStep<Self>;
}

/// What an upstream machine needs next. Output is to be sent before anything else is done.
#[derive(Debug)]
pub enum UpstreamStep<M: Upstream> {
    /// More input.
    Read(M),
    /// A TLS handshake.
    StartTls(M::AwaitTls),
    /// The access token.
    Ready(M::AwaitToken),
    /// Nothing more: signed in. Bytes left in the input are the first to be streamed.
    Authenticated(M::Welcome),
    /// The provider refused the sign-in; the connection is of no further use.
    Refused(UpstreamRefusal),
    /// The provider cannot be spoken to.
    Close(UpstreamFault),
}

/// An upstream machine that awaits the end of a TLS handshake.
pub trait AwaitTls: Sized + Send {
    /// The machine that goes on under TLS.
    type Machine: Upstream;

    /// Goes on under TLS. `input` is what was received in clear and not consumed.
    ///
    /// # Errors
    /// [`UpstreamFault::CleartextBehindStartTls`] when that is not empty: it was injected.
    fn started(self, input: &Input, output: &mut Output) -> Result<Self::Machine, UpstreamFault>;
}

/// An upstream machine that awaits an access token.
pub trait AwaitToken: Sized + Send {
    /// The machine that signs in.
    type Machine: Upstream<AwaitToken = Self>;

    /// Begins the sign-in as far as that takes no credentials, for a token that comes later: what is
    /// due next is the token again. Nothing is written where the token goes with the first command.
    fn begin(self, output: &mut Output) -> UpstreamStep<Self::Machine>;

    /// Begins the sign-in, or goes on with one that was begun ahead.
    fn authenticate(
        self,
        credentials: &sasl::Credentials<'_>,
        output: &mut Output,
    ) -> Self::Machine;
}

/// The provider's "no" to a sign-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamRefusal {
    /// Its final reply: printable ASCII without line ends, at most 400 bytes; for SMTP with the
    /// code, for IMAP without the tag.
    pub reply: String,
    /// Whether trying again later may help.
    pub lasting: Lasting,
    /// `status` of the error challenge that came before the reply (RFC 7628 section 3.2.2),
    /// printable ASCII, at most 64 bytes.
    pub challenge_status: Option<String>,
    /// Whether it tells no more than that the server closes the connection, and nothing came between
    /// it and the token: it is no word on the token then, and may be said to whoever has been silent
    /// for long.
    pub is_farewell: bool,
}

/// Whether a refusal may pass by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasting {
    /// It may.
    Temporary,
    /// It will not.
    Permanent,
}

/// Why a provider's server cannot be spoken to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamFault {
    /// It greets with a refusal (421, 554, `* BYE`), says BYE in between, or has no STARTTLS for now.
    #[error("it turned the connection away: {reply}")]
    TurnedAway {
        /// Its reply, printable ASCII, at most 400 bytes.
        reply: String,
    },
    /// STARTTLS is due and it offers none, or refuses it for good.
    #[error("it offers no STARTTLS, which is required: set the right port, or tls = \"implicit\"")]
    NoStartTls,
    /// Bytes came in clear behind its answer to STARTTLS.
    #[error("it sent bytes in clear behind STARTTLS, as an attacker on the path would")]
    CleartextBehindStartTls,
    /// IMAP: it says that we are signed in already, which would skip TLS or the sign-in.
    #[error("it greets with PREAUTH, as an attacker on the path would")]
    Preauth,
    /// It does not offer the mechanism.
    #[error(
        "it does not offer AUTH {mechanism}: check `mechanism`, and that sign-in by OAuth is switched on there"
    )]
    NoMechanism {
        /// The mechanism wanted.
        mechanism: &'static str,
    },
    /// It does not keep to the protocol.
    #[error("it does not speak the protocol: {problem}")]
    Protocol {
        /// What was wrong, in a clause.
        problem: &'static str,
    },
}

/// What to run so that `account` can be used again.
///
/// Clients show this to people, who paste it into a shell. So a name that is more than letters,
/// digits and `@._+-`, or that looks like an option, is left for them to fill in.
pub fn authorize_command(account: &Username) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"@._+-".contains(&byte);
    let name = account.as_str();
    let is_fit = name.bytes().all(is_plain) && !name.starts_with('-');
    format!("mailbearer authorize {}", if is_fit { name } else { "ACCOUNT" })
}

/// Renders a reply of an upstream for logs and clients: printable ASCII, anything else as `?`,
/// blanks at both ends removed, at most `len_max` bytes.
pub fn printable(bytes: &[u8], len_max: usize) -> String {
    let shown = bytes.trim_ascii().iter().take(len_max);
    let mut text = String::with_capacity(shown.len());
    text.extend(
        shown.map(
            |&byte| {
                if byte == b' ' || byte.is_ascii_graphic() { char::from(byte) } else { '?' }
            },
        ),
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_to_run_holds_no_name_that_a_shell_or_a_line_would_take_amiss() {
        let command = |name: &str| authorize_command(&Username::parse(name).unwrap());
        for name in ["alice@contoso.com", "Printer_2", "a.b+c-d@x.example"] {
            assert_eq!(command(name), format!("mailbearer authorize {name}"));
        }
        for name in
            ["m\u{fc}ller@contoso.com", "$(id)@contoso.com", "a`b", "a b", "-x", "\u{202e}a"]
        {
            assert_eq!(command(name), "mailbearer authorize ACCOUNT", "{name}");
        }
    }
}
