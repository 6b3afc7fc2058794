//! Access tokens in memory, and who asks for the next one.
//!
//! In:  a key and what is needed. Out: a token, a place on the request under way, the right and
//!      duty to make one, or why none is made.
//!
//! There are as many entries as the configuration has grants and scope sets, and one more for each
//! mailbox in whose name a service account asked, [`SUBJECTS_MAX`] at most. Everything here is done
//! at once under one lock; nothing is awaited under it.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, watch};
use tokio::time::Instant;

use super::Token;
use super::agenda::{self, Agenda, Load, Turn as Look};
use super::error::{Reach, TokenError};
use super::grant::Issued;
use super::moment::Moment;
use super::pause::WAITED_MAX;
use super::shown::Shown;
use super::slot::{Flight, Held, Key, Slot, SlotKey};
use super::trouble::Trouble;
use crate::provider::{Grant, GrantId};

/// How long a token is used on before the store is tried again that could not be written.
const STORE_PAUSE: Duration = Duration::from_secs(30);

/// Most entries for mailboxes of service accounts. One has about a KiB besides its token, so all of
/// them cost some 30 MiB; whoever has more mailboxes in use at once asks for tokens more often.
const SUBJECTS_MAX: usize = 10_000;

/// As many make place at once when there are too many, so that it is not looked for them each time.
const SUBJECTS_FORGOTTEN: usize = SUBJECTS_MAX / 16;

/// How often the keeper begins requests.
pub(super) const ROUND: Duration = Duration::from_secs(1);

/// The tokens, by grant.
#[derive(Debug, Default)]
pub(super) struct Cache {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    entries: HashMap<GrantId, Entry>,
    /// The grants that the keeper looks at next; see [`Entry::looked_at`].
    agenda: Agenda,
    /// The last generation given. It counts for all grants together, so that a generation never
    /// comes again, whatever is forgotten meanwhile.
    generation: u64,
}

/// What is known of one grant.
#[derive(Debug, Default)]
struct Entry {
    turn: Turn,
    slots: HashMap<SlotKey, Slot>,
    /// What stands in the way of every scope set.
    trouble: Trouble,
    kept_alive_at: Option<Moment>,
    /// When the keeper looks at it next, if at all. Of what the agenda holds of a grant, that alone
    /// counts which says the same.
    looked_at: Option<Instant>,
}

impl Inner {
    /// The entry of `grant`, made if there is none.
    fn entry(&mut self, grant: &GrantId) -> &mut Entry {
        if grant.subject().is_some() && !self.entries.contains_key(grant) {
            self.make_place();
        }
        self.entries.entry(grant.clone()).or_default()
    }

    /// Has the keeper look at `grant` by `at`.
    fn look_at(&mut self, grant: &GrantId, at: Instant) {
        let Some(entry) = self.entries.get_mut(grant) else { return };
        if entry.looked_at.is_none_or(|before| at < before) {
            entry.looked_at = Some(at);
            let load = entry.load(Moment::now());
            self.agenda.add(Look { at, grant: grant.clone(), load });
            if self.agenda.is_cluttered(self.entries.len()) {
                self.clear_up();
            }
        }
    }

    /// Throws out of the agenda what does not count any more.
    fn clear_up(&mut self) {
        for look in self.agenda.clear() {
            if counts(&mut self.entries, &look).is_some() {
                self.agenda.add(look);
            }
        }
    }

    /// Has the keeper look at `grant` when a token of it is due to be renewed, if one is.
    fn look_when_due(&mut self, grant: &GrantId, now: Moment) {
        let due = self.entries.get(grant).and_then(|entry| entry.renewal_due(now));
        if let Some(due) = due {
            self.look_at(grant, now.instant + due);
        }
    }

    /// Takes who waits longest for one of the hosts that are `open`, and still counts.
    fn take_due(&mut self, open: impl Fn(&str) -> bool) -> Option<Look> {
        while let Some(look) = self.agenda.take(&open) {
            if let Some(entry) = counts(&mut self.entries, &look) {
                entry.looked_at = None;
                return Some(look);
            }
        }
        None
    }

    /// Forgets some of the mailboxes of service accounts if there are too many: those without a
    /// token that still lives first, and of these those that were unused longest. What somebody is
    /// busy with stays.
    fn make_place(&mut self) {
        let subjects = || self.entries.iter().filter(|(grant, _)| grant.subject().is_some());
        if self.entries.len() < SUBJECTS_MAX || subjects().count() < SUBJECTS_MAX {
            return;
        }
        let now = Moment::now();
        let idle = subjects().filter(|(_, entry)| !entry.is_busy());
        let mut idle: Vec<_> = idle
            .map(|(grant, entry)| (entry.lives(now), Reverse(entry.unused_for(now)), grant.clone()))
            .collect();
        idle.sort_unstable();
        for (_, _, grant) in idle.into_iter().take(SUBJECTS_FORGOTTEN) {
            self.entries.remove(&grant);
        }
    }
}

