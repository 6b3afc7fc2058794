//! The keeper: renews tokens before they end, keeps unused grants alive, warns of what ends, and
//! writes what could not be written.
//!
//! It sleeps until the next of these is due, and wakes at least once a minute, because the clock
//! that it sleeps by stands still while a machine does.
//!
//! Limits: what a round costs depends on what is due, not on how many accounts there are: tokens in
//!         use are in the agenda of `cache`, and consents are looked at by turns (`vigil`). Requests
//!         begun in a round and under way at once are bounded, both by host (`places`); of renewals
//!         who has waited longest is first, and of consents which dies first.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use super::Wanted;
use super::cache::ROUND;
use super::desk::{Desk, foreign};
use super::endpoint::host_of;
use super::forecast::{self, Foresight};
use super::ledger::Saved;
use super::moment::Moment;
use super::places::{Looks, Purpose, Share};
use super::slot::Key;
use super::vigil::{Pulse, Vigil};
use crate::provider::{Grant, GrantId};

/// It never looks less often.
const ROUND_MAX: Duration = Duration::from_secs(60);

/// In as many rounds a request can be begun for as many consents as are due to be kept alive: in four
/// minutes, less than the shortest idle life leaves after its quarter.
const ROUNDS_FOR_CONSENTS: usize = 4 * 60;

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
            let ends_at = Instant::now() + ROUND;
            let mut round = self.round(&vigil);
            let mut renewed = self.renew(&mut vigil, &mut round, now);
            while round.lacks_place() {
                tokio::select! {
                    () = sleep_until(ends_at) => break,
                    // A request is over, or something else has changed that the next round sees to.
                    () = self.changed.notified() => {}
                }
                renewed = Duration::ZERO;
                self.renew(&mut vigil, &mut round, Moment::now());
            }
            let next = Instant::now() + saved.min(renewed).min(ROUND_MAX);
            sleep_until(ends_at).await;
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

    /// What a round may do that begins now.
    fn round(&self, vigil: &Vigil) -> Round {
        let renewals = self.cache.requests_a_round();
        let consents = vigil.due_len() / ROUNDS_FOR_CONSENTS;
        Round {
            renewals: Share::new(Purpose::Renewal, renewals),
            consents: Share::new(Purpose::KeepingAlive, consents),
            falls: Looks::default(),
            turns: Looks::default(),
        }
    }

    /// Begins the requests that are due, as far as `round` goes, and says in how long the next ones
    /// are.
    fn renew(self: &Arc<Self>, vigil: &mut Vigil, round: &mut Round, now: Moment) -> Duration {
        let Round { renewals, consents, falls, turns } = round;
        let host_of = |grant: &GrantId| Some(host_of(vigil.find(grant)?.grant.source()));
        while falls.take() && self.cache.fall_due(now, host_of) {}
        while renewals.looks.take()
            && let Some((at, grant)) =
                self.cache.next_due(|host| renewals.is_open(&self.places, host))
        {
            if let Some(wanted) = vigil.find(&grant) {
                self.renew_tokens(&grant, at, wanted, now, renewals);
            }
        }
        renewals.lacks_place = self.cache.waits(|host| renewals.goes_on(host));
        while turns.take()
            && let Some((at, wanted)) = vigil.next_look(now)
        {
            match self.use_due(wanted, now) {
                Some(due) if due.within.is_zero() => vigil.fall_due(at, due.dies_at),
                due => vigil.look_again(at, due.map(|due| due.within), now),
            }
        }
        while consents.looks.take()
            && let Some((dies_at, at, wanted)) =
                vigil.next_due(|host| consents.is_open(&self.places, host))
        {
            match self.keep_alive(wanted, now, consents) {
                Kept::NoPlace => vigil.fall_due(at, dies_at),
                Kept::Until(due) => vigil.look_again(at, due, now),
            }
        }
        consents.lacks_place = vigil.waits(|host| consents.goes_on(host));
        let next = self.cache.due_next().into_iter().chain(vigil.due_next(now)).min();
        next.map_or(ROUND_MAX, |at| at.saturating_duration_since(now.instant))
    }

    /// Begins the requests for those tokens of `grant` that are due, and has it looked at again when
    /// others are. `wanted` names it, or the service account that asks in its name; it was to be
    /// looked at by `looked_at`, and keeps its turn if there is no place.
    fn renew_tokens(
        self: &Arc<Self>,
        grant: &GrantId,
        looked_at: Instant,
        wanted: &Wanted,
        now: Moment,
        share: &mut Share,
    ) {
        let mailbox = grant.subject();
        let grant = mailbox
            .map_or_else(|| Arc::clone(&wanted.grant), |mailbox| wanted.grant.for_mailbox(mailbox));
        for scopes in &wanted.scopes {
            let Some(due) = self.cache.renewal_due(&Key::new(&grant, scopes), now) else {
                continue;
            };
            // What begins has a place in the agenda again when it ends.
            if !due.is_zero() {
                self.cache.look_at(&grant.id, now.instant + due);
            } else if self.ask_ahead(&grant, scopes, share) == Asked::NoPlace {
                self.cache.look_at(&grant.id, looked_at);
            }
        }
    }

    /// Uses the grant of `wanted` if it is still due to be used lest it die.
    fn keep_alive(self: &Arc<Self>, wanted: &Wanted, now: Moment, share: &mut Share) -> Kept {
        let due = self.use_due(wanted, now).map(|due| due.within);
        let scopes = due.filter(Duration::is_zero).and_then(|_| self.scopes_to_keep_alive(wanted));
        let Some(scopes) = scopes else { return Kept::Until(due.filter(|due| !due.is_zero())) };
        match self.ask_ahead(&wanted.grant, scopes, share) {
            Asked::Begun => {
                self.cache.keeps_alive(&wanted.grant.id);
                Kept::Until(self.use_due(wanted, Moment::now()).map(|due| due.within))
            }
            Asked::NotNow => Kept::Until(Some(ROUND_MAX)),
            Asked::NoPlace => Kept::NoPlace,
        }
    }

    fn ask_ahead(
        self: &Arc<Self>,
        grant: &Arc<Grant>,
        scopes: &[String],
        share: &mut Share,
    ) -> Asked {
        let host = host_of(grant.source());
        let Some(place) = share.place(&self.places, &host) else { return Asked::NoPlace };
        match self.cache.board_ahead(&Key::new(grant, scopes)) {
            Some(ticket) => {
                share.begin(host);
                self.launch(ticket, grant, scopes, Some(place));
                Asked::Begun
            }
            None => Asked::NotNow,
        }
    }

    /// Those by which the grant is used lest it die: not what was refused, if there are others.
    fn scopes_to_keep_alive<'w>(&self, wanted: &'w Wanted) -> Option<&'w [String]> {
        let is_refused =
            |scopes: &[String]| self.cache.is_refused(&Key::new(&wanted.grant, scopes));
        let mut sets = wanted.scopes.iter().map(Vec::as_slice);
        sets.clone().find(|scopes| !is_refused(scopes)).or_else(|| sets.next())
    }

    /// When the grant is due to be used lest it die; `None` where that cannot help.
    fn use_due(&self, wanted: &Wanted, now: Moment) -> Option<UseDue> {
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
        let dies_at = stored.refreshed_at.saturating_add(idle);
        Some(UseDue { within: due.max(again.unwrap_or_default()), dies_at })
    }
}

/// A round of the keeper.
#[derive(Debug)]
struct Round {
    renewals: Share,
    consents: Share,
    /// Looks at grants whose time has come, which wait for a place then.
    falls: Looks,
    /// Looks at consents by turns.
    turns: Looks,
}

impl Round {
    /// Whether something is due that only waits for a place.
    fn lacks_place(&self) -> bool {
        self.renewals.lacks_place || self.consents.lacks_place
    }
}

/// When a consent has to be used lest it die.
#[derive(Debug, Clone, Copy)]
struct UseDue {
    within: Duration,
    /// When it dies of disuse, since 1970, as far as that is known.
    dies_at: Duration,
}

/// What came of keeping a consent alive.
#[derive(Debug, Clone, Copy)]
enum Kept {
    /// It is looked at again in as long, or sometime.
    Until(Option<Duration>),
    /// It is still due.
    NoPlace,
}

/// What came of asking for a token that nobody waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// A request is under way.
    Begun,
    /// One is already, or the endpoint is left alone for a while.
    NotNow,
    /// There are enough requests to its host in this round, or at once.
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
