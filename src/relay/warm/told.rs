//! What a server tells a mailbox behind its sign-in only when it is asked, and told it a moment ago.
//!
//! IMAP servers like Exchange's tell their capabilities in no answer to AUTHENTICATE, and the client
//! must not be the one to ask. Who was told so lately need not ask again.
//!
//! Limits: `AGE_MAX`, `MAILBOXES_MAX`, `LEN_MAX`. So some 90 KiB for each way to a server, names included.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::names::Username;

/// How long it counts. A client goes by what it was told for as long as its session lasts, which is
/// hours; so what is wrong for minutes is nothing that it does not meet anyhow.
const AGE_MAX: Duration = Duration::from_secs(300);

/// Of how many mailboxes it is kept.
const MAILBOXES_MAX: usize = 64;

/// Longest that is kept, in bytes. Exchange's take some 250.
const LEN_MAX: usize = 1_024;

/// What was told, oldest first, one entry for each mailbox.
#[derive(Debug, Default)]
pub(super) struct Told(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    mailbox: Username,
    at: Instant,
    /// The same by the wall clock: the other one stands still while a machine is suspended.
    unix_time: Duration,
    words: Bytes,
}

/// What an accepted sign-in teaches of what its mailbox is told who asks.
pub(crate) enum Lesson<'w> {
    /// It was told so.
    Keep(&'w [u8]),
    /// It was not, so what it was told before holds no more.
    Forget,
    /// Nothing.
    Nothing,
}

impl Told {
    /// Goes by what `mailbox` was taught just now, where it is `unix_time`.
    pub(super) fn learn(&mut self, mailbox: &Username, lesson: &Lesson<'_>, unix_time: Duration) {
        match lesson {
            Lesson::Keep(words) => self.keep(mailbox, words, unix_time),
            Lesson::Forget => self.forget(mailbox),
            Lesson::Nothing => {}
        }
    }

    fn forget(&mut self, mailbox: &Username) {
        self.0.retain(|entry| entry.mailbox != *mailbox);
    }

    fn keep(&mut self, mailbox: &Username, words: &[u8], unix_time: Duration) {
        self.forget(mailbox);
        if words.len() > LEN_MAX {
            return;
        }
        if self.0.len() >= MAILBOXES_MAX {
            self.0.remove(0);
        }
        let (mailbox, at, words) = (mailbox.clone(), Instant::now(), Bytes::copy_from_slice(words));
        self.0.push(Entry { mailbox, at, unix_time, words });
    }

    /// What `mailbox` was told lately, where it is `unix_time`.
    pub(super) fn to(&mut self, mailbox: &Username, unix_time: Duration) -> Option<Bytes> {
        self.0.retain(|entry| entry.counts(unix_time));
        let entry = self.0.iter().find(|entry| entry.mailbox == *mailbox)?;
        Some(entry.words.clone())
    }
}

impl Entry {
    /// Whether it is young enough by both clocks. One that was set since shows no age.
    fn counts(&self, unix_time: Duration) -> bool {
        let by_wall_clock = unix_time.checked_sub(self.unix_time);
        self.at.elapsed() < AGE_MAX && by_wall_clock.is_some_and(|age| age < AGE_MAX)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, pause};

    use super::*;

    /// The time of day, which stands still unless a test says otherwise.
    const NOW: Duration = Duration::from_secs(1_000_000);

    fn mailbox(name: &str) -> Username {
        Username::parse(name).unwrap()
    }

    #[tokio::test]
    async fn what_was_told_counts_for_minutes_and_for_its_mailbox_alone() {
        pause();
        let (alice, bob) = (mailbox("alice@example.com"), mailbox("bob@example.com"));
        let mut told = Told::default();
        told.keep(&alice, b"old", NOW);
        told.keep(&alice, b"new", NOW);
        assert_eq!(told.to(&alice, NOW).as_deref(), Some(&b"new"[..]));
        assert_eq!(told.to(&bob, NOW), None);
        advance(AGE_MAX).await;
        assert_eq!(told.to(&alice, NOW), None);
        assert!(told.0.is_empty());
    }

    #[tokio::test]
    async fn what_was_told_before_a_sleep_of_the_machine_counts_no_more() {
        let alice = mailbox("alice@example.com");
        let second = Duration::from_secs(1);
        for (later, counts) in [
            (NOW + AGE_MAX - second, true),
            (NOW + AGE_MAX, false),
            // The clock was set back.
            (NOW - second, false),
        ] {
            let mut told = Told::default();
            told.keep(&alice, b"words", NOW);
            assert_eq!(told.to(&alice, later).is_some(), counts, "{later:?}");
        }
    }

    #[tokio::test]
    async fn what_was_told_is_forgotten_once_a_sign_in_shows_that_it_holds_no_more() {
        let (alice, bob) = (mailbox("alice@example.com"), mailbox("bob@example.com"));
        let mut told = Told::default();
        for mailbox in [&alice, &bob] {
            told.learn(mailbox, &Lesson::Keep(b"words"), NOW);
        }
        told.learn(&alice, &Lesson::Nothing, NOW);
        assert!(told.to(&alice, NOW).is_some());
        told.learn(&alice, &Lesson::Forget, NOW);
        assert_eq!(told.to(&alice, NOW), None);
        assert!(told.to(&bob, NOW).is_some(), "it is another mailbox");
    }

    #[tokio::test]
    async fn no_more_is_kept_than_the_bounds_allow() {
        let mut told = Told::default();
        for n in 0..=MAILBOXES_MAX {
            told.keep(&mailbox(&format!("user{n}@example.com")), &[b'x'; LEN_MAX], NOW);
        }
        assert_eq!(told.0.len(), MAILBOXES_MAX);
        assert_eq!(told.to(&mailbox("user0@example.com"), NOW), None, "the oldest goes");
        let last = mailbox(&format!("user{MAILBOXES_MAX}@example.com"));
        assert!(told.to(&last, NOW).is_some());
        told.keep(&last, &[b'x'; LEN_MAX + 1], NOW);
        assert_eq!(told.to(&last, NOW), None, "what it had before is no longer true");
    }
}
