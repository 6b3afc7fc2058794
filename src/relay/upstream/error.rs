//! Why a sign-in at the provider failed: what the client hears of it, and what to do.
//!
//! In:  the error, and what is known of the provider's replies. Out: the client's refusal, the fix,
//!      the trouble that `accounts` shows, and whether a newer token may mend it.
//!
//! What may pass is temporary for the client, never a wrong password.

use crate::clock;
use crate::names::Username;
use crate::net::connect::ConnectError;
use crate::net::tls::TlsError;
use crate::oauth::{Claims, TokenError};
use crate::proto::{Lasting, UpstreamFault, UpstreamRefusal};
use crate::provider::{GrantId, Protocol};
use crate::refusal::{Refusal, Unavailable};
use crate::relay::diagnosis::token::{Wanted, compared};
use crate::relay::diagnosis::{Diagnosis, Remedy};
use crate::relay::troubles::Trouble;

/// Why the provider's side did not come about.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignInError {
    /// No token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// No TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The connection broke off.
    #[error("{host} broke off the connection ({source})")]
    Broke { host: String, source: std::io::Error },
    /// The server cannot be spoken to.
    #[error("{host} cannot be used: {}", explained(.fault))]
    Fault { host: String, fault: UpstreamFault },
    /// No answer in time.
    #[error("{host} did not finish the sign-in in time")]
    TimedOut { host: String },
    /// The server refuses the token.
    #[error("{host} refuses the sign-in as {mailbox}: {}", told(.refusal))]
    Refused {
        host: String,
        mailbox: Username,
        refusal: UpstreamRefusal,
        /// What the token says that it was shown, if it was shown one that can be read.
        claims: Option<Box<Claims>>,
    },
}

impl SignInError {
    /// What the client hears.
    pub(crate) fn refusal(&self, account: &Username, grant: &GrantId) -> Refusal {
        match (self, self.diagnosis()) {
            (Self::Token(error), _) => error.refusal(account, grant),
            (Self::Refused { refusal, .. }, Some(diagnosis))
                if diagnosis.remedy != Remedy::Time =>
            {
                let (reply, cause) = (refusal.reply.clone(), diagnosis.cause.to_owned());
                Refusal::UpstreamRefused { reply, cause }
            }
            (
                Self::Connect(_)
                | Self::Tls(_)
                | Self::Broke { .. }
                | Self::Fault { .. }
                | Self::TimedOut { .. }
                | Self::Refused { .. },
                _,
            ) => Refusal::Unavailable(Unavailable::Upstream),
        }
    }

    /// What to do about a refusal that is known.
    pub(crate) fn fix(&self) -> Option<&'static str> {
        self.diagnosis().map(|diagnosis| diagnosis.fix)
    }

    /// Whether the same sign-in with a newer token may be accepted.
    pub(crate) fn may_be_mended_by_a_token(&self) -> bool {
        self.diagnosis().is_some_and(|diagnosis| diagnosis.remedy == Remedy::Token)
    }

    /// Where a newer token was of no use either: what is wrong with it by what it says itself.
    pub(crate) fn about_token(&self, wanted: &Wanted<'_>) -> Option<String> {
        match self {
            Self::Refused { claims: Some(claims), .. } if self.may_be_mended_by_a_token() => {
                compared(claims, wanted)
            }
            Self::Refused { .. }
            | Self::Token(_)
            | Self::Connect(_)
            | Self::Tls(_)
            | Self::Broke { .. }
            | Self::Fault { .. }
            | Self::TimedOut { .. } => None,
        }
    }

    /// The trouble that a refusal is, for `accounts`; `None` of what the server did not say, and of a
    /// connection that it turned away for a reason which is not known.
    pub(crate) fn trouble(&self, protocol: Protocol) -> Option<Trouble> {
        let (reply, diagnosis) = match self {
            Self::Refused { refusal, .. } => (refusal.reply.as_str(), diagnosis(refusal)),
            Self::Fault { fault, .. } => {
                let (reply, diagnosis) = turned_away(fault)?;
                (reply, Some(diagnosis))
            }
            Self::Token(_)
            | Self::Connect(_)
            | Self::Tls(_)
            | Self::Broke { .. }
            | Self::TimedOut { .. } => return None,
        };
        let (cause, fix) = diagnosis.map_or(PASSING, |it| (it.cause, it.fix));
        Some(Trouble {
            at: clock::unix_time(),
            protocol,
            reply: reply.to_owned(),
            cause: cause.to_owned(),
            fix: fix.to_owned(),
        })
    }

    /// Whether the provider says that the mailbox has too many sessions at once.
    pub(crate) fn is_throttle(&self) -> bool {
        self.diagnosis().is_some_and(Diagnosis::is_throttle)
    }

    /// Whether it is the server that cannot be used or does not want to be, for now: whatever else
    /// was signed in there would have met the same. A refusal with any other word than a farewell may
    /// be of the mailbox alone, which has too many sessions or too many tries behind it.
    pub(crate) fn is_of_server(&self) -> bool {
        match self {
            Self::Connect(_)
            | Self::Tls(_)
            | Self::Broke { .. }
            | Self::Fault { .. }
            | Self::TimedOut { .. } => true,
            Self::Refused { refusal, .. } => refusal.is_farewell && !self.is_throttle(),
            Self::Token(_) => false,
        }
    }

    /// What a refusal means, if it is final or known; `None` of everything else.
    pub(crate) fn diagnosis(&self) -> Option<&'static Diagnosis> {
        match self {
            Self::Refused { refusal, .. } => diagnosis(refusal),
            Self::Fault { fault, .. } => turned_away(fault).map(|(_, diagnosis)| diagnosis),
            Self::Token(_)
            | Self::Connect(_)
            | Self::Tls(_)
            | Self::Broke { .. }
            | Self::TimedOut { .. } => None,
        }
    }
}