/// The entry that `look` is of, if the agenda's word for it still counts.
fn counts<'e>(entries: &'e mut HashMap<GrantId, Entry>, look: &Look) -> Option<&'e mut Entry> {
    entries.get_mut(&look.grant).filter(|entry| entry.looked_at == Some(look.at))
}

impl Entry {
    /// What its renewals ask of each round.
    fn load(&self, now: Moment) -> Load {
        let spreads = self.slots.values().filter_map(|slot| slot.renewal_spread(now));
        spreads.map(|spread| agenda::load_of(spread, ROUND)).fold(0, Load::saturating_add)
    }

    /// Whether somebody asks, or waits for a turn to.
    fn is_busy(&self) -> bool {
        Arc::strong_count(&self.turn) > 1 || self.slots.values().any(|slot| slot.flight().is_some())
    }

    /// In how long the first of its tokens is due to be renewed ahead of its end; `None` while
    /// nobody needs one, or somebody has to mend something first.
    fn renewal_due(&self, now: Moment) -> Option<Duration> {
        self.slots.values().filter_map(|slot| self.renewal_due_of(slot, now)).min()
    }

    /// The same of `slot` alone, which is one of its own.
    fn renewal_due_of(&self, slot: &Slot, now: Moment) -> Option<Duration> {
        let due = slot.renewal_due(now)?;
        if self.trouble.is_definite() || slot.trouble.is_definite() {
            return None;
        }
        let pauses = [&self.trouble, &slot.trouble].into_iter().filter_map(Trouble::pause);
        Some(pauses.fold(due, |due, (_, left)| due.max(left)))
    }

    /// Whether there is a token that still lives.
    fn lives(&self, now: Moment) -> bool {
        let held = self.slots.values().filter_map(|slot| slot.held.as_ref());
        held.into_iter().any(|held| !held.left(now).is_zero())
    }

    /// How long nobody has asked for a token.
    fn unused_for(&self, now: Moment) -> Duration {
        let used = self.slots.values().filter_map(|slot| slot.used_at);
        used.map(|at| now.since(at)).min().unwrap_or(Duration::MAX)
    }

    /// What went wrong last. What passes by itself counts for less than what does not.
    fn last_error(&self) -> Option<&TokenError> {
        let (whole, slots) = (&self.trouble, self.slots.iter());
        let refused =
            slots.filter(|(_, slot)| slot.trouble.is_definite()).min_by_key(|(key, _)| *key);
        match refused {
            Some((_, slot)) if !whole.is_definite() => slot.trouble.last_error.as_ref(),
            Some(_) | None => whole.last_error.as_ref(),
        }
    }
}

/// Whose turn it is to ask: one request at a time for each grant, whatever the scopes. Two that
/// use the same refresh token at once look like theft where refresh tokens rotate.
pub(super) type Turn = Arc<AsyncMutex<()>>;

/// What a caller needs.
#[derive(Debug, Clone, Copy)]
pub(super) enum Need {
    /// A token with enough life left.
    Fresh,
    /// One newer than the token of this generation, which the upstream refused.
    NewerThan(u64),
}

impl Need {
    /// Whether `held` may serve, its life apart.
    fn admits(self, held: &Held) -> bool {
        match self {
            Self::Fresh => true,
            Self::NewerThan(generation) => held.generation() > generation,
        }
    }
}

/// What a caller gets at once.
pub(super) enum Boarding {
    Token(Token),
    Flight(Flight),
    /// The duty to make the request.
    Ticket(Ticket, Flight),
    /// No request is made before then, which is soon.
    Wait(Instant),
    /// No request is made now, because of this.
    Fail(TokenError),
    /// The caller may make no request.
    NotAllowed,
}

/// The duty to make a request, and to say what came of it.
pub(super) struct Ticket {
    pub(super) key: Key,
    pub(super) need: Need,
    pub(super) turn: Turn,
    /// Takes what came of it; an error means that everybody gave up waiting.
    pub(super) land: watch::Sender<Option<Result<Token, TokenError>>>,
    /// The generation in memory when the request was due.
    generation: u64,
}

