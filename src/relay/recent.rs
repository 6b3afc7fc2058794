//! The sessions that ended last, for whoever is asked for help: what their closing lines say.
//!
//! In memory alone, and within bounds.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::names::Username;
use crate::provider::Protocol;

/// Sessions of accounts that are remembered: what somebody tries a few times while looking for a
/// trouble is among them on a relay that others use as well. Each takes 1 KiB or so.
const OF_ACCOUNTS_MAX: usize = 100;

/// The same of sessions whose client has shown no right password. They are apart, because whoever may
/// connect may have as many of them as they like.
const STRANGERS_MAX: usize = 50;

/// How many of these may come from one place and end for one reason: a balancer's probes and a scan
/// of ports leave room for somebody whose password is wrong.
const ALIKE_MAX: usize = 5;

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
    /// Whose account it was, if the client has shown that it may use one, signed in or not.
    pub account: Option<Username>,
    /// How it ended.
    pub how: How,
}

/// How a session ended, in the words of its closing line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct How {
    /// How far it came, in one word.
    pub outcome: &'static str,
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
pub struct Recent(Mutex<Sessions>);

/// Each with its number, the first one first.
#[derive(Debug, Default)]
struct Sessions {
    /// How many there were.
    count: u64,
    of_accounts: VecDeque<(u64, Closed)>,
    strangers: VecDeque<(u64, Closed)>,
}

impl Recent {
    /// Remembers a session that ended; the oldest of its kind is forgotten for it.
    pub(crate) fn note(&self, closed: Closed) {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Sessions { count, of_accounts, strangers } = &mut *sessions;
        *count += 1;
        let (kept, max) = if closed.account.is_some() {
            (of_accounts, OF_ACCOUNTS_MAX)
        } else {
            forget_alike(strangers, &closed);
            (strangers, STRANGERS_MAX)
        };
        if kept.len() >= max {
            kept.pop_front();
        }
        kept.push_back((*count, closed));
    }

    /// Those that are remembered, the last one first.
    pub fn sessions(&self) -> Vec<Closed> {
        let sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = sessions.of_accounts.iter().chain(&sessions.strangers).collect();
        all.sort_by_key(|(number, _)| Reverse(*number));
        all.into_iter().map(|(_, closed)| closed.clone()).collect()
    }
}

/// Makes room for `closed` among those that are like it.
fn forget_alike(strangers: &mut VecDeque<(u64, Closed)>, closed: &Closed) {
    let is_alike = |other: &Closed| {
        (&other.listener, &other.from, other.how.reason)
            == (&closed.listener, &closed.from, closed.how.reason)
    };
    let alike = strangers.iter().enumerate().filter(|(_, (_, other))| is_alike(other));
    let alike: Vec<usize> = alike.map(|(at, _)| at).collect();
    if let Some(oldest) = alike.first().filter(|_| alike.len() >= ALIKE_MAX) {
        strangers.remove(*oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The session of that `number`, from `from`, which `account` had.
    fn closed(number: u64, from: &str, account: Option<&str>) -> Closed {
        let how = How {
            outcome: "signed-in",
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
            from: from.to_owned(),
            account: account.map(|account| Username::parse(account).unwrap()),
            how,
        }
    }

    /// The numbers of those that are remembered.
    fn numbers(recent: &Recent) -> Vec<u64> {
        recent.sessions().iter().map(|closed| closed.how.up_bytes).collect()
    }

    #[test]
    fn the_last_sessions_are_remembered_and_no_more_of_them() {
        let recent = Recent::default();
        let max = u64::try_from(OF_ACCOUNTS_MAX).unwrap();
        for number in 0..=max {
            recent.note(closed(number, "127.0.0.1", Some("alice")));
        }
        assert_eq!(numbers(&recent), (1..=max).rev().collect::<Vec<_>>());
    }

    #[test]
    fn strangers_push_no_session_of_an_account_out() {
        let recent = Recent::default();
        recent.note(closed(0, "127.0.0.1", Some("alice")));
        for number in 1..1000 {
            recent.note(closed(number, &format!("192.0.2.{number}"), None));
        }
        let max = u64::try_from(STRANGERS_MAX).unwrap();
        let expected: Vec<u64> = (1000 - max..1000).rev().chain([0]).collect();
        assert_eq!(numbers(&recent), expected);
    }

    #[test]
    fn probes_of_one_place_push_no_other_stranger_out() {
        let recent = Recent::default();
        recent.note(closed(0, "192.0.2.7", None));
        for number in 1..1000 {
            recent.note(closed(number, "127.0.0.1", None));
        }
        assert_eq!(numbers(&recent), [999, 998, 997, 996, 995, 0]);
    }

    #[test]
    fn sessions_are_told_in_the_order_in_which_they_ended() {
        let recent = Recent::default();
        for number in 0..6 {
            recent.note(closed(number, "127.0.0.1", Some("alice").filter(|_| number % 2 == 0)));
        }
        assert_eq!(numbers(&recent), [5, 4, 3, 2, 1, 0]);
    }
}
