//! How a session ended: the one closing line that each session leaves in the log.

use std::fmt;
use std::time::Duration;

use tracing::{info, warn};

use super::ListenerSettings;
use super::attempt::Attempt;
use super::caller::Caller;
use super::diagnosis::Gravity;
use super::downstream::Ended;
use super::header_advice;
use super::meter::Took;
use super::observer::Report;
use super::reason::Reason;
use super::recent::How;
use super::splice::{End, Spliced};
use super::tls_advice;

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

/// How far a session came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attained {
    /// Its client claimed to be nobody.
    NoClaim,
    /// Each of its client's claims was refused.
    Refused,
    /// It ended while its client's last claim waited for an answer.
    Unanswered,
    /// It was signed in on both sides.
    SignedIn,
}

impl Attained {
    /// Every one.
    pub(super) const ALL: [Self; 4] =
        [Self::NoClaim, Self::Refused, Self::Unanswered, Self::SignedIn];

    /// How far a session came that ends without a sign-in, after the `last` of its attempts.
    fn without_sign_in(last: Option<&Attempt<'_>>) -> Self {
        match last {
            None => Self::NoClaim,
            Some(last) if last.is_refused() => Self::Refused,
            Some(_) => Self::Unanswered,
        }
    }

    /// The word for it, in the log and in metrics.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::NoClaim => "no-claim",
            Self::Refused => "refused",
            Self::Unanswered => "unanswered",
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
    /// The provider's server, if it was signed in there or was to be.
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
    /// How long the steps of its attempts to sign in took.
    took: Took,
}

impl Outcome {
    /// A session of `from` at a listener of `settings` that ended without a sign-in, after the `last`
    /// of its attempts if there was one.
    pub(crate) fn before_sign_in(
        last: Option<&Attempt<'_>>,
        ended: &Ended,
        from: Caller,
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
        let hint = hint.or_else(|| header_advice::advice(ended, from, settings));
        Self {
            reason,
            side,
            attained: Attained::without_sign_in(last),
            upstream: last.and_then(|last| last.upstream.clone()),
            error,
            hint,
            last_reply: None,
            cause: None,
            messages: None,
            unlogged: None,
            up_bytes: 0,
            down_bytes: 0,
            took: last.map_or_else(Took::default, Attempt::took_in_all),
        }
    }

    /// Why the session ended.
    pub(super) fn reason(&self) -> Reason {
        self.reason
    }

    /// How far it came.
    pub(super) fn attained(&self) -> Attained {
        self.attained
    }

    /// Writes the closing line; the session's span names id, client and account. Where there is
    /// something to be done, it is a warning.
    pub(crate) fn log(&self, lasted: Duration) {
        let ms = |took: Option<Duration>| {
            took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX))
        };
        // Nothing was dialled for it.
        let warm = self.took.is_warm().then_some(true);
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
                    warm = warm,
                    dial_ms = ms(self.took.dial).or(warm.map(|_| 0)),
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
    pub(crate) fn into_how(self, lasted: Duration) -> How {
        How {
            outcome: self.attained.name(),
            reason: self.reason.name(),
            side: self.side.name(),
            error: self.error,
            cause: self.cause,
            hint: self.hint,
            last_reply: self.last_reply,
            messages: self.messages,
            up_bytes: self.up_bytes,
            down_bytes: self.down_bytes,
            lasted,
        }
    }

    /// A session that was signed in at `upstream`, what was seen of it, and what its sign-in `took`.
    pub(super) fn of_session(
        upstream: Option<String>,
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
            upstream,
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
