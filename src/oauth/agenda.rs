//! The agenda: which grants the keeper looks at next, because a token of theirs is to be renewed,
//! and how many requests a second let each of them have its turn.
//!
//! What is due waits in the line of its endpoint's host. How many requests a round may begin follows
//! from how long the lives of the tokens leave: those of an hour that were asked for at one instant
//! are renewed over nine minutes, those of ten minutes over two.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use tokio::time::Instant;

use super::lines::Lines;
use crate::provider::GrantId;

/// The agenda holds no more than that, or than twice as many as there are grants: what does not count
/// any more (a forgotten mailbox, an instant that another one replaced) is thrown out then.
const LEN_MIN: usize = 1_024;

/// What a round has to begin for the grants of the agenda, in millionths of a request.
pub(super) type Load = u64;

/// The load of one request.
const REQUEST: Load = 1_000_000;

/// Grants, and when each is looked at.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    /// Those to come, the first one first.
    coming: BinaryHeap<Reverse<Turn>>,
    /// Those that are due; who waits longest is first.
    due: Lines<Turn>,
    load: Load,
}

/// A grant that is looked at by an instant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Turn {
    pub(super) at: Instant,
    pub(super) grant: GrantId,
    pub(super) load: Load,
}

impl Agenda {
    /// Has a grant looked at; more often than once, if it is here already.
    pub(super) fn add(&mut self, turn: Turn) {
        self.load = self.load.saturating_add(turn.load);
        self.coming.push(Reverse(turn));
    }

    /// Has the first one wait whose time has come by `now`, and gives whether there was one. `host`
    /// says where, or nothing if it does not count any more.
    pub(super) fn fall_due(
        &mut self,
        now: Instant,
        host: impl FnOnce(&Turn) -> Option<String>,
    ) -> bool {
        if self.coming.peek().is_none_or(|Reverse(turn)| turn.at > now) {
            return false;
        }
        let Some(Reverse(turn)) = self.coming.pop() else { return false };
        match host(&turn) {
            Some(host) => self.due.join(host, turn),
            None => self.take_off(&turn),
        }
        true
    }

    /// Takes who waits longest for one of the hosts that are `open`.
    pub(super) fn take(&mut self, open: impl Fn(&str) -> bool) -> Option<Turn> {
        let turn = self.due.take(open)?;
        self.take_off(&turn);
        Some(turn)
    }

    /// Whether somebody is due at the hosts that are `open`.
    pub(super) fn waits(&self, open: impl Fn(&str) -> bool) -> bool {
        self.due.wait(open)
    }

    /// When there is something to do next.
    pub(super) fn first(&self) -> Option<Instant> {
        let coming = self.coming.peek().map(|Reverse(turn)| turn.at);
        self.due.first().map(|turn| turn.at).into_iter().chain(coming).min()
    }

    /// How many places are taken.
    pub(super) fn len(&self) -> usize {
        self.coming.len() + self.due.len()
    }

    /// Whether there is too much in it that does not count any more, where there are `grants`.
    pub(super) fn is_cluttered(&self, grants: usize) -> bool {
        self.len() > LEN_MIN.max(grants.saturating_mul(2))
    }

    /// Requests that a round has to begin so that each of them has its turn in time.
    pub(super) fn requests_a_round(&self) -> usize {
        self.load.div_ceil(REQUEST).try_into().unwrap_or(usize::MAX)
    }

    /// Takes all of it, in no order.
    pub(super) fn clear(&mut self) -> impl Iterator<Item = Turn> + use<> {
        self.load = 0;
        let coming = std::mem::take(&mut self.coming).into_vec().into_iter();
        coming.map(|Reverse(turn)| turn).chain(self.due.dissolve())
    }

    fn take_off(&mut self, turn: &Turn) {
        self.load = self.load.saturating_sub(turn.load);
    }
}

/// What each round of `round` has to begin for one token of those whose renewals are spread over
/// `spread`: all of them have their turn within eight ninths of it, since what is drawn by lot
/// bunches.
pub(super) fn load_of(spread: Duration, round: Duration) -> Load {
    let (spread, round) = (spread.as_micros().max(1), round.as_micros());
    let load =
        u128::from(REQUEST).saturating_mul(round).saturating_mul(9) / spread.saturating_mul(8);
    load.try_into().unwrap_or(Load::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Username;

    const SECOND: Duration = Duration::from_secs(1);

    fn turn(at: Instant, name: &str, load: Load) -> Turn {
        Turn { at, grant: GrantId::Account(Username::parse(name).unwrap()), load }
    }

    #[test]
    fn agenda_gives_what_is_due_and_asks_for_as_many_requests_as_all_of_it_needs() {
        let (now, mut agenda) = (Instant::now(), Agenda::default());
        for (after, name) in [(1, "b"), (0, "a"), (2, "gone"), (9, "later")] {
            agenda.add(turn(now + after * SECOND, name, REQUEST / 2));
        }
        let host = |turn: &Turn| {
            let GrantId::Account(name) = &turn.grant else { panic!("{turn:?}") };
            (name.as_str() != "gone").then(|| format!("{name}.example"))
        };
        assert_eq!((agenda.len(), agenda.requests_a_round()), (4, 2));
        let mut moved = 0;
        while agenda.fall_due(now + 5 * SECOND, host) {
            moved += 1;
        }
        assert_eq!((moved, agenda.len(), agenda.requests_a_round()), (3, 3, 2));
        assert!(agenda.waits(|_| true) && agenda.first() == Some(now));
        assert_eq!(
            agenda.take(|host| host != "a.example"),
            Some(turn(now + SECOND, "b", REQUEST / 2))
        );
        assert_eq!(agenda.requests_a_round(), 1);
        assert_eq!(agenda.clear().count(), 2);
        assert_eq!((agenda.len(), agenda.requests_a_round(), agenda.first()), (0, 0, None));
    }

    #[test]
    fn load_gives_all_tokens_of_one_instant_their_turn_while_they_fall_due() {
        // 480 tokens of an hour need a request a second, and so do 106 of ten minutes.
        for (spread, one_each) in [(540, 480), (120, 106), (9, 8)] {
            let load = load_of(spread * SECOND, SECOND);
            assert!(
                (REQUEST * 99 / 100..=REQUEST * 102 / 100).contains(&(load * one_each)),
                "{load}"
            );
        }
        assert_eq!(load_of(Duration::ZERO, SECOND), 1_125_000 * REQUEST);
    }
}
