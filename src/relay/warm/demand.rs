//! How many warm connections the sign-ins of late call for.
//!
//! Half as many as there were accepted sign-ins in the last `LATELY`, rounded down. A connection then
//! waits half its life for the session that wants it, when they go on coming at that rate; and who
//! signs in once an hour, or once a minute, causes none.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Which sign-ins count: as long as a connection is kept that nobody wants.
const LATELY: Duration = super::UNUSED_MAX;

/// How many sign-ins call for one connection.
const SIGN_INS_EACH: usize = 2;

/// The accepted sign-ins of late.
#[derive(Debug, Default)]
pub(super) struct Demand {
    /// When they were, oldest first. No more than call for as many connections as there may be.
    sign_ins: VecDeque<Instant>,
}

impl Demand {
    /// Notes a sign-in, where there may be `limit` connections.
    pub(super) fn signed_in(&mut self, now: Instant, limit: usize) {
        self.forget(now);
        if self.sign_ins.len() >= limit.saturating_mul(SIGN_INS_EACH) {
            self.sign_ins.pop_front();
        }
        self.sign_ins.push_back(now);
    }

    /// How many connections are to be ready, of `limit` that there may be.
    pub(super) fn target(&mut self, now: Instant, limit: usize) -> usize {
        self.forget(now);
        (self.sign_ins.len() / SIGN_INS_EACH).min(limit)
    }

    /// Whether none of the sign-ins counts any more.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.sign_ins.back().is_none_or(|last| *last + LATELY <= now)
    }

    fn forget(&mut self, now: Instant) {
        while self.sign_ins.front().is_some_and(|first| *first + LATELY <= now) {
            self.sign_ins.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The most that are wanted behind any of `count` sign-ins that come `every` so often.
    fn most(count: u32, every: Duration, limit: usize) -> usize {
        let (mut demand, start) = (Demand::default(), Instant::now());
        let wanted = (0..count).map(|n| {
            let now = start + every * n;
            demand.signed_in(now, limit);
            demand.target(now, limit)
        });
        wanted.max().unwrap()
    }

    #[test]
    fn a_connection_is_kept_for_who_signs_in_again_within_ten_seconds() {
        assert_eq!(most(1, LATELY, 8), 0);
        assert_eq!(most(100, Duration::from_secs(3600), 8), 0);
        assert_eq!(most(100, LATELY, 8), 0);
        assert_eq!(most(100, LATELY - Duration::from_millis(1), 8), 1);
    }

    #[test]
    fn they_grow_with_the_rate_up_to_the_limit() {
        assert_eq!(most(100, Duration::from_secs(2), 8), 2);
        assert_eq!(most(100, Duration::from_secs(1), 8), 5);
        assert_eq!(most(1000, Duration::from_millis(10), 8), 8);
        assert_eq!(most(1000, Duration::from_millis(10), 1), 1);
    }

    #[test]
    fn nothing_is_wanted_once_nobody_has_come_for_ten_seconds() {
        let (mut demand, start) = (Demand::default(), Instant::now());
        for _ in 0..1000 {
            demand.signed_in(start, 8);
        }
        assert_eq!(demand.sign_ins.len(), 16, "no more is kept than counts");
        let almost = start + LATELY - Duration::from_millis(1);
        assert_eq!((demand.target(almost, 8), demand.is_over(almost)), (8, false));
        assert_eq!((demand.target(start + LATELY, 8), demand.is_over(start + LATELY)), (0, true));
    }
}
