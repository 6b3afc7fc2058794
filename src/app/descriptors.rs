//! File descriptors: room for two in each session, and one in each warm connection.

use std::collections::HashSet;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

use crate::provider::Protocol;

/// Descriptors that are needed besides those of sessions: listeners, token requests, files.
const DESCRIPTORS_BESIDE_SESSIONS: u64 = 256;

/// Makes room for the descriptors of all sessions, two each, and of `warm` connections, as far as the
/// system allows; gives how many sessions have room. Who comes beyond them is told so, while one that
/// is accepted without a descriptor for its provider could not even be signed in.
pub(super) fn raise_limit(sessions: usize, warm: u64) -> usize {
    let wanted = wanted(sessions, warm);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= wanted) {
        return sessions;
    }
    let granted = maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(granted), maximum });
    let has = getrlimit(Resource::Nofile).current.unwrap_or(wanted);
    if raised.is_ok() && has >= wanted {
        return sessions;
    }
    let room = sessions_with_room(has, warm).min(sessions);
    warn!(
        wanted,
        has,
        sessions = room,
        "too few descriptors for `limits.sessions`, so fewer are served: raise the hard limit \
         (ulimit -Hn, LimitNOFILE=) or lower `limits.sessions`"
    );
    room
}

/// How many warm connections there are at most, `each` for a provider and protocol.
pub(super) fn warm<'a>(each: usize, providers: impl Iterator<Item = &'a str>) -> u64 {
    let providers = providers.collect::<HashSet<_>>().len();
    let most = each.saturating_mul(Protocol::ALL.len()).saturating_mul(providers);
    u64::try_from(most).unwrap_or(u64::MAX)
}

fn wanted(sessions: usize, warm: u64) -> u64 {
    let sessions = u64::try_from(sessions).unwrap_or(u64::MAX);
    sessions.saturating_mul(2).saturating_add(warm).saturating_add(DESCRIPTORS_BESIDE_SESSIONS)
}

/// How many sessions `descriptors` are enough for, beside `warm` connections. Where they are very few,
/// half are for sessions.
fn sessions_with_room(descriptors: u64, warm: u64) -> usize {
    let beside = DESCRIPTORS_BESIDE_SESSIONS.saturating_add(warm).min(descriptors / 2);
    let sessions = (descriptors - beside) / 2;
    usize::try_from(sessions.max(1)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_leave_descriptors_for_the_rest() {
        for (descriptors, sessions) in
            [(20_256, 10_000), (1_024, 384), (512, 128), (64, 16), (3, 1), (0, 1)]
        {
            assert_eq!(sessions_with_room(descriptors, 0), sessions, "of {descriptors}");
        }
    }

    #[test]
    fn warm_connections_take_no_descriptor_of_a_session() {
        let warm = warm(8, ["microsoft", "google", "microsoft"].into_iter());
        assert_eq!(warm, 48, "8 of each protocol at two providers");
        assert_eq!(wanted(10_000, warm), 20_304);
        assert_eq!(sessions_with_room(20_304, warm), 10_000);
        assert_eq!(sessions_with_room(20_256, warm), 9_976);
        assert_eq!(sessions_with_room(64, warm), 16);
    }
}
