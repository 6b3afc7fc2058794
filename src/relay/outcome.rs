//! How a session ended: the one closing line that each session leaves in the log.

use std::fmt;
use std::time::Duration;

use tracing::{info, warn};

use super::ListenerSettings;
use super::diagnosis::Gravity;
use super::downstream::Ended;
use super::header_advice;
use super::meter::Took;
use super::observer::Report;
use super::recent::How;
use super::splice::{End, Spliced};
use super::tls_advice;
use crate::account::password::AccessEnd;
use crate::proto::CloseReason;

/// A side of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// The client's.
    Downstream,
    /// The provider's.
    Upstream,
    /// mailbearer itself.
    Relay,
}

/// Why a session ended, in one word for logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The client said goodbye before it had signed in.
    Quit,
    /// The client closed, or broke off, before it had signed in.
    GaveUp,
    /// The client speaks HTTP.
    Browser,
    /// Too many refused sign-ins and bad commands.
    TooManyFailures,
    /// A line without an end.
    EndlessLine,
    /// Too many commands before the sign-in.
    TooManyCommands,
    /// The client speaks TLS where it is not spoken.
    ClientHello,
    /// Bytes came in clear behind STARTTLS.
    CleartextBehindStartTls,
    /// No TLS came about with the client.
    NoTls,
    /// A PROXY header was wrong, was missing, or came where none is due.
    ProxyHeader,
    /// A load balancer that did not say for whom it speaks wanted more than to probe.
    NoAddress,
    /// `limits.sign_in_timeout` passed.
    SignInTimeout,
    /// One side closed after the sign-in: the ordinary end.
    Closed,
    /// One side broke off after the sign-in.
    Broke,
    /// `limits.idle_timeout` passed.
    Idle,
    /// The relay is shutting down.
    Draining,
    /// The local password that the client showed was revoked.
    Revoked,
    /// The configuration no longer has the account, or not for the listener.
    AccountRemoved,
    /// The configuration no longer has the device, or not as it was known.
    DeviceRemoved,
}

impl Reason {
    /// Every one.
    pub(super) const ALL: [Self; 19] = [
        Self::Quit,
        Self::GaveUp,
        Self::Browser,
        Self::TooManyFailures,
        Self::EndlessLine,
        Self::TooManyCommands,
        Self::ClientHello,
        Self::CleartextBehindStartTls,
        Self::NoTls,
        Self::ProxyHeader,
        Self::NoAddress,
        Self::SignInTimeout,
        Self::Closed,
        Self::Broke,
        Self::Idle,
        Self::Draining,
        Self::Revoked,
        Self::AccountRemoved,
        Self::DeviceRemoved,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Quit => "quit",
            Self::GaveUp => "gave-up",
            Self::Browser => "browser",
            Self::TooManyFailures => "too-many-failures",
            Self::EndlessLine => "endless-line",
            Self::TooManyCommands => "too-many-commands",
            Self::ClientHello => "client-hello",
            Self::CleartextBehindStartTls => "cleartext-behind-starttls",
            Self::NoTls => "no-tls",
            Self::ProxyHeader => "proxy-header",
            Self::NoAddress => "no-address",
            Self::SignInTimeout => "sign-in-timeout",
            Self::Closed => "closed",
            Self::Broke => "broke",
            Self::Idle => "idle-timeout",
            Self::Draining => "draining",
            Self::Revoked => "revoked",
            Self::AccountRemoved => "account-removed",
            Self::DeviceRemoved => "device-removed",
        }
    }
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Self::Downstream => "downstream",
            Self::Upstream => "upstream",
            Self::Relay => "relay",
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl From<CloseReason> for Reason {
    fn from(reason: CloseReason) -> Self {
        match reason {
            CloseReason::Quit => Self::Quit,
            CloseReason::Browser => Self::Browser,
            CloseReason::TooManyFailures => Self::TooManyFailures,
            CloseReason::EndlessLine => Self::EndlessLine,
            CloseReason::TooManyCommands => Self::TooManyCommands,
            CloseReason::ClientHello => Self::ClientHello,
            CloseReason::CleartextBehindStartTls => Self::CleartextBehindStartTls,
            CloseReason::NoAddress => Self::NoAddress,
        }
    }
}

impl From<AccessEnd> for Reason {
    fn from(end: AccessEnd) -> Self {
        match end {
            AccessEnd::AccountRemoved => Self::AccountRemoved,
            AccessEnd::DeviceRemoved => Self::DeviceRemoved,
            AccessEnd::Revoked => Self::Revoked,
        }
    }
}

/// How far a session came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attained {
    /// Its client claimed to be nobody.
    NoClaim,
    /// Each of its client's claims was refused.
    Refused,
    /// It was signed in on both sides.
    SignedIn,
}

impl Attained {
    fn name(self) -> &'static str {
        match self {
            Self::NoClaim => "no-claim",
            Self::Refused => "refused",
            Self::SignedIn => "signed-in",
        }
    }
}

