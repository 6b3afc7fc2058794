//! What went wrong last with each account, as its mail server told it, until it goes right again.
//!
//! In memory alone, and within bounds: names come from clients, though only after their local
//! password was right.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::names::{AccountPattern, Username};
use crate::proto::printable;
use crate::provider::Protocol;

/// Accounts whose trouble is remembered; beyond, the one that was noted first is forgotten.
const ACCOUNTS_MAX: usize = 10_000;

/// Longest reply kept, in bytes: what the machines keep of one.
const REPLY_LEN_MAX: usize = 400;

/// Something that a mail server did not do, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// When, since 1970.
    pub at: Duration,
    /// In which protocol.
    pub protocol: Protocol,
    /// What the server said: printable ASCII, at most 400 bytes.
    pub reply: String,
    /// Why, in a clause.
    pub cause: String,
    /// What to do, in a clause.
    pub fix: String,
}

/// The last trouble of each account.
#[derive(Debug, Default)]
pub struct Troubles(Mutex<Noted>);

#[derive(Debug, Default)]
struct Noted {
    /// By the account's name, folded; under a wildcard that of the one mailbox.
    of: HashMap<Username, Entry>,
    last_number: u64,
}

#[derive(Debug)]
struct Entry {
    trouble: Trouble,
    /// What mends it.
    mended_by: MendedBy,
    /// Grows with each that is noted: the clock may be set back.
    number: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MendedBy {
    SignIn,
    Session,
}

impl Troubles {
    /// Notes what went wrong in a session of `account` that was signed in.
    pub fn note(&self, account: &Username, trouble: Trouble) {
        self.insert(account, trouble, MendedBy::Session);
    }

    /// Notes that a sign-in of `account` was refused.
    pub fn refused(&self, account: &Username, trouble: Trouble) {
        self.insert(account, trouble, MendedBy::SignIn);
    }

    /// Forgets the trouble of `account` by `protocol`: what it is there for went right.
    pub fn clear(&self, account: &Username, protocol: Protocol) {
        self.remove(account, |entry| entry.trouble.protocol == protocol);
    }

    /// Forgets what a sign-in of `account` by `protocol` shows to be over. A mailbox that may not
    /// send is signed in to all the same, so for submission that is a refused sign-in alone; what
    /// went wrong in its sessions stays until [`Self::clear`].
    pub fn signed_in(&self, account: &Username, protocol: Protocol) {
        self.remove(account, |entry| {
            let is_over = entry.mended_by == MendedBy::SignIn || protocol != Protocol::Submission;
            entry.trouble.protocol == protocol && is_over
        });
    }

    /// The last trouble of those that `pattern` covers.
    pub fn of(&self, pattern: &AccountPattern) -> Option<Trouble> {
        self.latest(pattern, |_| false).map(|(_, trouble)| trouble)
    }

    /// The same with whose it is, but for those under a wildcard who are `excepted`: they have an
    /// account of their own.
    pub fn latest(
        &self,
        pattern: &AccountPattern,
        excepted: impl Fn(&Username) -> bool,
    ) -> Option<(Username, Trouble)> {
        let noted = self.noted();
        let (name, entry) = match pattern {
            AccountPattern::Exact(name) => noted.of.get_key_value(name),
            AccountPattern::Domain(_) => noted
                .of
                .iter()
                .filter(|(name, _)| pattern.covers(name) && !excepted(name))
                .max_by_key(|(_, entry)| entry.number),
        }?;
        Some((name.clone(), entry.trouble.clone()))
    }

    fn insert(&self, account: &Username, trouble: Trouble, mended_by: MendedBy) {
        let account = account.folded();
        let trouble =
            Trouble { reply: printable(trouble.reply.as_bytes(), REPLY_LEN_MAX), ..trouble };
        let mut noted = self.noted();
        if noted.of.len() >= ACCOUNTS_MAX && !noted.of.contains_key(&account) {
            let oldest = noted.of.iter().min_by_key(|(_, entry)| entry.number);
            if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
                noted.of.remove(&oldest);
            }
        }
        noted.last_number += 1;
        let number = noted.last_number;
        noted.of.insert(account, Entry { trouble, mended_by, number });
    }

