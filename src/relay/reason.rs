//! Why sessions end, in one word for the log and for metrics.

use super::outcome::Attained;
use crate::account::password::AccessEnd;
use crate::proto::CloseReason;

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

    /// Whether a session that came so far can end of it.
    pub(super) fn may_end(self, attained: Attained) -> bool {
        let is_signed_in = attained == Attained::SignedIn;
        match self {
            Self::Draining => true,
            Self::Closed
            | Self::Broke
            | Self::Idle
            | Self::Revoked
            | Self::AccountRemoved
            | Self::DeviceRemoved => is_signed_in,
            Self::Quit
            | Self::GaveUp
            | Self::Browser
            | Self::TooManyFailures
            | Self::EndlessLine
            | Self::TooManyCommands
            | Self::ClientHello
            | Self::CleartextBehindStartTls
            | Self::NoTls
            | Self::ProxyHeader
            | Self::NoAddress
            | Self::SignInTimeout => !is_signed_in,
        }
    }

    /// The word.
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
