//! The keeper: renews tokens before they end, keeps unused grants alive, warns of what ends, and
//! writes what could not be written.
//!
//! It sleeps until the next of these is due, and wakes at least once a minute, because the clock
//! that it sleeps by stands still while a machine does.
//!
//! Limits: what a round costs depends on what is due, not on how many accounts there are: tokens in
//!         use are in the agenda of `cache`, and consents are looked at by turns (`vigil`). Requests
//!         begun in a round and under way at once are bounded, and who has waited longest is first.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{info, warn};

use super::Wanted;
use super::desk::{Desk, foreign};
use super::forecast::{self, Foresight};
use super::ledger::Saved;
use super::moment::Moment;
use super::slot::Key;
use super::vigil::{Pulse, Vigil};
use crate::provider::{Grant, GrantId};

/// It never looks more often.
const ROUND_MIN: Duration = Duration::from_secs(1);

/// It never looks less often.
const ROUND_MAX: Duration = Duration::from_secs(60);

/// Requests begun in one round: after a machine has slept, everything is due at once.
const REQUESTS_IN_A_ROUND: usize = 16;

/// In as many rounds a request can be begun for each grant in use, however many these are: in eight
/// minutes, where `slot` spreads those of one instant over nine.
const ROUNDS_FOR_ALL: usize = 8 * 60;

/// Requests under way at once that nobody waits for. At the 200 ms that an endpoint mostly takes
/// these are 320 a second, and at the longest, 15 s, four.
pub(super) const REQUESTS_AT_ONCE: usize = 64;

/// Grants looked at in one round, so that sessions never wait for it: some milliseconds.
const LOOKS_IN_A_ROUND: usize = 1_000;

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
        let (mut vigil, mut pulse) = (Vigil::default(), Pulse::new(Moment::now()));
        loop {
            self.foresee(&mut foresight).await;
            let saved = self.save(&mut saving).await;
            let now = Moment::now();
            vigil.turn_to(&self.wanted(), now);
            if pulse.stood_still(now) {
                self.cache.look_at_all(now);
                vigil.look_at_all(now);
            }
            let renewed = self.renew(&mut vigil, now);
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
    fn renew(self: &Arc<Self>, vigil: &mut Vigil, now: Moment) -> Duration {
        let of_all = self.cache.agenda_len() / ROUNDS_FOR_ALL;
        let mut round = Round { left: REQUESTS_IN_A_ROUND.max(of_all) };
        for _ in 0..LOOKS_IN_A_ROUND {
            let grant = if round.left == 0 { None } else { self.cache.next_due(now) };
            let Some(grant) = grant else { break };
            if let Some(wanted) = vigil.find(&grant) {
                self.renew_tokens(&grant, wanted, now, &mut round);
            }
        }
        for _ in 0..LOOKS_IN_A_ROUND {
            let next = if round.left == 0 { None } else { vigil.next_due(now) };
            let Some((at, wanted)) = next else { break };
            let due = self.keep_alive(wanted, now, &mut round);
            vigil.look_again(at, due, now);
        }
        let next = self.cache.due_next().into_iter().chain(vigil.due_next()).min();
        next.map_or(ROUND_MAX, |at| at.saturating_duration_since(now.instant))
    }

    /// Begins the requests for those tokens of `grant` that are due, and has it looked at again when
    /// others are. `wanted` names it, or the service account that asks in its name.
    fn renew_tokens(
        self: &Arc<Self>,
        grant: &GrantId,
        wanted: &Wanted,
        now: Moment,
        round: &mut Round,
    ) {
        let mailbox = grant.subject();
        let grant = mailbox
            .map_or_else(|| Arc::clone(&wanted.grant), |mailbox| wanted.grant.for_mailbox(mailbox));
        for scopes in &wanted.scopes {
            let Some(due) = self.cache.renewal_due(&Key::new(&grant, scopes), now) else {
                continue;
            };
            // What begins has a place in the agenda again when it ends.
            if !due.is_zero() || self.ask_ahead(&grant, scopes, round) == Asked::NoPlace {
                self.cache.look_at(&grant.id, now.instant + due);
            }
        }
    }

    /// Uses the grant of `wanted` if it is due to be used lest it die; gives in how long it is
    /// due, as far as that is known.
    fn keep_alive(
        self: &Arc<Self>,
        wanted: &Wanted,
        now: Moment,
        round: &mut Round,
    ) -> Option<Duration> {
        let due = self.keep_alive_due(wanted, now)?;
        if !due.is_zero() {
            return Some(due);
        }
        let scopes = self.scopes_to_keep_alive(wanted)?;
        match self.ask_ahead(&wanted.grant, scopes, round) {
            Asked::Begun => {
                self.cache.keeps_alive(&wanted.grant.id);
                self.keep_alive_due(wanted, Moment::now())
            }
            Asked::NotNow => Some(ROUND_MAX),
            Asked::NoPlace => Some(due),
        }
    }

    fn ask_ahead(
        self: &Arc<Self>,
        grant: &Arc<Grant>,
        scopes: &[String],
        round: &mut Round,
    ) -> Asked {
        let Some(place) = self.place(round) else { return Asked::NoPlace };
        match self.cache.board_ahead(&Key::new(grant, scopes)) {
            Some(ticket) => {
                round.left = round.left.saturating_sub(1);
                self.launch(ticket, grant, scopes, Some(place));
                Asked::Begun
            }
            None => Asked::NotNow,
        }
    }

    /// A place for a request that nobody waits for. Where there is none, the round is over.
    fn place(&self, round: &mut Round) -> Option<OwnedSemaphorePermit> {
        let place = (round.left > 0).then(|| Arc::clone(&self.places).try_acquire_owned());
        let place = place.and_then(Result::ok);
        if place.is_none() {
            round.left = 0;
        }
        place
    }

    /// Those by which the grant is used lest it die: not what was refused, if there are others.
    fn scopes_to_keep_alive<'w>(&self, wanted: &'w Wanted) -> Option<&'w [String]> {
        let is_refused =
            |scopes: &[String]| self.cache.is_refused(&Key::new(&wanted.grant, scopes));
        let mut sets = wanted.scopes.iter().map(Vec::as_slice);
        sets.clone().find(|scopes| !is_refused(scopes)).or_else(|| sets.next())
    }

    /// In how long the grant is due to be used lest it die; `None` where that cannot help.
    fn keep_alive_due(&self, wanted: &Wanted, now: Moment) -> Option<Duration> {
        let grant = &wanted.grant;
        // The store reads from memory, and waits for no disk.
        let stored = self.ledger.store().load(&grant.id)?;
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

/// A round of the keeper.
#[derive(Debug)]
struct Round {
    /// How many requests it may still begin.
    left: usize,
}

/// What came of asking for a token that nobody waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// A request is under way.
    Begun,
    /// One is already, or the endpoint is left alone for a while.
    NotNow,
    /// There are enough requests in this round, or at once.
    NoPlace,
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
