//! What is asked about a consent that a person is giving.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Ask, Shown};
use crate::names::Username;
use crate::secret::ExposeSecret as _;
use crate::web::consents::{Begun, ConsentId, Kept, Method, Outcome, Progress, Waiter};
use crate::web::operator::{Operator, OperatorError};

/// How long one question for the progress of a consent waits for its end. The command waits 60 s
/// for an answer, and the socket 90 s for a connection's end.
const PROGRESS_WAIT: Duration = Duration::from_secs(25);

/// A person is to be asked for their consent.
#[derive(Debug, Serialize, Deserialize)]
pub struct BeginConsent {
    /// For which account.
    pub account: String,
    /// How; left out, as the grant of the file does.
    pub method: Option<Method>,
    /// Who may consent besides the account and its mailboxes.
    pub users: Vec<String>,
}

/// What the person needs.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "kebab-case")]
pub enum ConsentBegun {
    /// An address to open.
    Browser {
        /// Which consent.
        consent: String,
        /// What to open.
        authorize_url: String,
        /// Where the answer comes.
        redirect_uri: String,
        /// What must be registered as redirect URI at the provider, in words.
        register: String,
    },
    /// A code to enter.
    Device {
        /// Which consent.
        consent: String,
        /// Where to enter it.
        verification_uri: String,
        /// The same with the code in it.
        verification_uri_complete: Option<String>,
        /// The code.
        user_code: String,
        /// For how many seconds it is good.
        expires_in: u64,
    },
}

impl ConsentBegun {
    /// Which consent.
    pub fn consent(&self) -> &str {
        match self {
            Self::Browser { consent, .. } | Self::Device { consent, .. } => consent,
        }
    }
}

impl Ask for BeginConsent {
    const PATH: &'static str = "/consents/begin";
    type Answer = ConsentBegun;

    async fn carry_out(self, operator: Operator) -> Result<Self::Answer, OperatorError> {
        let account = Username::parse(&self.account)?;
        let users =
            self.users.iter().map(|user| Username::parse(user)).collect::<Result<Vec<_>, _>>()?;
        let method = match self.method {
            Some(method) => method,
            None => operator.usual_method(&account)?,
        };
        Ok(match operator.begin_consent(&account, method, users, Waiter::Command).await? {
            Begun::Browser { id, authorize_url, redirect_uri, register } => {
                ConsentBegun::Browser { consent: id.0, authorize_url, redirect_uri, register }
            }
            Begun::Device {
                id,
                verification_uri,
                verification_uri_complete,
                user_code,
                expires_in,
            } => ConsentBegun::Device {
                consent: id.0,
                verification_uri,
                verification_uri_complete,
                user_code,
                expires_in: expires_in.as_secs(),
            },
        })
    }
}

/// How far a consent is. Waits for some time for its end.
#[derive(Debug, Serialize, Deserialize)]
pub struct ConsentProgress {
    /// Which consent.
    pub consent: String,
}

/// The answer to a consent, as a person pastes it.
#[derive(Debug, Serialize, Deserialize)]
pub struct AnswerConsent {
    /// Which consent.
    pub consent: String,
    /// The whole address that the browser was sent to.
    pub pasted: Shown,
}

/// Nobody wants a consent any more.
#[derive(Debug, Serialize, Deserialize)]
pub struct EndConsent {
    /// Which consent.
    pub consent: String,
}

/// A consent that is kept.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsentKept {
    /// For which account, folded.
    pub account: String,
    /// Who consented, if the provider told.
    pub user: Option<String>,
    /// What was not granted.
    pub missing: Vec<String>,
    /// What is wrong if it is in the relay's memory alone for now.
    pub unsaved: Option<String>,
}

impl Ask for ConsentProgress {
    const PATH: &'static str = "/consents/progress";
    const IS_LOOK: bool = true;
    /// Nothing while the person has not answered.
    type Answer = Option<ConsentKept>;

    async fn carry_out(self, operator: Operator) -> Result<Self::Answer, OperatorError> {
        told(operator.consent_progress(&ConsentId(self.consent), PROGRESS_WAIT).await?)
    }
}

impl Ask for AnswerConsent {
    const PATH: &'static str = "/consents/answer";
    type Answer = ConsentKept;

    async fn carry_out(self, operator: Operator) -> Result<Self::Answer, OperatorError> {
        let id = ConsentId(self.consent);
        kept(operator.answer_by_paste(&id, self.pasted.0.expose_secret()).await)
    }
}

impl Ask for EndConsent {
    const PATH: &'static str = "/consents/end";
    /// What came of it, if the person had answered already.
    type Answer = Option<ConsentKept>;

    async fn carry_out(self, operator: Operator) -> Result<Self::Answer, OperatorError> {
        told(operator.end_consent(&ConsentId(self.consent)).await?)
    }
}

fn told(progress: Progress) -> Result<Option<ConsentKept>, OperatorError> {
    match progress {
        Progress::Waiting => Ok(None),
        Progress::Ended(outcome) => kept(outcome).map(Some),
    }
}

fn kept(outcome: Outcome) -> Result<ConsentKept, OperatorError> {
    let outcome = outcome?;
    let Kept { account, user, missing } = outcome.it;
    let (account, user) = (account.to_string(), user.map(|user| user.to_string()));
    Ok(ConsentKept { account, user, missing, unsaved: outcome.unsaved })
}
