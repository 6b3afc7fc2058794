//! Consents that people are giving: from the request to the answer that ends it.
//!
//! One consent of each account at a time: a new one takes the place of the one before. The answer
//! is found by its `state`, whichever way it comes: to a listener of this process, to the page's
//! callback, or pasted.

use std::sync::Arc;
use std::time::Duration;

use super::operator::{Obtained, Operator, OperatorError};
use crate::names::Username;

/// The consents that people are giving. Cloning shares them.
#[derive(Debug, Clone)]
pub struct Consents(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// `web.public_url`.
    #[expect(dead_code, reason = "skeleton")]
    public_url: Option<String>,
}

/// Which of them: 32 hexadecimal digits, known to whom began it alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ConsentId(pub String);

/// How a person is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// By a browser on this machine, or one that reaches `web.public_url`.
    Browser,
    /// By a browser anywhere, whose address line is pasted.
    Paste,
    /// By a code that is entered on another device.
    Device,
}

/// What the person needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// An address to open.
    Browser {
        /// Which consent.
        id: ConsentId,
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
        id: ConsentId,
        /// Where to enter it.
        verification_uri: String,
        /// The same with the code in it.
        verification_uri_complete: Option<String>,
        /// The code.
        user_code: String,
        /// How long it is good for.
        expires_in: Duration,
    },
}

/// A consent that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// For which account.
    pub account: Username,
    /// Who consented, if the provider told.
    pub user: Option<Username>,
    /// What was not granted.
    pub missing: Vec<String>,
}

/// How far a consent is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The person has not answered yet.
    Waiting,
    /// It came to its end.
    Ended(Result<Obtained<Kept>, OperatorError>),
}

impl Consents {
    /// None yet; the page is reached at `public_url`, if it is.
    pub fn new(public_url: Option<String>) -> Self {
        Self(Arc::new(Inner { public_url }))
    }
}

impl Operator {
    /// Asks for the consent of the account `name`; one of `users` may give it besides the account
    /// and its mailboxes. An answer to a listener of this process, or a code that is entered, ends
    /// it without more; see [`Self::consent_progress`].
    ///
    /// # Errors
    /// When there is no such account, its grant is no person's, or the provider cannot be asked.
    pub async fn begin_consent(
        &self,
        _name: &Username,
        _method: Method,
        _users: Vec<Username>,
    ) -> Result<Begun, OperatorError> {
        Err(OperatorError::BrokenOff)
    }

    /// How far the consent `id` is, as soon as it is at its end or `wait` is over.
    ///
    /// # Errors
    /// When there is none.
    pub async fn consent_progress(
        &self,
        _id: &ConsentId,
        _wait: Duration,
    ) -> Result<Progress, OperatorError> {
        Err(OperatorError::BrokenOff)
    }

    /// Takes the answer of a provider: `query` is what stands behind the question mark of the
    /// address that the browser was sent to. Whatever comes of it is the end of the consent, and
    /// told to whoever waits for that as well. An answer to nothing changes nothing.
    ///
    /// # Errors
    /// When the answer belongs to no consent, or nothing was kept.
    pub async fn answer_consent(&self, _query: &str) -> Result<Obtained<Kept>, OperatorError> {
        Err(OperatorError::BrokenOff)
    }
}
