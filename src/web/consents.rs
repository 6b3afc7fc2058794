//! Consents that people are giving: from the request to the answer that ends it.
//!
//! One consent of each account at a time: a new one takes the place of the one before. The answer
//! is found by its `state`, whichever way it comes: to a listener of this process, to the page's
//! callback, or pasted.
//!
//! Limits: `CONSENTS_MAX` at once. Each ends within `PATIENCE`, or with its device code, and one
//!         that a command began soon after that has gone ([`Waiter`]).
//! Secret: verifier and device code stay in the request, which the task has that carries it.

mod begin;
mod error;
mod pasted;
#[cfg(test)]
mod tests;
mod waiter;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::rand;
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

pub use self::error::{ConsentError, PasteError};
pub(in crate::web) use self::waiter::QUESTIONS_MAX;
pub use self::waiter::Waiter;
use self::waiter::{LastAsked, Silence};
use super::operator::{Obtained, Operator, OperatorError};
use crate::account::password::RandomError;
use crate::names::Username;
use crate::oauth::{AuthorizeError, RedirectError, Redirected};

/// How many consents are known at once. Each is begun by whoever runs the relay, for an account of
/// its own, so this is far more than people who sign in at the same time.
const CONSENTS_MAX: usize = 64;

/// How long a browser's answer is waited for: time to find a telephone for the second factor.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// How long one question for the progress of a consent may take: less than what proxies and the
/// control socket allow a connection.
const PROGRESS_WAIT_MAX: Duration = Duration::from_secs(25);

/// The consents that people are giving. Cloning shares them.
#[derive(Debug, Clone)]
pub struct Consents(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// `web.public_url`, which a reload may change.
    public_url: Mutex<Option<String>>,
    /// Whether the relay stops.
    stop: CancellationToken,
    /// In the order in which they were begun.
    known: Mutex<Vec<Pending>>,
    /// Places for questions that wait.
    questions: Semaphore,
}

/// Which of them: 32 hexadecimal digits, known to whom began it alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ConsentId(pub String);

/// How a person is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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
    Ended(Outcome),
}

/// What came of a consent.
pub type Outcome = Result<Obtained<Kept>, OperatorError>;

/// One consent.
#[derive(Debug)]
struct Pending {
    id: ConsentId,
    /// Whose, folded.
    account: Username,
    /// By what its answer is known, where a browser brings it.
    redirect: Option<Redirect>,
    /// Takes the one thing that ends it; nothing once it was sent.
    end: Option<oneshot::Sender<End>>,
    stage: watch::Receiver<Stage>,
    asked: LastAsked,
    /// When the wish for it came.
    wanted_at: Instant,
}

/// By what the answer that a browser brings is known.
#[derive(Debug, Clone)]
struct Redirect {
    uri: String,
    state: String,
}

/// What ends the wait for a person.
#[derive(Debug)]
enum End {
    /// Their answer.
    Answer(Redirected),
    /// Nobody wants it any more.
    Drop(ConsentError),
}

/// How far the task is that carries a consent.
#[derive(Debug, Clone)]
enum Stage {
    /// It waits for the person, or turns their answer into tokens.
    Waiting,
    /// What came of it is known; the browser that brought the answer is told now.
    Answered(Outcome),
    /// Nothing is left to do.
    Ended(Outcome),
}

/// What the task that carries a consent holds of it.
#[derive(Debug)]
struct Carried {
    end: oneshot::Receiver<End>,
    stage: watch::Sender<Stage>,
    silence: Silence,
}

impl Consents {
    /// None yet; the page is reached at `public_url`, if it is.
    pub fn new(public_url: Option<String>) -> Self {
        Self(Arc::new(Inner {
            public_url: Mutex::new(public_url),
            stop: CancellationToken::new(),
            known: Mutex::default(),
            questions: Semaphore::new(QUESTIONS_MAX),
        }))
    }

