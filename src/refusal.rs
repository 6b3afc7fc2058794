//! A refusal: the one kind of error that a client hears. Each protocol renders it in its own
//! words; `docs/` lists what each means.

use crate::names::Username;

/// Why a sign-in is refused, as far as the client is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The local password is wrong or there is no such account: one reply for both.
    WrongPassword,
    /// The account's person has to consent, for the first time or again.
    ConsentNeeded {
        /// Whom it concerns; the client named it, so it may be told.
        account: Username,
    },
    /// The provider gives this account no token until somebody mends something there.
    GrantRefused {
        /// Whom it concerns; the client named it, so it may be told.
        account: Username,
    },
    /// The mailbox has as many sessions as its provider allows, and none ended in time.
    MailboxBusy,
    /// The client has not signed in, and is no device by its address either.
    NoDevice,
    /// Something may pass by itself: an outage, a time-out, throttling.
    Unavailable(Unavailable),
    /// The upstream refuses a fresh token for this mailbox, for good.
    UpstreamRefused {
        /// The upstream's own reply: printable ASCII without line ends, at most 400 bytes, for
        /// SMTP with its code (`535 5.7.3 Authentication unsuccessful`).
        reply: String,
        /// What most likely causes it, in a clause.
        cause: String,
    },
}

/// What is unavailable for the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unavailable {
    /// The token endpoint gave no token.
    TokenEndpoint,
    /// The provider's mail server cannot be reached or does not sign anyone in now.
    Upstream,
    /// This relay verifies as many passwords as it can already.
    Overloaded,
    /// The account's local password cannot be read from its file.
    LocalPassword,
    /// It cannot be told whether a device's address is one of this machine or its gateway.
    Addresses,
}

impl Unavailable {
    /// One sentence without a full stop for the client.
    pub fn text(self) -> &'static str {
        match self {
            Self::TokenEndpoint => {
                "the provider's token endpoint gives no token now, try again later"
            }
            Self::Upstream => "the provider's mail server is not available now, try again later",
            Self::Overloaded => "too many sign-ins at once, try again later",
            Self::LocalPassword => "the local password cannot be compared now, try again later",
            Self::Addresses => "this machine's addresses cannot be read now, try again later",
        }
    }
}

impl Refusal {
    /// The words that [`Self::kind`] gives.
    pub const KINDS: [&'static str; 11] = [
        "wrong-password",
        "consent-needed",
        "grant-refused",
        "token-endpoint-unavailable",
        "upstream-unavailable",
        "overloaded",
        "local-password-unreadable",
        "addresses-unreadable",
        "mailbox-busy",
        "no-device",
        "upstream-refused",
    ];

    /// The word that logs use for this kind of refusal.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::WrongPassword => "wrong-password",
            Self::ConsentNeeded { .. } => "consent-needed",
            Self::GrantRefused { .. } => "grant-refused",
            Self::Unavailable(Unavailable::TokenEndpoint) => "token-endpoint-unavailable",
            Self::Unavailable(Unavailable::Upstream) => "upstream-unavailable",
            Self::Unavailable(Unavailable::Overloaded) => "overloaded",
            Self::Unavailable(Unavailable::LocalPassword) => "local-password-unreadable",
            Self::Unavailable(Unavailable::Addresses) => "addresses-unreadable",
            Self::MailboxBusy => "mailbox-busy",
            Self::NoDevice => "no-device",
            Self::UpstreamRefused { .. } => "upstream-refused",
        }
    }
}
