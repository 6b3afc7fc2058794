//! The tables of the file that hold plain settings: `[limits]`, `[log]` and `[shutdown]`.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::relay::Limits;

use super::field::Field;
use super::file::Reported;
use super::table::Table;
use super::{LogFormat, LogSettings};

/// Range of `limits.sign_in_timeout`. Below it a client on a slow line fails; above it idle
/// strangers hold slots for long.
const SIGN_IN_TIMEOUT: RangeInclusive<Duration> =
    Duration::from_secs(5)..=Duration::from_secs(10 * 60);

/// Range of `limits.idle_timeout`. RFC 9051 section 5.4 wants 30 minutes at least for IMAP, RFC
/// 5321 section 4.5.3.2 ten for SMTP; a relay for known programs may want less.
const IDLE_TIMEOUT: RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(24 * 60 * 60);

/// Range of `limits.sessions` and `limits.sessions_per_peer`: each session takes two
/// descriptors, and Linux gives a process 1,048,576 of them (`fs.nr_open`) unless told otherwise.
const SESSIONS: RangeInclusive<u64> = 1..=500_000;

/// Range of `limits.wait_for_slot`. Clients give up by themselves: RFC 5321 section 4.5.3.2 has them
/// wait five minutes for the answer to a command.
const WAIT_FOR_SLOT: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(10 * 60);

/// Range of `limits.warm_connections`. More connections that do not sign in are what providers guard
/// against, and they would leave too few descriptors for the rest.
const WARM_CONNECTIONS: RangeInclusive<u64> = 0..=64;

/// Range of `shutdown.grace`. Nothing that supervises processes waits longer than an hour.
const GRACE: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(60 * 60);

/// `shutdown.grace` where it is left out.
const GRACE_DEFAULT: Duration = Duration::from_secs(30);

/// Reads `[limits]`.
pub(super) fn limits(root: &mut Table<'_>) -> Result<Limits, Reported> {
    let defaults = Limits::default();
    let Some(mut table) = root.read("limits", |field| field.table())? else {
        return Ok(defaults);
    };
    let sign_in_timeout = table.read("sign_in_timeout", |field| field.duration(SIGN_IN_TIMEOUT));
    let idle_timeout = table.read("idle_timeout", |field| field.duration(IDLE_TIMEOUT));
    let sessions = table.read("sessions", |field| count(&field, SESSIONS));
    let sessions_per_peer = table.read("sessions_per_peer", |field| count(&field, SESSIONS));
    let wait_for_slot = table.read("wait_for_slot", |field| field.duration(WAIT_FOR_SLOT));
    let warm_connections = table.read("warm_connections", |field| count(&field, WARM_CONNECTIONS));
    table.finish(&[])?;
    Ok(Limits {
        sign_in_timeout: sign_in_timeout?.unwrap_or(defaults.sign_in_timeout),
        idle_timeout: idle_timeout?.unwrap_or(defaults.idle_timeout),
        sessions: sessions?.unwrap_or(defaults.sessions),
        sessions_per_peer: sessions_per_peer?.unwrap_or(defaults.sessions_per_peer),
        wait_for_slot: wait_for_slot?.unwrap_or(defaults.wait_for_slot),
        warm_connections: warm_connections?.unwrap_or(defaults.warm_connections),
    })
}

/// Reads `[log]`.
pub(super) fn log(root: &mut Table<'_>) -> Result<LogSettings, Reported> {
    let defaults = LogSettings::default();
    let Some(mut table) = root.read("log", |field| field.table())? else {
        return Ok(defaults);
    };
    let levels = [
        ("error", tracing::Level::ERROR),
        ("warn", tracing::Level::WARN),
        ("info", tracing::Level::INFO),
        ("debug", tracing::Level::DEBUG),
        ("trace", tracing::Level::TRACE),
    ];
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    let level = table.read("level", |field| field.choice(&levels, &[]));
    let format = table.read("format", |field| field.choice(&formats, &[]));
    table.finish(&[])?;
    Ok(LogSettings {
        level: level?.unwrap_or(defaults.level),
        format: format?.unwrap_or(defaults.format),
    })
}

/// Reads `[shutdown]`, which holds `grace`.
pub(super) fn grace(root: &mut Table<'_>) -> Result<Duration, Reported> {
    let Some(mut table) = root.read("shutdown", |field| field.table())? else {
        return Ok(GRACE_DEFAULT);
    };
    let grace = table.read("grace", |field| field.duration(GRACE));
    table.finish(&[])?;
    Ok(grace?.unwrap_or(GRACE_DEFAULT))
}

fn count(field: &Field<'_>, range: RangeInclusive<u64>) -> Result<usize, Reported> {
    let count = field.number(range)?;
    usize::try_from(count).map_err(|_| field.wrong_type("a number that this machine can count to"))
}
