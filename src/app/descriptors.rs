//! File descriptors: room for two in each session.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// Descriptors that are needed besides those of sessions: listeners, token requests, files.
const DESCRIPTORS_BESIDE_SESSIONS: u64 = 256;

/// Makes room for the descriptors of all sessions, two each, as far as the system allows; gives how
/// many sessions have room. Who comes beyond them is told so, while one that is accepted without a
/// descriptor for its provider could not even be signed in.
pub(super) fn raise_limit(sessions: usize) -> usize {
    let wanted = u64::try_from(sessions)
        .unwrap_or(u64::MAX)
        .saturating_mul(2)
        .saturating_add(DESCRIPTORS_BESIDE_SESSIONS);
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
    let room = sessions_with_room(has).min(sessions);
    warn!(
        wanted,
        has,
        sessions = room,
        "too few descriptors for `limits.sessions`, so fewer are served: raise the hard limit \
         (ulimit -Hn, LimitNOFILE=) or lower `limits.sessions`"
    );
    room
}

/// How many sessions `descriptors` are enough for. Where they are very few, half are for sessions.
fn sessions_with_room(descriptors: u64) -> usize {
    let beside = DESCRIPTORS_BESIDE_SESSIONS.min(descriptors / 2);
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
            assert_eq!(sessions_with_room(descriptors), sessions, "of {descriptors}");
        }
    }
}