impl Cache {
    /// The token of `grant` for `scopes` that is in memory and has enough life left. It is what most
    /// sign-ins need, so nothing is copied to find it.
    pub(super) fn fresh(&self, grant: &Grant, scopes: &[String]) -> Option<Token> {
        let now = Moment::now();
        let mut inner = self.lock();
        let entry = inner.entries.get_mut(&grant.id)?;
        let is_in_agenda = entry.looked_at.is_some();
        let mut slots = entry.slots.iter_mut();
        let (_, slot) = slots.find(|(key, _)| key.is_of(grant, scopes))?;
        let token = slot.held.as_ref().filter(|held| held.is_fresh(now))?.token();
        let was_used = slot.is_used(now);
        slot.used_at = Some(now);
        if !was_used || !is_in_agenda {
            inner.look_when_due(&grant.id, now);
        }
        Some(token)
    }

    /// A token for `need`, or what to do to have one. `may_ask` says whether a request may be made
    /// where one is due; it is called under the lock and must not wait.
    pub(super) fn board(&self, key: &Key, need: Need, may_ask: impl FnOnce() -> bool) -> Boarding {
        let now = Moment::now();
        let mut inner = self.lock();
        let entry = inner.entry(&key.grant);
        let slot = entry.slots.entry(key.slot.clone()).or_default();
        let was_used = slot.is_used(now);
        slot.used_at = Some(now);
        let held = slot.held.as_ref().filter(|held| need.admits(held));
        if let Some(held) = held.filter(|held| held.is_fresh(now)) {
            let token = held.token();
            if !was_used || entry.looked_at.is_none() {
                inner.look_when_due(&key.grant, now);
            }
            return Boarding::Token(token);
        }
        if let Some(flight) = slot.flight() {
            return Boarding::Flight(flight.clone());
        }
        if let Some((pause, left)) = entry.trouble.pause().or_else(|| slot.trouble.pause()) {
            let spare = held.filter(|held| pause.error().is_temporary() && held.is_spare(now));
            return match spare {
                Some(held) => Boarding::Token(held.token()),
                None if left <= WAITED_MAX => Boarding::Wait(pause.until()),
                None => Boarding::Fail(pause.told(left)),
            };
        }
        if !may_ask() {
            return Boarding::NotAllowed;
        }
        let (ticket, flight) = take_off(slot, &entry.turn, key, need);
        Boarding::Ticket(ticket, flight)
    }

    /// The duty to renew the token of `key` in the background, unless a request is under way or
    /// paused.
    pub(super) fn board_ahead(&self, key: &Key) -> Option<Ticket> {
        let mut inner = self.lock();
        let entry = inner.entry(&key.grant);
        let slot = entry.slots.entry(key.slot.clone()).or_default();
        let pause = entry.trouble.pause().or_else(|| slot.trouble.pause());
        if pause.is_some() || slot.flight().is_some() {
            return None;
        }
        Some(take_off(slot, &entry.turn, key, Need::Fresh).0)
    }

    /// What makes the request of `ticket`, whose turn has come, needless: a newer token, or a
    /// pause that began while it waited.
    pub(super) fn overtaken(&self, ticket: &Ticket) -> Option<Result<Token, TokenError>> {
        let now = Moment::now();
        let mut inner = self.lock();
        let entry = inner.entries.get_mut(&ticket.key.grant)?;
        let slot = entry.slots.get_mut(&ticket.key.slot)?;
        let newer = slot.held.as_ref().filter(|held| {
            held.generation() > ticket.generation && ticket.need.admits(held) && held.is_fresh(now)
        });
        let pause = entry.trouble.pause().map(|(pause, left)| pause.told(left));
        let outcome = newer.map(|held| Ok(held.token())).or(pause.map(Err))?;
        slot.flight = None;
        // The keeper may have looked at it while it waited.
        inner.look_when_due(&ticket.key.grant, now);
        Some(outcome)
    }

    /// Keeps a token under `key`, which ends its flight and its failures, and those that stood in
    /// the way of every scope set.
    pub(super) fn publish(&self, key: &Key, issued: Issued, asked_at: Moment) -> Token {
        let mut inner = self.lock();
        inner.generation += 1;
        let held = Held::new(issued, asked_at, inner.generation);
        let token = held.token();
        let entry = inner.entry(&key.grant);
        entry.trouble = Trouble::default();
        let slot = entry.slots.entry(key.slot.clone()).or_default();
        slot.trouble = Trouble::default();
        slot.held = Some(held);
        slot.flight = None;
        inner.look_when_due(&key.grant, Moment::now());
        token
    }

