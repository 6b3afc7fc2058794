//! What a server tells a mailbox behind its sign-in only when it is asked, and told it a moment ago.
//!
//! IMAP servers like Exchange's tell their capabilities in no answer to AUTHENTICATE, and the client
//! must not be the one to ask. Who was told so lately need not ask again.
//!
//! Limits: `AGE_MAX`, `MAILBOXES_MAX`, `LEN_MAX`. So 64 KiB for each way to a server.

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
    words: Bytes,
}

impl Told {
    /// Keeps the `words` that `mailbox` was told just now.
    pub(super) fn keep(&mut self, mailbox: &Username, words: &[u8]) {
        self.0.retain(|entry| entry.mailbox != *mailbox);
        if words.len() > LEN_MAX {
            return;
        }
        if self.0.len() >= MAILBOXES_MAX {
            self.0.remove(0);
        }
        let (mailbox, at, words) = (mailbox.clone(), Instant::now(), Bytes::copy_from_slice(words));
        self.0.push(Entry { mailbox, at, words });
    }

    /// What `mailbox` was told lately.
    pub(super) fn to(&mut self, mailbox: &Username) -> Option<Bytes> {
        self.0.retain(|entry| entry.at.elapsed() < AGE_MAX);
        let entry = self.0.iter().find(|entry| entry.mailbox == *mailbox)?;
        Some(entry.words.clone())
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, pause};

    use super::*;

    fn mailbox(name: &str) -> Username {
        Username::parse(name).unwrap()
    }

    #[tokio::test]
    async fn what_was_told_counts_for_minutes_and_for_its_mailbox_alone() {
        pause();
        let (alice, bob) = (mailbox("alice@example.com"), mailbox("bob@example.com"));
        let mut told = Told::default();
        told.keep(&alice, b"old");
        told.keep(&alice, b"new");
        assert_eq!(told.to(&alice).as_deref(), Some(&b"new"[..]));
        assert_eq!(told.to(&bob), None);
        advance(AGE_MAX).await;
        assert_eq!(told.to(&alice), None);
        assert!(told.0.is_empty());
    }

    #[tokio::test]
    async fn no_more_is_kept_than_the_bounds_allow() {
        let mut told = Told::default();
        for n in 0..=MAILBOXES_MAX {
            told.keep(&mailbox(&format!("user{n}@example.com")), &[b'x'; LEN_MAX]);
        }
        assert_eq!(told.0.len(), MAILBOXES_MAX);
        assert_eq!(told.to(&mailbox("user0@example.com")), None, "the oldest goes");
        let last = mailbox(&format!("user{MAILBOXES_MAX}@example.com"));
        assert!(told.to(&last).is_some());
        told.keep(&last, &[b'x'; LEN_MAX + 1]);
        assert_eq!(told.to(&last), None, "what it had before is no longer true");
    }
}
