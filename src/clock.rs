//! The wall clock, read here and nowhere else. Durations are measured with `tokio::time::Instant`,
//! which tests can pause.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds since 1970-01-01T00:00:00Z, as JWTs and logs count them (RFC 7519 section 2).
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
pub fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