/// What a session leaves behind.
#[derive(Debug)]
pub(crate) struct Outcome {
    reason: Reason,
    side: Side,
    /// How far it came.
    attained: Attained,
    /// The provider's server, if it was signed in there.
    upstream: Option<String>,
    /// What the operating system said, where a side broke; why no TLS came about.
    error: Option<String>,
    /// What whoever runs the relay can do about it.
    hint: Option<String>,
    /// What the provider said last that tells how it went, with the queue id of a message.
    last_reply: Option<String>,
    /// What that most likely means, if it is a failure that is known.
    cause: Option<&'static str>,
    /// Messages that the provider has taken.
    messages: Option<u64>,
    /// Refusals and messages of the session that have no line of their own, for their number.
    unlogged: Option<u64>,
    /// Bytes streamed from client to provider after the sign-in.
    up_bytes: u64,
    /// Bytes streamed from provider to client after the sign-in.
    down_bytes: u64,
    /// How long the steps of its sign-in took, where it signed in.
    took: Took,
}

impl Outcome {
    /// A session at a listener of `settings` that ended before its sign-in.
    pub(crate) fn before_sign_in(
        attained: Attained,
        ended: &Ended,
        settings: &ListenerSettings,
    ) -> Self {
        let reason = ended.reason();
        let side = match reason {
            Reason::Quit | Reason::GaveUp => Side::Downstream,
            Reason::Browser
            | Reason::TooManyFailures
            | Reason::EndlessLine
            | Reason::TooManyCommands
            | Reason::ClientHello
            | Reason::CleartextBehindStartTls
            | Reason::NoTls
            | Reason::ProxyHeader
            | Reason::NoAddress
            | Reason::SignInTimeout
            | Reason::Closed
            | Reason::Broke
            | Reason::Idle
            | Reason::Draining
            | Reason::Revoked
            | Reason::AccountRemoved
            | Reason::DeviceRemoved => Side::Relay,
        };
        let error = match ended {
            Ended::NoTls(error) if reason == Reason::NoTls => Some(error.to_string()),
            Ended::NoHeader(error) => Some(error.to_string()),
            Ended::NoTls(_)
            | Ended::SecondHello
            | Ended::UnexpectedHeader
            | Ended::Over(_)
            | Ended::Draining
            | Ended::SignInTimeout => None,
        };
        let hint = tls_advice::advice(ended, settings);
        let hint = hint.or_else(|| header_advice::advice(ended, settings));
        Self {
            reason,
            side,
            attained,
            upstream: None,
            error,
            hint,
            last_reply: None,
            cause: None,
            messages: None,
            unlogged: None,
            up_bytes: 0,
            down_bytes: 0,
            took: Took::default(),
        }
    }

    /// Why the session ended.
    pub(super) fn reason(&self) -> Reason {
        self.reason
    }

    /// Writes the closing line; the session's span names id, client and account. Where there is
    /// something to be done, it is a warning.
    pub(crate) fn log(&self, lasted: Duration) {
        let ms = |took: Option<Duration>| {
            took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX))
        };
        macro_rules! closed {
            ($level:ident) => {
                $level!(
                    reason = self.reason.name(),
                    side = %self.side,
                    error = self.error,
                    messages = self.messages,
                    last_reply = self.last_reply,
                    cause = self.cause,
                    unlogged = self.unlogged,
                    up_bytes = self.up_bytes,
                    down_bytes = self.down_bytes,
                    lasted_s = lasted.as_secs(),
                    outcome = self.attained.name(),
                    upstream = self.upstream,
                    gate_wait_ms = ms(self.took.gate_wait),
                    dial_ms = ms(self.took.dial),
                    tls_ms = ms(self.took.tls),
                    token_ms = ms(self.took.token),
                    sign_in_ms = ms(self.took.sign_in),
                    hint = self.hint,
                    "closed"
                )
            };
        }
        if self.hint.is_some() {
            closed!(warn);
        } else {
            closed!(info);
        }
    }
}

impl Outcome {
    /// The same for whoever asks for the sessions that ended last.
    pub(crate) fn how(&self, lasted: Duration) -> How {
        How {
            reason: self.reason.name(),
            side: self.side.name(),
            error: self.error.clone(),
            cause: self.cause,
            hint: self.hint.clone(),
            last_reply: self.last_reply.clone(),
            messages: self.messages,
            up_bytes: self.up_bytes,
            down_bytes: self.down_bytes,
            lasted,
        }
    }

    /// A session that was signed in at `upstream`, what was seen of it, and what its sign-in `took`.
    pub(crate) fn of_session(
        upstream: String,
        spliced: &Spliced,
        report: Report,
        took: Took,
    ) -> Self {
        let (reason, side, error) = match spliced.end {
            End::Closed(_) if report.is_ended_here => (Reason::Closed, Side::Relay, None),
            End::Closed(side) => (Reason::Closed, side, None),
            End::Broke(side, kind) => (Reason::Broke, side, Some(kind)),
            End::Idle => (Reason::Idle, Side::Relay, None),
            End::Cut(reason) => (reason, Side::Relay, None),
        };
        let Report { last_reply, trouble, messages, unlogged, is_ended_here: _ } = report;
        let alarm = trouble.filter(|trouble| trouble.gravity == Gravity::Trouble);
        Self {
            reason,
            side,
            attained: Attained::SignedIn,
            upstream: Some(upstream),
            error: error.map(|kind| kind.to_string()),
            hint: alarm.map(|trouble| trouble.fix.to_owned()),
            last_reply,
            cause: trouble.map(|trouble| trouble.cause),
            messages: (messages > 0).then_some(messages),
            unlogged: (unlogged > 0).then_some(unlogged),
            up_bytes: spliced.up_bytes,
            down_bytes: spliced.down_bytes,
            took,
        }
    }
}