    fn remove(&self, account: &Username, is_over: impl Fn(&Entry) -> bool) {
        let mut noted = self.noted();
        // Most accounts have none: then there is nothing to fold or to compare.
        if noted.of.is_empty() {
            return;
        }
        let account = account.folded();
        if noted.of.get(&account).is_some_and(is_over) {
            noted.of.remove(&account);
        }
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> Username {
        Username::parse(name).unwrap()
    }

    fn pattern(pattern: &str) -> AccountPattern {
        AccountPattern::parse(pattern).unwrap()
    }

    fn trouble(protocol: Protocol, reply: &str) -> Trouble {
        let (cause, fix) = ("cause".to_owned(), "fix".to_owned());
        Trouble { at: Duration::ZERO, protocol, reply: reply.to_owned(), cause, fix }
    }

    fn reply(troubles: &Troubles, of: &str) -> Option<String> {
        troubles.of(&pattern(of)).map(|trouble| trouble.reply)
    }

    #[test]
    fn the_last_trouble_of_an_account_is_told_whatever_the_case_of_its_name() {
        let troubles = Troubles::default();
        troubles.note(&name("Alice@contoso.com"), trouble(Protocol::Submission, "one"));
        troubles.refused(&name("alice@CONTOSO.com"), trouble(Protocol::Imap, "two"));
        assert_eq!(reply(&troubles, "alice@contoso.com").as_deref(), Some("two"));
        assert_eq!(reply(&troubles, "bob@contoso.com"), None);
    }

    #[test]
    fn a_trouble_is_forgotten_when_its_protocol_goes_right_and_no_other() {
        let (troubles, alice) = (Troubles::default(), name("alice@contoso.com"));
        troubles.refused(&alice, trouble(Protocol::Imap, "no"));
        troubles.signed_in(&alice, Protocol::Submission);
        troubles.clear(&alice, Protocol::Pop3);
        troubles.signed_in(&name("bob@contoso.com"), Protocol::Imap);
        assert!(reply(&troubles, "alice@contoso.com").is_some());
        troubles.signed_in(&name("ALICE@contoso.com"), Protocol::Imap);
        assert_eq!(reply(&troubles, "alice@contoso.com"), None);
        troubles.clear(&alice, Protocol::Imap);
    }

    #[test]
    fn a_mailbox_that_may_not_send_is_told_until_it_sends_however_often_it_signs_in() {
        let (troubles, alice) = (Troubles::default(), name("alice@contoso.com"));
        troubles.note(&alice, trouble(Protocol::Submission, "554 5.2.2 full"));
        troubles.signed_in(&alice, Protocol::Submission);
        assert!(reply(&troubles, "alice@contoso.com").is_some());
        troubles.clear(&alice, Protocol::Submission);
        assert_eq!(reply(&troubles, "alice@contoso.com"), None);
        // A mailbox that cannot be read says so right behind the next sign-in.
        troubles.note(&alice, trouble(Protocol::Imap, "BAD not connected"));
        troubles.signed_in(&alice, Protocol::Imap);
        assert_eq!(reply(&troubles, "alice@contoso.com"), None);
    }

    #[test]
    fn a_wildcard_has_the_last_trouble_of_those_who_have_no_account_of_their_own() {
        let troubles = Troubles::default();
        let all = pattern("*@contoso.com");
        troubles.note(&name("a@contoso.com"), trouble(Protocol::Imap, "a"));
        troubles.note(&name("b@contoso.com"), trouble(Protocol::Imap, "b"));
        troubles.note(&name("c@fabrikam.com"), trouble(Protocol::Imap, "c"));
        let told = |excepted: &str| troubles.latest(&all, |name| name.as_str() == excepted);
        assert_eq!(told("").unwrap().0, name("b@contoso.com"));
        assert_eq!(told("b@contoso.com").unwrap().0, name("a@contoso.com"));
        troubles.note(&name("a@contoso.com"), trouble(Protocol::Imap, "again"));
        assert_eq!(reply(&troubles, "*@contoso.com").as_deref(), Some("again"));
    }

    #[test]
    fn troubles_are_bounded_in_number_and_length_and_print() {
        let troubles = Troubles::default();
        let user = |number: usize| name(&format!("user{number}@contoso.com"));
        for number in 0..ACCOUNTS_MAX {
            troubles.note(&user(number), trouble(Protocol::Imap, "no"));
        }
        // Noted again, it is the newest; then the second one is the oldest.
        troubles.note(&user(0), trouble(Protocol::Imap, &format!("a\r\nb{}", "x".repeat(1_000))));
        assert_eq!(troubles.noted().of.len(), ACCOUNTS_MAX);
        troubles.note(&user(ACCOUNTS_MAX), trouble(Protocol::Imap, "no"));
        assert_eq!(troubles.noted().of.len(), ACCOUNTS_MAX);
        assert_eq!(reply(&troubles, "user1@contoso.com"), None);
        let kept = reply(&troubles, "user0@contoso.com").unwrap();
        assert!(kept.starts_with("a??b") && kept.len() == REPLY_LEN_MAX, "{kept}");
    }
}
