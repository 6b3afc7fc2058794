//! A pause: how long an endpoint is left alone after it gave no token.
//!
//! What may pass is tried again soon, and ever more rarely; what somebody has to mend first is
//! still tried again, because a provider that is mistaken for an hour must not cost a consent.

use std::time::Duration;

use tokio::time::Instant;

use super::error::{ErrorKind, TokenError};
use super::jitter;

/// How close to the end of a pause a caller waits for it, so that an outage of a second is never
/// heard of. With the deadline of a request this stays below the 20 s within which a client hears.
pub(super) const WAITED_MAX: Duration = Duration::from_secs(4);

/// Longest pause that an endpoint is granted when it asks for one. A longer one is more likely a
/// mistake than meant, and it would lock out an account for as long.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60 * 60);

/// The pause after a request that gave no token.
#[derive(Debug, Clone)]
pub(super) struct Pause {
    error: TokenError,
    until: Instant,
    failures: u32,
}

impl Pause {
    /// The pause after `error`, which came after `previous`.
    ///
    /// `counted` failures of this kind are known from before the program was started.
    pub(super) fn after(previous: Option<&Self>, error: TokenError, counted: u32) -> Self {
        let schedule = Schedule::of(error.kind);
        let before = previous
            .filter(|previous| Schedule::of(previous.error.kind) == schedule)
            .map_or(counted, |previous| previous.failures);
        let length = schedule
            .length(before)
            .max(error.retry_after.map_or(Duration::ZERO, |asked| asked.min(RETRY_AFTER_MAX)));
        Self { error, until: Instant::now() + length, failures: before.saturating_add(1) }
    }

    /// How much of it is left; `None` when it is over.
    pub(super) fn left(&self) -> Option<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    /// When it ends.
    pub(super) fn until(&self) -> Instant {
        self.until
    }

    /// Why it was made.
    pub(super) fn error(&self) -> &TokenError {
        &self.error
    }

    /// What a caller hears who comes while `left` is left.
    pub(super) fn told(&self, left: Duration) -> TokenError {
        let mut error = self.error.clone();
        // A new consent ends the pause, so that fix stands alone.
        if error.kind != ErrorKind::Consent {
            let seconds = left.as_secs() + 1;
            error.fix.push_str(&format!(" (the next request is made in {seconds} s)"));
        }
        error
    }
}

/// How pauses grow from one failure to the next: by doubling, up to a longest.
#[derive(Debug, PartialEq, Eq)]
struct Schedule {
    first: Duration,
    longest: Duration,
    /// Whether relays that failed at the same instant have to come back at different ones.
    spreads: bool,
}

impl Schedule {
    fn of(kind: ErrorKind) -> Self {
        let schedule = |first, longest, spreads| Self {
            first: Duration::from_secs(first),
            longest: Duration::from_secs(longest),
            spreads,
        };
        match kind {
            ErrorKind::Temporary => schedule(2, 30, true),
            ErrorKind::Consent => schedule(60, 60 * 60, false),
            ErrorKind::Admin | ErrorKind::Configuration => schedule(10, 60, false),
        }
    }

    /// The pause after one failure more than `before`.
    fn length(&self, before: u32) -> Duration {
        let factor = 1_u32.checked_shl(before).unwrap_or(u32::MAX);
        let length = self.first.saturating_mul(factor).min(self.longest);
        if self.spreads { jitter::spread(length, 0.8, 1.0) } else { length }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn error(kind: ErrorKind, retry_after: Option<Duration>) -> TokenError {
        TokenError { kind, retry_after, ..TokenError::temporary("login.example", "HTTP 503") }
    }

    /// The lengths of `count` pauses in a row, in seconds.
    fn lengths(kind: ErrorKind, counted: u32, count: usize) -> Vec<f64> {
        let mut last = None;
        (0..count)
            .map(|_| {
                let pause = Pause::after(last.as_ref(), error(kind, None), counted);
                let left = pause.left().unwrap().as_secs_f64();
                last = Some(pause);
                left
            })
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn pause_doubles_up_to_half_a_minute_after_what_may_pass() {
        let lengths = lengths(ErrorKind::Temporary, 0, 40);
        for (length, expected) in lengths.iter().zip([2.0, 4.0, 8.0, 16.0, 30.0, 30.0]) {
            let range = expected * 0.8..=expected;
            assert!(range.contains(length), "{length} is not about {expected}");
        }
        assert!(lengths.iter().all(|length| *length <= 30.0), "{lengths:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn pause_after_a_refusal_grows_to_what_somebody_needs_to_mend_it() {
        let consent = lengths(ErrorKind::Consent, 0, 8);
        assert_eq!(consent, [60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 3600.0, 3600.0]);
        assert_eq!(lengths(ErrorKind::Consent, 1, 2), [120.0, 240.0], "one was known before");
        for kind in [ErrorKind::Admin, ErrorKind::Configuration] {
            assert_eq!(lengths(kind, 0, 5), [10.0, 20.0, 40.0, 60.0, 60.0]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn pause_begins_anew_when_the_kind_of_failure_changes() {
        let outage = Pause::after(None, error(ErrorKind::Temporary, None), 0);
        let outage = Pause::after(Some(&outage), error(ErrorKind::Temporary, None), 0);
        let refused = Pause::after(Some(&outage), error(ErrorKind::Admin, None), 0);
        assert_eq!(refused.left(), Some(10 * SECOND));
        let refused = Pause::after(Some(&refused), error(ErrorKind::Configuration, None), 0);
        assert_eq!(refused.left(), Some(20 * SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn pause_is_as_long_as_the_endpoint_asks_but_no_shorter_and_an_hour_at_most() {
        let left = |asked| {
            let asked = Some(Duration::from_secs(asked));
            Pause::after(None, error(ErrorKind::Temporary, asked), 0).left().unwrap()
        };
        assert_eq!(left(120), 120 * SECOND);
        assert_eq!(left(86_400), RETRY_AFTER_MAX);
        assert!(left(0) >= SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn pause_tells_when_it_ends_except_where_a_consent_ends_it() {
        let told = |kind| Pause::after(None, error(kind, None), 0).told(9 * SECOND).fix;
        let outage = told(ErrorKind::Temporary);
        assert!(outage.ends_with("(the next request is made in 10 s)"), "{outage}");
        assert!(!told(ErrorKind::Consent).contains("next request"));
    }
}
