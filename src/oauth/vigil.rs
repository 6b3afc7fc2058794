//! The vigil: which consents are looked at next, lest one dies of disuse; and whether the clock
//! that this goes by stood still.
//!
//! Each kept grant of the configuration has one place: by time or, once it is due, by its death, in
//! the line of its endpoint's host. So a round costs what is due in it. Something may have changed
//! that nobody tells of here (a consent, a shorter life), so none is left alone longer than
//! [`LOOKED_EVERY`]; that is 400 looks a second at 100,000 accounts, each a microsecond.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::endpoint::host_of;
use super::lines::Lines;
use super::moment::Moment;
use super::{Wanted, jitter};
use crate::provider::GrantId;

/// How long a grant is left alone at most. None is due sooner after its last use: see
/// `keeper::KEPT_ALIVE_MIN`.
const LOOKED_EVERY: Duration = Duration::from_secs(5 * 60);

/// By how much the two clocks may part before one of them is held to have stood still.
const PARTED_MAX: Duration = Duration::from_secs(5);

/// Which grants are looked at next.
#[derive(Debug, Default)]
pub(super) struct Vigil {
    /// In the order of their grants.
    wanted: Option<Arc<[Wanted]>>,
    /// When which of them is looked at, the first one first.
    places: BinaryHeap<Reverse<(Instant, usize)>>,
    /// Those that are due to be used, and when each dies (since 1970), the first one first. Who is
    /// here has no place among the others.
    due: Lines<(Duration, usize)>,
}

impl Vigil {
    /// Goes on with `wanted`; all of it is looked at now, if it is another configuration.
    pub(super) fn turn_to(&mut self, wanted: &Arc<[Wanted]>, now: Moment) {
        if self.wanted.as_ref().is_some_and(|before| Arc::ptr_eq(before, wanted)) {
            return;
        }
        let kept = wanted.iter().enumerate().filter(|(_, it)| it.grant.kind().is_kept());
        self.places = kept.map(|(at, _)| Reverse((now.instant, at))).collect();
        drop(self.due.dissolve());
        self.wanted = Some(Arc::clone(wanted));
    }

    /// What the configuration says of `grant`, or of the service account that asks in its name.
    pub(super) fn find(&self, grant: &GrantId) -> Option<&Wanted> {
        let (wanted, grant) = (self.wanted.as_ref()?, grant.of_file());
        let at = wanted.binary_search_by(|wanted| wanted.grant.id.cmp(&grant)).ok()?;
        wanted.get(at)
    }

    /// Takes the next one that is to be looked at by now, with its place in the configuration.
    pub(super) fn next_look(&mut self, now: Moment) -> Option<(usize, &Wanted)> {
        let Reverse((due, at)) = *self.places.peek()?;
        if due > now.instant {
            return None;
        }
        self.places.pop();
        Some((at, self.wanted.as_ref()?.get(at)?))
    }

    /// Says that what [`Self::next_look`] or [`Self::next_due`] gave is due to be used, lest it die
    /// then, since 1970.
    pub(super) fn fall_due(&mut self, at: usize, dies_at: Duration) {
        if let Some(wanted) = self.wanted.as_ref().and_then(|wanted| wanted.get(at)) {
            self.due.join(host_of(wanted.grant.source()), (dies_at, at));
        }
    }

    /// Takes the one that dies first of those that are due to be used, at the hosts that are `open`:
    /// when it does, its place in the configuration, and itself.
    pub(super) fn next_due(
        &mut self,
        open: impl Fn(&str) -> bool,
    ) -> Option<(Duration, usize, &Wanted)> {
        let (dies_at, at) = self.due.take(open)?;
        Some((dies_at, at, self.wanted.as_ref()?.get(at)?))
    }

    /// How many are due to be used.
    pub(super) fn due_len(&self) -> usize {
        self.due.len()
    }

    /// Whether one is due to be used at the hosts that are `open`.
    pub(super) fn waits(&self, open: impl Fn(&str) -> bool) -> bool {
        self.due.wait(open)
    }

    /// When there is something to do next.
    pub(super) fn due_next(&self, now: Moment) -> Option<Instant> {
        if !self.due.is_empty() {
            return Some(now.instant);
        }
        self.places.peek().map(|Reverse((due, _))| *due)
    }

    /// Has looked at again what [`Self::next_look`] or [`Self::next_due`] gave, which is due in as
    /// long, or sometime.
    pub(super) fn look_again(&mut self, at: usize, due: Option<Duration>, now: Moment) {
        // All of them were looked at together once.
        let longest = jitter::spread(LOOKED_EVERY, 0.8, 1.0);
        let due = due.map_or(longest, |due| due.min(longest));
        self.places.push(Reverse((now.instant + due, at)));
    }

    /// Has all of them looked at now.
    pub(super) fn look_at_all(&mut self, now: Moment) {
        let places = std::mem::take(&mut self.places);
        self.places =
            places.into_iter().map(|Reverse((_, at))| Reverse((now.instant, at))).collect();
    }
}

/// Whether the monotonic clock stood still, as it does while a machine sleeps.
#[derive(Debug)]
pub(super) struct Pulse {
    /// When both clocks were last held to agree.
    agreed: Moment,
}

impl Pulse {
    pub(super) fn new(now: Moment) -> Self {
        Self { agreed: now }
    }

    /// Whether the wall clock went further than the monotonic one since this was last so: things are
    /// due that seem not to be.
    pub(super) fn stood_still(&mut self, now: Moment) -> bool {
        let monotonic = now.instant.saturating_duration_since(self.agreed.instant);
        let wall = now.unix_time.saturating_sub(self.agreed.unix_time);
        let stood_still = wall.saturating_sub(monotonic) > PARTED_MAX;
        // Nor does a wall clock that was set back hide a sleep that comes later.
        if stood_still || monotonic.saturating_sub(wall) > PARTED_MAX {
            self.agreed = now;
        }
        stood_still
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pulse_tells_of_a_sleep_once_whatever_the_wall_clock_did_before() {
        let instant = Instant::now();
        let at = |monotonic: u64, wall: u64| Moment {
            instant: instant + Duration::from_secs(monotonic),
            unix_time: Duration::from_secs(wall),
        };
        let mut pulse = Pulse::new(at(0, 10_000));
        assert!(!pulse.stood_still(at(60, 10_061)), "a second is no sleep");
        assert!(pulse.stood_still(at(120, 13_000)) && !pulse.stood_still(at(121, 13_001)));
        assert!(!pulse.stood_still(at(200, 1_000)), "the clock was set back");
        assert!(pulse.stood_still(at(260, 2_000)), "and then the machine slept");
    }
}