/// The reply, with what is known about it.
fn told(refusal: &UpstreamRefusal) -> String {
    let mut told = refusal.reply.clone();
    if let Some(status) = &refusal.challenge_status {
        told += &format!(" (status {status})");
    }
    if let Some(diagnosis) = diagnosis(refusal) {
        told += &format!("; {}", diagnosis.cause);
    }
    told
}

/// The fault, with what is known about it.
fn explained(fault: &UpstreamFault) -> String {
    match turned_away(fault) {
        Some((_, diagnosis)) => format!("{fault}; {}", diagnosis.cause),
        None => fault.to_string(),
    }
}

/// What is said in place of a greeting or an answer, if it is known and passes.
fn turned_away(fault: &UpstreamFault) -> Option<(&str, &'static Diagnosis)> {
    let UpstreamFault::TurnedAway { reply } = fault else { return None };
    Some((reply, passing(reply)?))
}

/// What a reply means that comes at the sign-in, if it is known and passes.
fn passing(reply: &str) -> Option<&'static Diagnosis> {
    Diagnosis::at_sign_in(reply).filter(|it| it.remedy == Remedy::Time)
}

/// What a refusal means: something, if it is final, and else what is known of it and passes.
fn diagnosis(refusal: &UpstreamRefusal) -> Option<&'static Diagnosis> {
    match refusal.lasting {
        Lasting::Permanent => Some(Diagnosis::of(&refusal.reply)),
        Lasting::Temporary => passing(&refusal.reply),
    }
}

/// Cause and fix of a refusal that may pass, and of which nothing else is known.
const PASSING: (&str, &str) = (
    "the provider refuses for now",
    "nothing: the client tries again; where it lasts, look at the provider's status page",
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mailbox_over_its_limit_is_no_trouble_of_the_server() {
        let is_of_server = |reply: &str, is_farewell| {
            let (reply, challenge_status) = (reply.to_owned(), None);
            let lasting = Lasting::Temporary;
            let refusal = UpstreamRefusal { reply, lasting, challenge_status, is_farewell };
            let mailbox = Username::parse("alice@contoso.com").unwrap();
            let host = "smtp.example:587".to_owned();
            SignInError::Refused { host, mailbox, refusal, claims: None }.is_of_server()
        };
        for reply in [
            "432 4.3.2 Concurrent connections limit exceeded.",
            "454 4.7.0 Too many login attempts, please try again later.",
            "NO [INUSE] later",
            "NO [LIMIT] Too many simultaneous connections",
            "-ERR [IN-USE] locked",
            "-ERR [LOGIN-DELAY] too soon",
        ] {
            assert!(!is_of_server(reply, false), "{reply}");
        }
        for reply in ["421 4.3.2 Service not available", "BYE the server goes down"] {
            assert!(is_of_server(reply, true), "{reply}");
        }
    }
}
