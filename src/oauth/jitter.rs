//! Jitter: what keeps many relays, or many accounts, from asking at the same instant.

use std::time::Duration;

use aws_lc_rs::rand;

/// `duration` times a factor that is drawn evenly between `least` and `most`.
pub(super) fn spread(duration: Duration, least: f64, most: f64) -> Duration {
    let mut bytes = [0; 4];
    // Without random bytes the factor is the least one, which only costs the jitter.
    let drawn = match rand::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 0.0,
    };
    duration.mul_f64(least + (most - least) * drawn)
}

/// A duration that is drawn evenly between `least` and `most`.
pub(super) fn between(least: Duration, most: Duration) -> Duration {
    least + spread(most.saturating_sub(least), 0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_stays_between_its_bounds_and_varies() {
        let hour = Duration::from_secs(3600);
        let drawn: Vec<_> = (0..100).map(|_| spread(hour, 0.9, 1.1)).collect();
        assert!(drawn.iter().all(|one| (hour.mul_f64(0.9)..=hour.mul_f64(1.1)).contains(one)));
        assert!(drawn.iter().any(|one| *one != drawn[0]));
    }
}
