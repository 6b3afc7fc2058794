//! A moment by both clocks.

use std::time::Duration;

use tokio::time::Instant;

use crate::clock;

/// A moment by both clocks. The monotonic one stands still while a laptop sleeps, the wall clock
/// can be set back; whichever has gone further counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) instant: Instant,
    pub(super) unix_time: Duration,
}

impl Moment {
    pub(super) fn now() -> Self {
        Self { instant: Instant::now(), unix_time: clock::unix_time() }
    }

    pub(super) fn since(self, earlier: Self) -> Duration {
        let monotonic = self.instant.saturating_duration_since(earlier.instant);
        monotonic.max(self.unix_time.saturating_sub(earlier.unix_time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moment_counts_the_clock_that_went_further() {
        let instant = Instant::now();
        let at = |monotonic: u64, wall: u64| Moment {
            instant: instant + Duration::from_secs(monotonic),
            unix_time: Duration::from_secs(wall),
        };
        let (five, hour) = (Duration::from_secs(5), Duration::from_secs(3600));
        assert_eq!(at(5, 1005).since(at(0, 1000)), five);
        assert_eq!(at(5, 4600).since(at(0, 1000)), hour, "the machine slept");
        assert_eq!(at(5, 900).since(at(0, 1000)), five, "the clock was set back");
    }
}
