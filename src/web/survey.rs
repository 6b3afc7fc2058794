//! The survey: how the accounts of the file are, for probes and monitors, who ask often and may be
//! anybody.
//!
//! In:     what is known already; nobody is asked for it, and nothing is written.
//! Limits: it is made once in [`FRESH_FOR`] at most, by one at a time, and nobody waits for it
//!         longer than [`WAITED_MAX`].

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::accounts::grant_of;
use super::operator::Operator;
use crate::oauth::{GrantStatus, TokenState};

/// How long what was found is told. Looking at ten thousand accounts takes some milliseconds.
const FRESH_FOR: Duration = Duration::from_secs(1);

/// How long somebody waits for it: a probe of Kubernetes gives up after a second. A disk that hangs
/// makes nothing that does not need it seem to be down.
const WAITED_MAX: Duration = Duration::from_millis(500);

/// Looks now and then. Cloning shares what was found.
#[derive(Clone)]
pub(super) struct Survey(Arc<Shared>);

struct Shared {
    operator: Operator,
    latest: watch::Sender<Option<Arc<Found>>>,
    /// Whether somebody looks.
    looks: AtomicBool,
}

/// What was found.
#[derive(Debug)]
pub(super) struct Found {
    at: Instant,
    /// How many accounts are how.
    pub(super) numbers: Numbers,
    /// What is known to end, by the account's name in the file.
    pub(super) ends: Vec<(String, Ends)>,
}

/// How many accounts of the file are in which state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbers {
    /// [`TokenState::Ready`].
    pub ready: u64,
    /// [`TokenState::NotAsked`].
    pub not_asked: u64,
    /// [`TokenState::ConsentNeeded`].
    pub consent_needed: u64,
    /// [`TokenState::Failing`].
    pub failing: u64,
}

/// When something of an account ends, since 1970; nothing of what is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Ends {
    /// The access token in memory.
    pub(super) token: Option<Duration>,
    /// The consent.
    pub(super) grant: Option<Duration>,
    /// The client's secret or certificate.
    pub(super) credential: Option<Duration>,
}

impl Survey {
    /// Of the accounts of `operator`, not yet made.
    pub(super) fn new(operator: Operator) -> Self {
        let (latest, looks) = (watch::Sender::new(None), AtomicBool::new(false));
        Self(Arc::new(Shared { operator, latest, looks }))
    }

    /// What is found now, or was not long ago; nothing where it takes too long and was never found.
    pub(super) async fn look(&self) -> Option<Arc<Found>> {
        let mut seen = self.0.latest.subscribe();
        let is_fresh = |found: &Arc<Found>| found.at.elapsed() < FRESH_FOR;
        if !self.latest().is_some_and(|found| is_fresh(&found)) {
            self.begin_to_look();
            let fresh = seen.wait_for(|found| found.as_ref().is_some_and(is_fresh));
            // Late or not, what is known is told.
            let _ = timeout(WAITED_MAX, fresh).await;
        }
        self.latest()
    }

    /// What was found last.
    pub(super) fn latest(&self) -> Option<Arc<Found>> {
        self.0.latest.borrow().clone()
    }

    /// Whether something that should be on the disk is in memory alone.
    pub(super) fn is_unsaved(&self) -> bool {
        self.0.operator.unsaved().is_some()
    }

    /// Looks in a task of its own, unless somebody does already.
    fn begin_to_look(&self) {
        if self.0.looks.swap(true, Ordering::AcqRel) {
            return;
        }
        let shared = Arc::clone(&self.0);
        tokio::spawn(async move {
            let operator = shared.operator.clone();
            // Certificates are read from their files.
            let found = tokio::task::spawn_blocking(move || find(&operator)).await;
            shared.looks.store(false, Ordering::Release);
            // It is cut off only when the program ends.
            if let Ok(found) = found {
                shared.latest.send_replace(Some(Arc::new(found)));
            }
        });
    }
}

impl fmt::Debug for Survey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Survey").finish_non_exhaustive()
    }
}

impl Numbers {
    /// Each with the word for it.
    pub(super) fn each(&self) -> [(&'static str, u64); 4] {
        [
            ("ready", self.ready),
            ("not-asked", self.not_asked),
            ("consent-needed", self.consent_needed),
            ("failing", self.failing),
        ]
    }

    fn count(&mut self, state: TokenState) {
        let number = match state {
            TokenState::Ready => &mut self.ready,
            TokenState::NotAsked => &mut self.not_asked,
            TokenState::ConsentNeeded => &mut self.consent_needed,
            TokenState::Failing => &mut self.failing,
        };
        *number += 1;
    }
}

/// Looks at every account; at a grant that many share, once.
fn find(operator: &Operator) -> Found {
    let directory = Arc::clone(&operator.directory.borrow());
    let mut known = HashMap::new();
    let (mut numbers, mut ends) = (Numbers::default(), Vec::new());
    for account in directory.accounts() {
        let grant = grant_of(account);
        let (state, of_grant) = *known.entry(grant.id.clone()).or_insert_with(|| {
            let GrantStatus { state, access_token_ends_at, dies_at, credential_ends_at, .. } =
                operator.tokens.status(&grant);
            let ends = Ends {
                token: access_token_ends_at,
                grant: dies_at,
                credential: credential_ends_at,
            };
            (state, ends)
        });
        numbers.count(state);
        if of_grant != Ends::default() {
            ends.push((account.name.to_string(), of_grant));
        }
    }
    Found { at: Instant::now(), numbers, ends }
}
