//! What a provider allows to each of its mailboxes: `concurrent_sessions` and `messages_per_minute`.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;

use toml::de::DeValue;

use crate::provider::PerProtocol;

use super::field::Field;
use super::file::Reported;

/// Range of each number of `concurrent_sessions`. The most is `limits.sessions` by default.
const SESSIONS: RangeInclusive<u64> = 1..=10_000;

/// Range of `messages_per_minute`: no provider takes more of one mailbox.
const MESSAGES_PER_MINUTE: RangeInclusive<u64> = 1..=10_000;

/// Reads `concurrent_sessions`: a table with a number for each protocol that has one.
pub(super) fn sessions(field: &Field<'_>) -> Result<PerProtocol<Option<NonZeroU32>>, Reported> {
    if matches!(field.value(), Some(DeValue::Integer(_))) {
        return Err(field.problem(
            "is one number, and each protocol has its own",
            "write concurrent_sessions = { submission = 3, imap = 15 }",
        ));
    }
    let mut table = field.table()?;
    let submission = table.read("submission", |field| field.count(SESSIONS));
    let imap = table.read("imap", |field| field.count(SESSIONS));
    let pop3 = table.read("pop3", |field| field.count(SESSIONS));
    table.finish(&[])?;
    Ok(PerProtocol { submission: submission?, imap: imap?, pop3: pop3? })
}

/// Reads `messages_per_minute`.
pub(super) fn messages(field: &Field<'_>) -> Result<NonZeroU32, Reported> {
    field.count(MESSAGES_PER_MINUTE)
}

/// What is `written`, over what is built in.
pub(super) fn over(
    written: Option<PerProtocol<Option<NonZeroU32>>>,
    preset: &PerProtocol<Option<NonZeroU32>>,
) -> PerProtocol<Option<NonZeroU32>> {
    let written = written.unwrap_or_default();
    PerProtocol {
        submission: written.submission.or(preset.submission),
        imap: written.imap.or(preset.imap),
        pop3: written.pop3.or(preset.pop3),
    }
}