    /// Says that the page is reached at `public_url` from now on, if it is. Answers to what was
    /// asked before come to where they were asked to.
    pub fn move_to(&self, public_url: Option<String>) {
        *self.0.public_url.lock().unwrap_or_else(PoisonError::into_inner) = public_url;
    }

    /// Ends those that wait for a person, and begins no more.
    pub fn stop(&self) {
        self.0.stop.cancel();
    }

    async fn stopped(&self) {
        self.0.stop.cancelled().await;
    }

    /// Where the page is reached.
    fn public_url(&self) -> Option<String> {
        self.0.public_url.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Pending>> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds one of `account` for `waiter`, who wanted it at `wanted_at`, and ends the one before.
    fn add(
        &self,
        id: ConsentId,
        account: Username,
        redirect: Option<Redirect>,
        waiter: Waiter,
        wanted_at: Instant,
    ) -> Result<Carried, ConsentError> {
        if self.0.stop.is_cancelled() {
            return Err(ConsentError::Stopping);
        }
        let mut known = self.lock();
        for other in known.iter_mut().filter(|pending| pending.account == account) {
            // The provider was slow to begin this one; whoever wanted it may be gone.
            if other.wanted_at > wanted_at {
                return Err(ConsentError::Replaced);
            }
            other.drop_by(ConsentError::Replaced);
        }
        if known.len() >= CONSENTS_MAX {
            let oldest = known.iter().position(Pending::has_ended);
            known.remove(oldest.ok_or(ConsentError::TooMany)?);
        }
        let (end, ends) = oneshot::channel();
        let (stages, stage) = watch::channel(Stage::Waiting);
        let (asked, silence) = LastAsked::by(waiter);
        known.push(Pending { id, account, redirect, end: Some(end), stage, asked, wanted_at });
        Ok(Carried { end: ends, stage: stages, silence })
    }

    /// Applies `what` to the one named `id`, about which somebody asks.
    fn with<T>(
        &self,
        id: &ConsentId,
        what: impl FnOnce(&mut Pending) -> T,
    ) -> Result<T, ConsentError> {
        let mut known = self.lock();
        let pending = known.iter_mut().find(|pending| pending.id == *id);
        let pending = pending.ok_or(ConsentError::Unknown)?;
        pending.asked.renew();
        Ok(what(pending))
    }

    /// Hands an answer to the one that it belongs to. One that has come to its end takes none: a
    /// browser that loads the page again hears once more what came of it.
    fn deliver(&self, redirected: Redirected) -> Result<watch::Receiver<Stage>, RedirectError> {
        let state = redirected.state().ok_or(RedirectError::Foreign)?.to_owned();
        let mut known = self.lock();
        let pending = known.iter_mut().find(|pending| pending.has_state(&state));
        let pending = pending.ok_or(RedirectError::Foreign)?;
        if let Some(end) = pending.end.take() {
            let _ = end.send(End::Answer(redirected)); // it may have ended just now
        }
        Ok(pending.stage.clone())
    }
}

impl ConsentId {
    /// Draws one that nobody guesses: 128 bits.
    fn draw() -> Result<Self, RandomError> {
        let mut drawn = [0; 16];
        rand::fill(&mut drawn).map_err(|_| RandomError)?;
        Ok(Self(drawn.iter().map(|byte| format!("{byte:02x}")).collect()))
    }
}

impl Pending {
    fn has_ended(&self) -> bool {
        // Without its task it will never say so.
        matches!(*self.stage.borrow(), Stage::Ended(_)) || self.stage.has_changed().is_err()
    }

    fn has_state(&self, state: &str) -> bool {
        let own = self.redirect.as_ref().map(|redirect| redirect.state.as_bytes());
        own.is_some_and(|own| verify_slices_are_equal(own, state.as_bytes()).is_ok())
    }

