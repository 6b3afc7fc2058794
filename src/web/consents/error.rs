//! Why a consent came to its end without an answer of the provider, or could not be begun.

use super::super::operator::{Class, OperatorError};

/// Why a consent is not given. Nothing in it is a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConsentError {
    /// There is none of that id.
    #[error("this consent is not known: it ended a while ago, or the relay was started again")]
    Unknown,
    /// As many as there may be are waiting.
    #[error("too many people are giving their consent just now")]
    TooMany,
    /// Another one of the same account was begun.
    #[error("another consent of this account was begun after it")]
    Replaced,
    /// Whoever began it does not want it any more.
    #[error("the consent was broken off before it was answered")]
    BrokenOff,
    /// The command that began it is gone, or was stopped.
    #[error("the consent was given up: nobody had asked for a minute what came of it")]
    Abandoned,
    /// A reload took the account away, or changed what its consent is for.
    #[error("the account was changed or removed in the file while its consent was waited for")]
    Outdated,
    /// The relay ends.
    #[error("the relay is shutting down")]
    Stopping,
    /// No answer came in time.
    #[error("no answer came within 10 minutes: nothing is kept")]
    Expired,
    /// The listener for the answer was asked for other things all the time.
    #[error("the listener for the answer had 100 requests, and none of them was the answer")]
    Flooded,
    /// The answer would come to `web.public_url`, where nobody listens.
    #[error("the answer comes to {redirect_uri}, which a running relay receives, and none runs")]
    NoRelay {
        /// Where it would come.
        redirect_uri: String,
    },
    /// No listener for the answer can be had.
    #[error("no port of this machine can be had for the answer: {0}")]
    NoPort(String),
    /// What was pasted cannot be the answer. The consent still waits.
    #[error(transparent)]
    Pasted(#[from] PasteError),
}

/// Why what a person pasted cannot be the answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasteError {
    /// It is no address: probably the code alone.
    #[error(
        "this is not the whole address: with a code alone, nobody can tell which request it \
         answers (`state`) and who gave it (`iss`)"
    )]
    NoAddress,
    /// It is longer than an answer is.
    #[error("this is longer than an address with an answer can be, 32 KiB")]
    TooLong,
    /// It is the address of something else.
    #[error("the answer comes to {redirect_uri}, and this is another address")]
    OtherAddress {
        /// Where the answer comes.
        redirect_uri: String,
    },
    /// It has neither a code nor an error.
    #[error("this address holds no answer of the provider")]
    NoAnswer,
    /// Its `state` is another one.
    #[error("this is the answer to another request, an earlier one perhaps")]
    Foreign,
}

impl ConsentError {
    /// How a command ends that meets it.
    pub(in crate::web) fn class(&self) -> Class {
        match self {
            Self::TooMany | Self::Stopping => Class::TryLater,
            Self::Pasted(_) => Class::Usage,
            Self::Unknown
            | Self::Replaced
            | Self::BrokenOff
            | Self::Abandoned
            | Self::Outdated
            | Self::Expired
            | Self::Flooded
            | Self::NoRelay { .. }
            | Self::NoPort(_) => Class::Failed,
        }
    }

    /// What to do, in a clause; empty where the error says it.
    pub(in crate::web) fn fix(&self) -> String {
        match self {
            Self::Unknown | Self::Outdated | Self::Expired => "begin again",
            Self::Stopping => "begin again once it runs",
            Self::TooMany => "try again in some minutes",
            Self::Replaced => "finish that one, or begin again",
            Self::BrokenOff => "",
            Self::Abandoned => "begin again, and let the command run until it has ended",
            Self::Flooded => {
                "see which program of this machine sends them, or paste the answer: \
                 `mailbearer authorize ACCOUNT --paste`"
            }
            Self::NoRelay { .. } => {
                "start `mailbearer serve`, or paste the answer: \
                 `mailbearer authorize ACCOUNT --paste`"
            }
            Self::NoPort(_) => "paste the answer: `mailbearer authorize ACCOUNT --paste`",
            Self::Pasted(PasteError::NoAddress | PasteError::TooLong) => {
                "copy the whole address line of the browser, from http to its end"
            }
            Self::Pasted(PasteError::OtherAddress { .. } | PasteError::NoAnswer) => {
                "sign in first, and copy the address line when the browser has come there; that it \
                 shows no page does not matter"
            }
            Self::Pasted(PasteError::Foreign) => {
                "open the address that was printed last, sign in, and copy the address line then"
            }
        }
        .to_owned()
    }

    /// What to do for whoever reads it on the page.
    pub(in crate::web) fn fix_on_page(&self) -> String {
        match self {
            Self::Flooded => "see which program of that machine sends them, and begin again",
            Self::NoRelay { .. } | Self::NoPort(_) => {
                "have the answer come to the page: write `web.public_url`"
            }
            Self::Unknown
            | Self::TooMany
            | Self::Replaced
            | Self::BrokenOff
            | Self::Abandoned
            | Self::Outdated
            | Self::Stopping
            | Self::Expired
            | Self::Pasted(_) => return self.fix(),
        }
        .to_owned()
    }
}

impl From<PasteError> for OperatorError {
    fn from(error: PasteError) -> Self {
        Self::Consenting(error.into())
    }
}
