//! Why an operator's wish is not fulfilled: what is told, what to do, and the class that becomes
//! the command's exit code.

use super::super::consents::ConsentError;
use crate::account::password::{MakeError, RandomError};
use crate::names::AddressError;
use crate::names::{Username, UsernameError};
use crate::oauth::{AuthorizeError, ErrorKind, TokenError};
use crate::proto::Lasting;
use crate::provider::{GrantKind, Protocol};
use crate::relay::online::Obstacle;
use crate::store::StoreError;

/// Why something was not done. Nothing in it is a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OperatorError {
    /// What was asked cannot be read.
    #[error("{0}")]
    Malformed(String),
    /// A name that nobody can have.
    #[error(transparent)]
    Name(#[from] UsernameError),
    /// What nothing can be sent to.
    #[error("{address:?} is no address to send to: {error}")]
    Address {
        /// What was given as one.
        address: String,
        /// What is wrong with it.
        error: AddressError,
    },
    /// Something at the provider stood in the way.
    #[error(transparent)]
    Obstacle(Obstacle),
    /// The file has no such account.
    #[error("no such account: {name}{}", nearest(.near.as_deref()))]
    NoSuchAccount {
        /// The name that was asked for.
        name: Username,
        /// The one that was probably meant.
        near: Option<String>,
    },
    /// Every mailbox of a domain was asked for, where one has to be.
    #[error("*@{domain} stands for every mailbox of {domain}, and is no name to sign in with")]
    Pattern {
        /// The domain.
        domain: String,
    },
    /// An account was asked for, and that is a device.
    #[error("{device} is a device and no account")]
    Device {
        /// Its name.
        device: Username,
        /// As which it sends.
        account: Username,
    },
    /// The device is known by its network alone.
    #[error("{device} is a device without a user name: it never signs in")]
    NoDeviceUsername {
        /// Its name.
        device: Username,
    },
    /// A device's password has no label, and is for submission.
    #[error("{device} is a device: it has one password, without a label and for submission")]
    OneDevicePassword {
        /// Its name.
        device: Username,
    },
    /// The account's main password is for every protocol.
    #[error("the password of {account} without a label is good for every protocol")]
    MainPassword {
        /// Whose it would be.
        account: Username,
    },
    /// No made password has that name and label.
    #[error("{name} has no local password {}", labelled(.label.as_deref()))]
    NoSuchPassword {
        /// Whose it would be.
        name: Username,
        /// Its label.
        label: Option<String>,
    },
    /// The account's grant is no person's consent.
    #[error("{account} needs no consent: its grant is {}", grant.name())]
    NoConsent {
        /// Which account.
        account: Username,
        /// Its grant.
        grant: GrantKind,
    },
    /// The account uses the consent of another one.
    #[error("{account} uses the consent of {owner} (`grant_of`)")]
    ConsentOfAnother {
        /// Which account.
        account: Username,
        /// Whose consent it uses.
        owner: Username,
    },
    /// Its person is not asked to consent to that protocol, which no listener speaks.
    #[error("nobody is asked to consent to {protocol} for {account}: no listener speaks it")]
    NotConsentedTo {
        /// Which account.
        account: Username,
        /// For what a token was asked.
        protocol: Protocol,
    },
    /// There is no access token.
    #[error("{}", .0.cause)]
    Token(#[from] TokenError),
    /// It is somebody else's consent. Nothing was kept.
    #[error("{user} consented, not {expected}: nothing is kept of it")]
    WrongUser {
        /// Who did.
        user: Username,
        /// Who should have, one or several.
        expected: String,
    },
    /// A consent was asked for, and none was given that could be kept.
    #[error(transparent)]
    Consent(AuthorizeError),
    /// A consent came to its end without an answer, or could not be begun.
    #[error(transparent)]
    Consenting(#[from] ConsentError),
    /// The refresh token was used, and what came of it could not be written.
    #[error("the consent could not be kept: {problem}")]
    NotKept {
        /// What is wrong and what to do.
        problem: String,
    },
    /// No local password was made.
    #[error(transparent)]
    Password(MakeError),
    /// The system has no random numbers.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The store cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What only a running relay can do.
    #[error("no relay runs here")]
    NotServing,
    /// The new configuration is not used.
    #[error("{0}")]
    Reload(String),
    /// The program ended while it was at it.
    #[error("it was broken off before its end")]
    BrokenOff,
}

/// How a command that meets an error ends. The numbers are those of BSD's sysexits(3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// The thing asked for failed: 1.
    Failed,
    /// It was asked for wrongly: 64.
    Usage,
    /// It may work later: 75.
    TryLater,
    /// The configuration is wrong: 78.
    Configuration,
}

impl OperatorError {
    /// How a command ends that meets it.
    pub fn class(&self) -> Class {
        match self {
            Self::Malformed(_)
            | Self::Name(_)
            | Self::Address { .. }
            | Self::Password(MakeError::Label)
            | Self::NoSuchAccount { .. }
            | Self::Pattern { .. }
            | Self::Device { .. }
            | Self::NoDeviceUsername { .. }
            | Self::OneDevicePassword { .. }
            | Self::MainPassword { .. }
            | Self::NoConsent { .. }
            | Self::ConsentOfAnother { .. } => Class::Usage,
            Self::Consenting(error) => error.class(),
            Self::Token(error) => match error.kind {
                ErrorKind::Temporary => Class::TryLater,
                ErrorKind::Consent | ErrorKind::Admin => Class::Failed,
                ErrorKind::Configuration => Class::Configuration,
            },
            Self::Obstacle(obstacle) => match obstacle.lasting {
                Lasting::Temporary => Class::TryLater,
                Lasting::Permanent => Class::Failed,
            },
            Self::Store(StoreError::InUse { .. }) => Class::TryLater,
            Self::NotConsentedTo { .. }
            | Self::Reload(_)
            | Self::Store(StoreError::Unusable { .. }) => Class::Configuration,
            // A spent refresh token must not be tried again by a script, so this is not 75.
            Self::NotKept { .. }
            | Self::NoSuchPassword { .. }
            | Self::WrongUser { .. }
            | Self::Consent(_)
            | Self::Password(_)
            | Self::Random(_)
            | Self::Store(_)
            | Self::NotServing
            | Self::BrokenOff => Class::Failed,
        }
    }

    /// What to do, in a clause; empty where the error says it.
    pub fn fix(&self) -> String {
        match self {
            Self::Malformed(_) => {
                "use the program of the same version as the relay that runs".to_owned()
            }
            Self::Consent(error) => error.fix(),
            Self::Obstacle(obstacle) => obstacle.fix.clone(),
            Self::Name(_)
            | Self::Address { .. }
            | Self::Password(_)
            | Self::Random(_)
            | Self::Store(_)
            | Self::Reload(_) => String::new(),
            Self::NoSuchAccount { name, .. } => format!(
                "`mailbearer accounts` shows those there are; a new one is an \
                 [accounts.\"{name}\"] in the file, used after `mailbearer reload`"
            ),
            Self::Pattern { domain } => format!("name one of them: NAME@{domain}"),
            Self::Device { account, .. } => format!("name the account that it sends as: {account}"),
            Self::NoDeviceUsername { device } => format!(
                "write username = \"{device}\" in its [devices.{device}], or a shorter one, and run \
                 `mailbearer reload`"
            ),
            Self::OneDevicePassword { device } => format!(
                "run `mailbearer password {device}`; another device is another [devices.NAME] in the \
                 file"
            ),
            Self::MainPassword { account } => format!(
                "for one that is not, add --label: `mailbearer password {account} --label NAME \
                 --protocol PROTOCOL`"
            ),
            Self::NoSuchPassword { name, .. } => {
                format!("`mailbearer password {name} --list` shows those there are")
            }
            Self::NoConsent { account, .. } => {
                format!("try `mailbearer token {account}` to see whether it works")
            }
            Self::ConsentOfAnother { owner, .. } => format!("run `mailbearer authorize {owner}`"),
            Self::NotConsentedTo { account, protocol } => format!(
                "write a [listeners.{protocol}] with protocol = \"{protocol}\" that serves it, and run \
                 `mailbearer authorize {account}`"
            ),
            Self::Token(error) => error.fix.clone(),
            Self::Consenting(error) => error.fix(),
            Self::WrongUser { user, .. } => format!(
                "have the right person sign in, or repeat with --as {user} if this is the one"
            ),
            Self::NotKept { .. } => {
                "mend that and consent again: a refresh token that was used once may be spent"
                    .to_owned()
            }
            Self::NotServing => "start `mailbearer serve`".to_owned(),
            Self::BrokenOff => {
                "see the relay's log and `mailbearer accounts` before repeating it".to_owned()
            }
        }
    }

    /// What to do for whoever reads it on the page, in a clause; empty where the error says it.
    pub fn fix_on_page(&self) -> String {
        match self {
            Self::NoSuchAccount { .. } => "go back to see the accounts there are".to_owned(),
            Self::NoConsent { .. } => "its state stands among the accounts".to_owned(),
            Self::ConsentOfAnother { owner, .. } => format!("consent for {owner} instead"),
            Self::WrongUser { user, .. } => format!(
                "have the right person sign in, or, if this is the one, consent again and enter \
                 {user} under \"Somebody else signs in\""
            ),
            Self::Consenting(error) => error.fix_on_page(),
            Self::BrokenOff => {
                "see mailbearer's log and the account's state before repeating it".to_owned()
            }
            Self::Malformed(_)
            | Self::Name(_)
            | Self::Address { .. }
            | Self::Obstacle(_)
            | Self::NoSuchPassword { .. }
            | Self::Pattern { .. }
            | Self::Device { .. }
            | Self::NoDeviceUsername { .. }
            | Self::OneDevicePassword { .. }
            | Self::MainPassword { .. }
            | Self::NotConsentedTo { .. }
            | Self::Token(_)
            | Self::Consent(_)
            | Self::NotKept { .. }
            | Self::Password(_)
            | Self::Random(_)
            | Self::Store(_)
            | Self::NotServing
            | Self::Reload(_) => self.fix(),
        }
    }
}

impl From<AuthorizeError> for OperatorError {
    fn from(error: AuthorizeError) -> Self {
        match error {
            AuthorizeError::Token(error) => Self::Token(error),
            AuthorizeError::WrongUser { user, expected } => Self::WrongUser { user, expected },
            error @ (AuthorizeError::Redirect(_)
            | AuthorizeError::Denied { .. }
            | AuthorizeError::NoRefreshToken
            | AuthorizeError::NotGranted { .. }) => Self::Consent(error),
        }
    }
}

impl From<MakeError> for OperatorError {
    fn from(error: MakeError) -> Self {
        match error {
            MakeError::Random(error) => Self::Random(error),
            MakeError::Store(error) => Self::Store(error),
            MakeError::Label | MakeError::LabelTaken { .. } | MakeError::TooMany { .. } => {
                Self::Password(error)
            }
        }
    }
}

fn nearest(near: Option<&str>) -> String {
    near.map_or_else(String::new, |near| format!("; the nearest is {near}"))
}

fn labelled(label: Option<&str>) -> String {
    label.map_or_else(|| "without a label".to_owned(), |label| format!("labelled {label:?}"))
}