    /// Ends the wait for the person, if it is not over.
    fn drop_by(&mut self, reason: ConsentError) {
        if let Some(end) = self.end.take() {
            let _ = end.send(End::Drop(reason)); // it may have ended just now
        }
    }
}

impl Stage {
    /// What came of it, as soon as that is known.
    fn outcome(&self) -> Option<Outcome> {
        match self {
            Self::Waiting => None,
            Self::Answered(outcome) | Self::Ended(outcome) => Some(outcome.clone()),
        }
    }
}

impl Operator {
    /// How far the consent `id` is, as soon as it is at its end or `wait` is over, of which 25
    /// seconds count. If too many wait already, it is told at once.
    ///
    /// # Errors
    /// When there is none.
    pub async fn consent_progress(
        &self,
        id: &ConsentId,
        wait: Duration,
    ) -> Result<Progress, OperatorError> {
        let stage = self.consents.with(id, |pending| pending.stage.clone())?;
        let place = self.consents.0.questions.try_acquire();
        let wait = if place.is_ok() { wait.min(PROGRESS_WAIT_MAX) } else { Duration::ZERO };
        Ok(progress(stage, wait).await)
    }

    /// Takes the answer of a provider: `query` is what stands behind the question mark of the
    /// address that the browser was sent to. Whatever comes of it is the end of the consent, and
    /// told to whoever waits for that as well. The first one counts; an answer to nothing changes
    /// nothing.
    ///
    /// # Errors
    /// When the answer belongs to no consent, or nothing was kept.
    pub async fn answer_consent(&self, query: &str) -> Outcome {
        let redirected = Redirected::parse(query).map_err(AuthorizeError::from)?;
        let mut stage = self.consents.deliver(redirected).map_err(AuthorizeError::from)?;
        outcome(&mut stage).await
    }

    /// Takes the answer to the consent `id` as a person pastes it: the whole address that their
    /// browser was sent to. One that cannot be the answer leaves the consent as it is, so that they
    /// can paste again; one that came another way meanwhile counts.
    ///
    /// # Errors
    /// When there is no such consent, this is not its answer, or nothing was kept.
    pub async fn answer_by_paste(&self, id: &ConsentId, pasted: &str) -> Outcome {
        let redirect = self.consents.with(id, |pending| pending.redirect.clone())?;
        let Redirect { uri, state } = redirect.ok_or(ConsentError::Unknown)?;
        let query = pasted::query(pasted, &uri)?;
        let redirected = Redirected::parse(&query).map_err(|_| PasteError::NoAnswer)?;
        if redirected.state() != Some(&state) {
            return Err(PasteError::Foreign.into());
        }
        self.answer_consent(&query).await
    }

    /// Ends the consent `id` if the person has not answered yet; gives what came of it. If it is
    /// being answered, that is waited for: they may have consented.
    ///
    /// # Errors
    /// When there is none.
    pub async fn end_consent(&self, id: &ConsentId) -> Result<Progress, OperatorError> {
        let stage = self.consents.with(id, |pending| {
            pending.drop_by(ConsentError::BrokenOff);
            pending.stage.clone()
        })?;
        Ok(progress(stage, PROGRESS_WAIT_MAX).await)
    }
}

/// How far a consent is at its end, or after `wait`.
async fn progress(mut stage: watch::Receiver<Stage>, wait: Duration) -> Progress {
    let has_ended = |stage: &Stage| matches!(stage, Stage::Ended(_));
    match timeout(wait, stage.wait_for(has_ended)).await {
        Err(_) => Progress::Waiting,
        Ok(stage) => {
            let outcome = stage.ok().and_then(|stage| stage.outcome());
            Progress::Ended(outcome.unwrap_or(Err(OperatorError::BrokenOff)))
        }
    }
}

/// What came of a consent, once it is known.
async fn outcome(stage: &mut watch::Receiver<Stage>) -> Outcome {
    let known = stage.wait_for(|stage| stage.outcome().is_some()).await;
    known.ok().and_then(|stage| stage.outcome()).unwrap_or(Err(OperatorError::BrokenOff))
}
