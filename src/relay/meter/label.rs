//! The words by which what is counted is told apart.

use std::sync::Arc;

use crate::provider::Protocol;
use crate::relay::limits::Crowded;
use crate::relay::outcome::Attained;
use crate::relay::reason::Reason;

pub(super) const PROTOCOL: &str = "protocol";

/// The directions in which bytes are streamed.
pub(super) const UP: &str = "up";
pub(super) const DOWN: &str = "down";

/// Names and values of labels that are words of this program.
pub(super) type Words<const N: usize> = [(&'static str, &'static str); N];

/// Why somebody gets no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TurnAwayReason {
    /// The listener's `allow` does not name the address.
    NotAllowed,
    /// No file descriptor is left.
    NoDescriptor,
    /// `limits.sessions` is reached.
    TooManySessions,
    /// `limits.sessions_per_peer` is reached.
    TooManyFromPeer,
}

/// Who refuses a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RefusedBy {
    /// The provider.
    Provider,
    /// mailbearer itself: by `senders`, `messages_per_hour` or `messages_per_minute`, or for what
    /// cannot be read.
    Relay,
}

/// How far a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    SigningIn,
    SignedIn,
}

impl TurnAwayReason {
    pub(super) const ALL: [Self; 4] =
        [Self::NotAllowed, Self::NoDescriptor, Self::TooManySessions, Self::TooManyFromPeer];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::NotAllowed => "not-allowed",
            Self::NoDescriptor => "no-descriptor",
            Self::TooManySessions => "too-many-sessions",
            Self::TooManyFromPeer => "too-many-from-peer",
        }
    }
}

impl From<Crowded> for TurnAwayReason {
    fn from(crowded: Crowded) -> Self {
        match crowded {
            Crowded::Relay => Self::TooManySessions,
            Crowded::Peer => Self::TooManyFromPeer,
        }
    }
}

impl RefusedBy {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Relay => "relay",
        }
    }
}

impl Phase {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::SigningIn => "signing-in",
            Self::SignedIn => "signed-in",
        }
    }
}

pub(super) fn of(protocol: Protocol, other: (&'static str, &'static str)) -> Words<2> {
    [(PROTOCOL, protocol.name()), other]
}

pub(super) fn throttle(protocol: Protocol, provider: &str) -> [(&'static str, Arc<str>); 2] {
    [(PROTOCOL, protocol.name().into()), ("provider", provider.into())]
}

pub(super) fn of_session(protocol: Protocol, attained: Attained, reason: Reason) -> Words<3> {
    [(PROTOCOL, protocol.name()), ("outcome", attained.name()), ("reason", reason.name())]
}
