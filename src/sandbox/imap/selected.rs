//! A selected mailbox as one client knows it.
//!
//! It numbers messages by what the client was told last, so that numbers change between commands
//! alone (RFC 3501 section 7.4.1). Flags that others change show when they are fetched.

use super::super::mailboxes::Message;
use super::command::Malformed;
use super::search::Place;
use super::set::NumberSet;

/// What the client knows of the mailbox.
pub(super) struct Selected {
    pub(super) access: Access,
    /// In ascending order; the first is message 1.
    uids: Vec<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    ReadWrite,
    ReadOnly,
}

/// Whether a command speaks of sequence numbers or of UIDs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbering {
    Sequence,
    Uid,
}

impl Selected {
    /// A client was told of all `messages`.
    pub(super) fn new(messages: &[Message], access: Access) -> Self {
        Self { access, uids: messages.iter().map(|message| message.uid).collect() }
    }

    pub(super) fn largest_uid(&self) -> u32 {
        self.uids.last().copied().unwrap_or(0)
    }

    fn largest_number(&self) -> u32 {
        u32::try_from(self.uids.len()).unwrap_or(u32::MAX)
    }

    /// Where the message with that sequence number stands.
    pub(super) fn place(&self, number: u32) -> Place {
        let (largest_number, largest_uid) = (self.largest_number(), self.largest_uid());
        Place { number, largest_number, largest_uid }
    }

    /// All of `messages` that the client knows, with their sequence numbers. Those that are gone
    /// keep theirs until the client is told.
    pub(super) fn known<'a>(
        &self,
        messages: &'a [Message],
    ) -> impl Iterator<Item = (u32, &'a Message)> {
        (1..).zip(&self.uids).filter_map(|(number, uid)| {
            let at = messages.binary_search_by_key(uid, |message| message.uid).ok()?;
            Some((number, messages.get(at)?))
        })
    }

    /// Those of `messages` that a client's `set` names.
    pub(super) fn chosen(
        &self,
        messages: &[Message],
        set: &str,
        numbering: Numbering,
    ) -> Result<Vec<(u32, Message)>, Malformed> {
        let set = NumberSet::parse(set)?;
        if numbering == Numbering::Sequence && !set.is_within(self.largest_number()) {
            return Err(Malformed);
        }
        let chosen = self.known(messages).filter(|(number, message)| match numbering {
            Numbering::Sequence => set.contains(*number, self.largest_number()),
            Numbering::Uid => set.contains(message.uid, self.largest_uid()),
        });
        Ok(chosen.map(|(number, message)| (number, message.clone())).collect())
    }

    /// Numbers `messages` anew; gives the responses that tell the client what came and went.
    pub(super) fn update(&mut self, messages: &[Message]) -> Vec<String> {
        let mut responses = Vec::new();
        let mut number = 1;
        self.uids.retain(|uid| {
            let stays = messages.binary_search_by_key(uid, |message| message.uid).is_ok();
            if stays {
                number += 1;
            } else {
                responses.push(format!("* {number} EXPUNGE"));
            }
            stays
        });
        let known_len = self.uids.len();
        let largest_uid = self.largest_uid();
        let new = messages.iter().map(|message| message.uid).filter(|&uid| uid > largest_uid);
        self.uids.extend(new);
        if self.uids.len() > known_len {
            responses.push(format!("* {} EXISTS", self.uids.len()));
        }
        responses
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::super::mailboxes::Flags;
    use super::*;

    fn messages(uids: &[u32]) -> Vec<Message> {
        let message = |&uid| Message {
            uid,
            flags: Flags::NONE,
            internal_date: String::new(),
            bytes: Bytes::new(),
        };
        uids.iter().map(message).collect()
    }

    #[test]
    fn a_client_is_told_what_went_and_came_by_the_numbers_it_knows() {
        let mut selected = Selected::new(&messages(&[2, 4, 6, 8]), Access::ReadWrite);
        let told = selected.update(&messages(&[4, 9, 10]));
        assert_eq!(told, ["* 1 EXPUNGE", "* 2 EXPUNGE", "* 2 EXPUNGE", "* 3 EXISTS"]);
        assert!(selected.update(&messages(&[4, 9, 10])).is_empty());
        assert_eq!(selected.update(&[]), ["* 1 EXPUNGE"; 3]);
    }

    #[test]
    fn a_number_stays_with_its_message_until_the_client_is_told() {
        let selected = Selected::new(&messages(&[2, 4, 6]), Access::ReadWrite);
        let now = messages(&[4, 6, 7]);
        let chosen = |set, numbering| {
            let chosen = selected.chosen(&now, set, numbering);
            chosen.map(|it| it.iter().map(|(number, it)| (*number, it.uid)).collect::<Vec<_>>())
        };
        assert_eq!(chosen("1:*", Numbering::Sequence), Ok(vec![(2, 4), (3, 6)]));
        assert_eq!(chosen("6:9", Numbering::Uid), Ok(vec![(3, 6)]));
        assert_eq!(chosen("4", Numbering::Sequence), Err(Malformed));
    }
}