    /// Ends the flight of `key` with `error`, and leaves the endpoint alone for a while where one
    /// was asked. `refused_before` is whether an earlier run of the program knew of a refusal.
    /// `shown` is what the client had shown.
    pub(super) fn fail(
        &self,
        key: &Key,
        error: &TokenError,
        rest: Rest,
        shown: Option<Shown>,
    ) -> Spare {
        let now = Moment::now();
        let mut inner = self.lock();
        let entry = inner.entry(&key.grant);
        let slot = entry.slots.entry(key.slot.clone()).or_default();
        slot.flight = None;
        let trouble = match error.reach {
            Reach::Grant => &mut entry.trouble,
            Reach::Scopes => &mut slot.trouble,
        };
        trouble.last_error = Some(error.clone());
        if let Rest::Pause { refused_before } = rest {
            let counted = u32::from(refused_before && error.refuses_refresh_token());
            trouble.lengthen(error, counted, shown);
        }
        if let Some(held) = slot.held.as_mut().filter(|_| rest == Rest::Store) {
            held.renewal_pauses_until = Some(now.instant + STORE_PAUSE);
        }
        let is_spare = slot.held.as_ref().is_some_and(|held| held.is_spare(now));
        let is_bridged = error.is_temporary() && is_spare;
        // A token of other scopes may be due.
        inner.look_when_due(&key.grant, now);
        if is_bridged { Spare::Used } else { Spare::None }
    }

    /// Ends the pauses of `key` after a refusal of something else than what is `shown` now; gives
    /// whether there was one.
    pub(super) fn is_corrected(&self, key: &Key, shown: &Shown) -> bool {
        let mut inner = self.lock();
        let Some(entry) = inner.entries.get_mut(&key.grant) else { return false };
        let of_slot =
            entry.slots.get_mut(&key.slot).is_some_and(|it| it.trouble.is_corrected(shown));
        entry.trouble.is_corrected(shown) || of_slot
    }

    /// The token under `key` if it may be used for `need` while no other can be had.
    pub(super) fn spare(&self, key: &Key, need: Need) -> Option<Token> {
        let now = Moment::now();
        let inner = self.lock();
        let held = inner.entries.get(&key.grant)?.slots.get(&key.slot)?.held.as_ref()?;
        (need.admits(held) && held.is_spare(now)).then(|| held.token())
    }

    /// Whose turn it is to ask for `grant`.
    pub(super) fn turn(&self, grant: &GrantId) -> Turn {
        Arc::clone(&self.lock().entry(grant).turn)
    }

    /// Forgets the tokens and failures of `grant`, which another consent replaces, or none.
    pub(super) fn forget(&self, grant: &GrantId) {
        if let Some(entry) = self.lock().entries.get_mut(grant) {
            entry.trouble = Trouble::default();
            for slot in entry.slots.values_mut() {
                (slot.held, slot.trouble) = (None, Trouble::default());
            }
        }
    }

    /// Forgets what is not under one of `wanted`, and all failures. What somebody is busy with
    /// stays until the next time, so that its turn is not given twice.
    pub(super) fn want(&self, wanted: &HashSet<Key>) {
        let grants: HashSet<&GrantId> = wanted.iter().map(|key| &key.grant).collect();
        let (now, mut inner) = (Moment::now(), self.lock());
        inner.entries.retain(|grant, entry| {
            entry.trouble = Trouble::default();
            entry.slots.retain(|slot, state| {
                state.trouble = Trouble::default();
                let key = Key { grant: grant.of_file(), slot: slot.clone() };
                wanted.contains(&key) || state.flight().is_some()
            });
            entry.looked_at = None;
            grants.contains(&grant.of_file()) || Arc::strong_count(&entry.turn) > 1
        });
        drop(inner.agenda.clear());
        // A refusal stood in the way of some until now.
        let grants: Vec<GrantId> = inner.entries.keys().cloned().collect();
        for grant in grants {
            inner.look_when_due(&grant, now);
        }
    }

    /// Has the next grant wait that is to be looked at by now, and gives whether there was one.
    /// `host` says where, or nothing if the configuration has no such grant; it is called under the
    /// lock and must not wait.
    pub(super) fn fall_due(
        &self,
        now: Moment,
        host: impl FnOnce(&GrantId) -> Option<String>,
    ) -> bool {
        let mut inner = self.lock();
        let Inner { agenda, entries, .. } = &mut *inner;
        agenda.fall_due(now.instant, |look| {
            let entry = counts(entries, look)?;
            let host = host(&look.grant);
            if host.is_none() {
                entry.looked_at = None;
            }
            host
        })
    }

