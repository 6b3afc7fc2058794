//! The keeper: renews tokens before they end, keeps unused grants alive, warns of what ends, and
//! writes what could not be written.
//!
//! It sleeps until the next of these is due, and looks again at least once a minute, because the
//! clock that it sleeps by stands still while a machine does.

use std::iter;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use tracing::{info, warn};

use super::Wanted;
use super::desk::{Desk, foreign};
use super::forecast::{self, Foresight};
use super::ledger::Saved;
use super::moment::Moment;
use super::slot::Key;
use crate::provider::Grant;

/// It never looks more often.
const ROUND_MIN: Duration = Duration::from_secs(1);

/// It never looks less often.
const ROUND_MAX: Duration = Duration::from_secs(60);

/// Requests begun in one round at most: after a machine has slept, everything is due at once.
const REQUESTS_IN_A_ROUND: usize = 16;

/// The idle life of a refresh token where the provider's is not known. Shorter than any that is
/// (Google six months, Entra 90 days); one request in a week costs nobody anything.
const IDLE_ASSUMED: Duration = Duration::from_secs(28 * 24 * 60 * 60);

/// How long after an attempt to keep a grant alive the next one is made, if it failed.
const KEPT_ALIVE_AGAIN: Duration = Duration::from_secs(60 * 60);

/// A grant is used no more often than that to keep it alive, however short its refresh tokens live.
const KEPT_ALIVE_MIN: Duration = Duration::from_secs(5 * 60);

/// The first and the longest pause between attempts to write what could not be written.
const SAVE_PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

impl Desk {
    /// As [`super::Tokens::keep`].
    pub(super) async fn keep(self: &Arc<Self>) {
        let (mut saving, mut foresight) = (Saving::default(), Foresight::default());
        loop {
            self.foresee(&mut foresight).await;
            let saved = self.save(&mut saving).await;
            let renewed = self.renew().await;
            let next = Instant::now() + saved.min(renewed).min(ROUND_MAX);
            sleep(ROUND_MIN).await;
            tokio::select! {
                () = sleep_until(next) => {}
                () = self.changed.notified() => {}
            }
        }
    }

    /// Writes what is in memory alone when it is time to, and says in how long that is again.
    async fn save(&self, saving: &mut Saving) -> Duration {
        if let Some(left) = saving.left() {
            return left;
        }
        match self.ledger.save().await {
            Ok(Saved::Already) => {
                saving.pause = None;
                ROUND_MAX
            }
            Ok(Saved::Now) => {
                info!("the store is written again");
                saving.pause = None;
                ROUND_MAX
            }
            Err(problem) => {
                let pause = saving.lengthen();
                warn!(problem = %problem, again_in = ?pause, "the store is not written");
                pause
            }
        }
    }

    /// Begins the requests that are due, and says in how long the next ones are.
    async fn renew(self: &Arc<Self>) -> Duration {
        let now = Moment::now();
        let (mut begun, mut next) = (0, ROUND_MAX);
        for wanted in self.wanted().iter() {
            for grant in self.in_use(&wanted.grant, now) {
                for scopes in &wanted.scopes {
                    match self.cache.renewal_due(&Key::new(&grant, scopes), now) {
                        Some(Duration::ZERO) if begun < REQUESTS_IN_A_ROUND => {
                            begun += usize::from(self.ask_ahead(&grant, scopes));
                        }
                        Some(due) => next = next.min(due),
                        None => {}
                    }
                }
            }
            let Some(scopes) = self.scopes_to_keep_alive(wanted) else { continue };
            match self.keep_alive_due(wanted, now).await {
                Some(Duration::ZERO) if begun < REQUESTS_IN_A_ROUND => {
                    begun += usize::from(self.ask_to_keep_alive(wanted, scopes));
                }
                Some(due) => next = next.min(due),
                None => {}
            }
        }
        next
    }

    /// `grant`, and what it is for each mailbox that has used it lately.
    fn in_use(&self, grant: &Arc<Grant>, now: Moment) -> impl Iterator<Item = Arc<Grant>> {
        let subjects = self.cache.subjects_in_use(&grant.id, now);
        let of_file = Arc::clone(grant);
        let subjects = subjects.into_iter().map(move |subject| of_file.for_mailbox(&subject));
        iter::once(Arc::clone(grant)).chain(subjects)
    }

    /// Whether a request was begun.
    fn ask_ahead(self: &Arc<Self>, grant: &Arc<Grant>, scopes: &[String]) -> bool {
        let ticket = self.cache.board_ahead(&Key::new(grant, scopes));
        let begins = ticket.is_some();
        if let Some(ticket) = ticket {
            self.launch(ticket, grant, scopes);
        }
        begins
    }

    /// Whether a request was begun.
    fn ask_to_keep_alive(self: &Arc<Self>, wanted: &Wanted, scopes: &[String]) -> bool {
        let begins = self.ask_ahead(&wanted.grant, scopes);
        if begins {
            self.cache.keeps_alive(&wanted.grant.id);
        }
        begins
    }

    /// Those by which the grant is used lest it die: not what was refused, if there are others.
    fn scopes_to_keep_alive<'w>(&self, wanted: &'w Wanted) -> Option<&'w [String]> {
        let is_refused =
            |scopes: &[String]| self.cache.is_refused(&Key::new(&wanted.grant, scopes));
        let mut sets = wanted.scopes.iter().map(Vec::as_slice);
        sets.clone().find(|scopes| !is_refused(scopes)).or_else(|| sets.next())
    }

    /// In how long the grant is due to be used lest it die; `None` where that cannot help.
    async fn keep_alive_due(&self, wanted: &Wanted, now: Moment) -> Option<Duration> {
        let grant = &wanted.grant;
        if !grant.kind().is_kept() {
            return None;
        }
        let stored = self.ledger.load(&grant.id).await.ok()??.stored;
        if stored.refused.is_some() || foreign(grant, &stored).is_some() {
            return None;
        }
        let unused = now.unix_time.saturating_sub(stored.refreshed_at);
        let idle = forecast::idle_life(grant, &stored).unwrap_or(IDLE_ASSUMED);
        let interval = (idle / 4).max(KEPT_ALIVE_MIN);
        let due = interval.saturating_sub(unused);
        let again = self.cache.kept_alive_at(&grant.id);
        let again = again.map(|at| KEPT_ALIVE_AGAIN.min(interval).saturating_sub(now.since(at)));
        Some(due.max(again.unwrap_or_default()))
    }
}

/// When the store is written again that could not be.
#[derive(Debug, Default)]
struct Saving {
    /// The last pause and its end, while writing fails.
    pause: Option<(Duration, Instant)>,
}

impl Saving {
    fn left(&self) -> Option<Duration> {
        let (_, until) = self.pause?;
        let left = until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    fn lengthen(&mut self) -> Duration {
        let (first, longest) = SAVE_PAUSES;
        let length = self.pause.map_or(first, |(last, _)| (last * 2).min(longest));
        self.pause = Some((length, Instant::now() + length));
        length
    }
}
