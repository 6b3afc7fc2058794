//! The sessions that ended last, for whoever is asked for help: what their closing lines say.
//!
//! In memory alone, and within bounds.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::names::Username;
use crate::provider::Protocol;

/// Sessions that are remembered: what somebody tries a few times while looking for a trouble is
/// among them on a relay that others use as well. Each takes 1 KiB or so.
const SESSIONS_MAX: usize = 100;

/// A session that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// When, since 1970.
    pub at: Duration,
    /// The listener's name in the file.
    pub listener: String,
    /// What was spoken.
    pub protocol: Protocol,
    /// Where the client was: its address, or that it came to a unix socket.
    pub from: String,
    /// Who signed in, if anybody did.
    pub account: Option<Username>,
    /// How it ended.
    pub how: How,
}

/// How a session ended, in the words of its closing line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct How {
    /// Why, in one word.
    pub reason: &'static str,
    /// Whose side ended it.
    pub side: &'static str,
    /// What the operating system said, or why no TLS came about.
    pub error: Option<String>,
    /// What the failure most likely means.
    pub cause: Option<&'static str>,
    /// What to do about it.
    pub hint: Option<String>,
    /// What the provider said last: printable ASCII, at most 400 bytes.
    pub last_reply: Option<String>,
    /// Messages that the provider has taken.
    pub messages: Option<u64>,
    /// Bytes streamed from client to provider.
    pub up_bytes: u64,
    /// Bytes streamed from provider to client.
    pub down_bytes: u64,
    /// How long it lasted.
    pub lasted: Duration,
}

/// The last of them.
#[derive(Debug, Default)]
pub struct Recent(Mutex<VecDeque<Closed>>);

impl Recent {
    /// Remembers a session that ended; the oldest is forgotten for it.
    pub(crate) fn note(&self, closed: Closed) {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sessions.len() >= SESSIONS_MAX {
            sessions.pop_front();
        }
        sessions.push_back(closed);
    }

    /// Those that are remembered, the last one first.
    pub fn sessions(&self) -> Vec<Closed> {
        let sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.iter().rev().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(number: u64) -> Closed {
        let how = How {
            reason: "closed",
            side: "downstream",
            error: None,
            cause: None,
            hint: None,
            last_reply: None,
            messages: None,
            up_bytes: number,
            down_bytes: 0,
            lasted: Duration::ZERO,
        };
        Closed {
            at: Duration::ZERO,
            listener: "imap".to_owned(),
            protocol: Protocol::Imap,
            from: "127.0.0.1".to_owned(),
            account: None,
            how,
        }
    }

    #[test]
    fn the_last_sessions_are_remembered_and_no_more_of_them() {
        let recent = Recent::default();
        let max = u64::try_from(SESSIONS_MAX).unwrap();
        for number in 0..=max {
            recent.note(closed(number));
        }
        let numbers: Vec<u64> =
            recent.sessions().iter().map(|closed| closed.how.up_bytes).collect();
        assert_eq!(numbers, (1..=max).rev().collect::<Vec<_>>());
    }
}
