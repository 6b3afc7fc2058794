//! Mailboxes in memory: one INBOX for each address that ever received a message.
//!
//! Limits: [`MESSAGE_LEN_MAX`] a message, [`TOTAL_LEN_MAX`] in all mailboxes together.

use std::collections::HashMap;
use std::fmt;
use std::ops::{BitOr, Not};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;

use super::date;
use crate::clock;
use crate::names::Username;

/// Longest message, in bytes: Exchange Online's 150 MB.
pub const MESSAGE_LEN_MAX: usize = 150 * 1024 * 1024;

/// What all messages together may take, in bytes.
pub const TOTAL_LEN_MAX: usize = 1024 * 1024 * 1024;

/// What a message counts besides its own bytes, so that empty ones are bounded, too.
const OVERHEAD_LEN: usize = 1024;

/// A set of IMAP's system flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Flags(u8);

impl Flags {
    pub(super) const NONE: Self = Self(0);
    pub(super) const ANSWERED: Self = Self(1);
    pub(super) const FLAGGED: Self = Self(2);
    pub(super) const DELETED: Self = Self(4);
    pub(super) const SEEN: Self = Self(8);
    pub(super) const DRAFT: Self = Self(16);

    const NAMES: [(Self, &str); 5] = [
        (Self::ANSWERED, "\\Answered"),
        (Self::FLAGGED, "\\Flagged"),
        (Self::DELETED, "\\Deleted"),
        (Self::SEEN, "\\Seen"),
        (Self::DRAFT, "\\Draft"),
    ];

    /// The flag of that name; keywords are not kept, so they are no flag.
    pub(super) fn named(name: &str) -> Self {
        let known = Self::NAMES.into_iter().find(|(_, known)| name.eq_ignore_ascii_case(known));
        known.map_or(Self::NONE, |(flag, _)| flag)
    }

    /// Whether all of `flags` are in this set.
    pub(super) fn contain(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// This set without `flags`.
    pub(super) fn without(self, flags: Self) -> Self {
        Self(self.0 & flags.0.not())
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Self::NAMES.into_iter().filter(|(flag, _)| self.contain(*flag));
        f.write_str(&names.map(|(_, name)| name).collect::<Vec<_>>().join(" "))
    }
}

/// A message. Cloning shares its bytes.
#[derive(Debug, Clone)]
pub(super) struct Message {
    /// Its number, never given twice in a mailbox.
    pub(super) uid: u32,
    pub(super) flags: Flags,
    /// IMAP's date-time.
    pub(super) internal_date: String,
    pub(super) bytes: Bytes,
}

/// Why a message is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the mailboxes of the sandbox are full")]
pub struct Full;

/// All mailboxes.
pub(super) struct Mailboxes {
    kept: Mutex<Kept>,
    changes: watch::Sender<()>,
}

#[derive(Default)]
struct Kept {
    /// By folded address.
    inboxes: HashMap<Username, Inbox>,
    total_len: usize,
}

#[derive(Default)]
struct Inbox {
    messages: Vec<Message>,
    last_uid: u32,
}

impl Mailboxes {
    /// No messages yet; every change is told to the receivers of `changes`.
    pub(super) fn new(changes: watch::Sender<()>) -> Self {
        Self { kept: Mutex::default(), changes }
    }

    /// Adds a message, received now unless `internal_date` says otherwise; gives its UID.
    pub(super) fn add(
        &self,
        address: &Username,
        bytes: Bytes,
        flags: Flags,
        internal_date: Option<String>,
    ) -> Result<u32, Full> {
        let mut kept = self.lock();
        let total_len = kept.total_len.saturating_add(bytes.len()).saturating_add(OVERHEAD_LEN);
        if total_len > TOTAL_LEN_MAX {
            return Err(Full);
        }
        kept.total_len = total_len;
        let inbox = kept.inboxes.entry(address.folded()).or_default();
        inbox.last_uid += 1;
        let uid = inbox.last_uid;
        let internal_date =
            internal_date.unwrap_or_else(|| date::imap_date_time(clock::unix_time()));
        inbox.messages.push(Message { uid, flags, internal_date, bytes });
        drop(kept);
        self.changes.send_replace(());
        Ok(uid)
    }

    /// The messages of `address` in the order of their UIDs.
    pub(super) fn messages(&self, address: &Username) -> Vec<Message> {
        let kept = self.lock();
        kept.inboxes.get(&address.folded()).map(|it| it.messages.clone()).unwrap_or_default()
    }

    /// The UID that the next message of `address` gets.
    pub(super) fn next_uid(&self, address: &Username) -> u32 {
        self.lock().inboxes.get(&address.folded()).map_or(1, |inbox| inbox.last_uid + 1)
    }

    /// Changes the flags of a message; gives the new ones, or `None` if it is gone.
    pub(super) fn change_flags(
        &self,
        address: &Username,
        uid: u32,
        change: impl FnOnce(Flags) -> Flags,
    ) -> Option<Flags> {
        let mut kept = self.lock();
        let inbox = kept.inboxes.get_mut(&address.folded())?;
        let message = inbox.messages.iter_mut().find(|message| message.uid == uid)?;
        message.flags = change(message.flags);
        Some(message.flags)
    }

    /// Removes the messages of `address` that are marked as deleted and whose UID is `wanted`.
    pub(super) fn expunge(&self, address: &Username, wanted: impl Fn(u32) -> bool) {
        let mut kept = self.lock();
        let Some(inbox) = kept.inboxes.get_mut(&address.folded()) else { return };
        let mut freed_len = 0;
        inbox.messages.retain(|message| {
            let goes = message.flags.contain(Flags::DELETED) && wanted(message.uid);
            freed_len += if goes { message.bytes.len() + OVERHEAD_LEN } else { 0 };
            !goes
        });
        kept.total_len -= freed_len;
        drop(kept);
        self.changes.send_replace(());
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_refused_when_the_mailboxes_are_full_and_taken_after_an_expunge() {
        let mailboxes = Mailboxes::new(watch::Sender::new(()));
        let [alice, bob] = ["alice", "bob"].map(|name| Username::parse(name).unwrap());
        // Bytes are shared, so that a gigabyte of messages costs one message's memory.
        let bytes = Bytes::from(vec![b'x'; MESSAGE_LEN_MAX]);
        let add = |flags| mailboxes.add(&alice, bytes.clone(), flags, None);
        for uid in 1..=6 {
            assert_eq!(add(Flags::DELETED), Ok(uid));
        }
        assert_eq!(add(Flags::NONE), Err(Full));
        assert_eq!(mailboxes.add(&bob, Bytes::new(), Flags::NONE, None), Ok(1));
        mailboxes.expunge(&alice, |uid| uid == 2);
        assert_eq!(add(Flags::NONE), Ok(7));
        let uids: Vec<u32> = mailboxes.messages(&alice).iter().map(|it| it.uid).collect();
        assert_eq!(uids, [1, 3, 4, 5, 6, 7]);
    }
}