    /// The grant that waits longest for one of the hosts that are `open`, once, and since when: its
    /// tokens may be due to be renewed.
    pub(super) fn next_due(&self, open: impl Fn(&str) -> bool) -> Option<(Instant, GrantId)> {
        let Look { at, grant, load: _ } = self.lock().take_due(open)?;
        Some((at, grant))
    }

    /// Whether a grant waits for one of the hosts that are `open`.
    pub(super) fn waits(&self, open: impl Fn(&str) -> bool) -> bool {
        self.lock().agenda.waits(open)
    }

    /// When the next one is to be looked at.
    pub(super) fn due_next(&self) -> Option<Instant> {
        self.lock().agenda.first()
    }

    /// Requests that a round has to begin so that all tokens in use are renewed in time.
    pub(super) fn requests_a_round(&self) -> usize {
        self.lock().agenda.requests_a_round()
    }

    /// Has `grant` looked at by `at`, if there is anything of it.
    pub(super) fn look_at(&self, grant: &GrantId, at: Instant) {
        self.lock().look_at(grant, at);
    }

    /// Has everything in the agenda looked at now: the clock that it goes by stood still.
    pub(super) fn look_at_all(&self, now: Moment) {
        let mut inner = self.lock();
        for look in inner.agenda.clear() {
            if let Some(entry) = counts(&mut inner.entries, &look) {
                entry.looked_at = None;
                inner.look_at(&look.grant, now.instant);
            }
        }
    }

    /// How many places in the agenda are taken.
    #[cfg(test)]
    pub(super) fn agenda_len(&self) -> usize {
        self.lock().agenda.len()
    }

    /// In how long the token of `key` is due to be renewed ahead of its end; `None` while nobody
    /// needs it, or somebody has to mend something first.
    pub(super) fn renewal_due(&self, key: &Key, now: Moment) -> Option<Duration> {
        let inner = self.lock();
        let entry = inner.entries.get(&key.grant)?;
        let slot = entry.slots.get(&key.slot)?;
        entry.renewal_due_of(slot, now)
    }

    /// Whether the scopes of `key` were refused when they were last asked for.
    pub(super) fn is_refused(&self, key: &Key) -> bool {
        let inner = self.lock();
        let slot = inner.entries.get(&key.grant).and_then(|entry| entry.slots.get(&key.slot));
        slot.is_some_and(|slot| slot.trouble.is_definite())
    }

    /// When `grant` was last used for no other reason than to keep it alive.
    pub(super) fn kept_alive_at(&self, grant: &GrantId) -> Option<Moment> {
        self.lock().entries.get(grant)?.kept_alive_at
    }

    /// Says that `grant` is used now to keep it alive.
    pub(super) fn keeps_alive(&self, grant: &GrantId) {
        let mut inner = self.lock();
        inner.entry(grant).kept_alive_at = Some(Moment::now());
    }

    /// What is in memory of `grant`.
    pub(super) fn memory_of(&self, grant: &GrantId) -> Memory {
        let now = Moment::now();
        let inner = self.lock();
        let Some(entry) = inner.entries.get(grant) else { return Memory::default() };
        let held = || entry.slots.values().filter_map(|slot| slot.held.as_ref());
        let live = held().filter(|held| !held.left(now).is_zero());
        Memory {
            ends_at: live.map(|held| held.ends_at(now)).max(),
            is_usable: held().any(|held| held.is_fresh(now) || held.is_spare(now)),
            last_error: entry.last_error().cloned(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing that is done under the lock leaves an entry half changed.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Begins a flight for `slot`.
fn take_off(slot: &mut Slot, turn: &Turn, key: &Key, need: Need) -> (Ticket, Flight) {
    let (land, flight) = watch::channel(None);
    slot.flight = Some(flight.clone());
    let generation = slot.held.as_ref().map_or(0, Held::generation);
    let (key, turn) = (key.clone(), Arc::clone(turn));
    (Ticket { key, need, turn, land, generation }, flight)
}

/// What follows a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// The endpoint is left alone for a while.
    Pause {
        /// Whether an earlier run of the program knew of a refusal.
        refused_before: bool,
    },
    /// The token in memory is used on: the store cannot be written.
    Store,
    /// Nothing: nobody was asked.
    Nothing,
}

/// Whether a token in memory bridges a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spare {
    /// One does.
    Used,
    /// None does.
    None,
}

/// What is in memory of a grant.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// When the token that lives longest ends, since 1970.
    pub(super) ends_at: Option<Duration>,
    /// Whether a token would do for a sign-in.
    pub(super) is_usable: bool,
    /// What went wrong last.
    pub(super) last_error: Option<TokenError>,
}
