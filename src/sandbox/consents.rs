//! Consents: who allowed the client to use a mailbox, and which refresh tokens are good for that.
//!
//! A refresh token carries its consent, its number and an HMAC of both, so that spent ones are known
//! without being kept.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac;

use crate::names::Username;
use crate::provider::Protocol;

/// How many consents are kept; then the oldest is forgotten, and its refresh tokens with it.
const CONSENTS_MAX: usize = 65_536;

/// What becomes of a refresh token when it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// It stays, and no answer names another: as at Google.
    Keep,
    /// Each answer names a new one; the one before it stays good until the new one is used, so that
    /// a lost answer costs nothing. At Entra it stays good even longer.
    Lenient,
    /// Each answer names a new one, and the one before it dies at once. Whoever shows it again ends
    /// the whole consent (RFC 9700 section 4.14.2).
    Strict,
}

/// The consents that were given.
pub(super) struct Consents {
    rotation: Rotation,
    key: hmac::Key,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    consents: VecDeque<Consent>,
    /// How many are forgotten: the number of the oldest one kept.
    forgotten: usize,
    reuses: u64,
    most_at_once: usize,
}

struct Consent {
    user: Username,
    /// What it is good for.
    protocols: Vec<Protocol>,
    is_over: bool,
    /// The number of the last token issued, from 1.
    issued: u64,
    /// The highest number of a token that was used; 0 before the first use.
    used: u64,
    /// How many requests are being answered.
    in_flight: usize,
}

/// A refresh token that was taken.
pub(super) struct Redeemed {
    /// Who consented.
    pub(super) user: Username,
    /// The refresh token to use from now on, if it is another one.
    pub(super) successor: Option<String>,
}

/// A request for one consent, for as long as it is being answered.
pub(super) struct InFlight<'a> {
    consents: &'a Consents,
    index: usize,
}

impl Consents {
    /// None yet.
    pub(super) fn new(rotation: Rotation) -> Result<Self, Unspecified> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &aws_lc_rs::rand::SystemRandom::new())?;
        Ok(Self { rotation, key, kept: Mutex::default() })
    }

    /// `user` consents to the use of `protocols`: gives the first refresh token.
    pub(super) fn give(&self, user: Username, protocols: Vec<Protocol>) -> String {
        let mut kept = self.lock();
        if kept.consents.len() == CONSENTS_MAX {
            kept.consents.pop_front();
            kept.forgotten += 1;
        }
        let index = kept.forgotten + kept.consents.len();
        let (is_over, issued, used, in_flight) = (false, 1, 0, 0);
        let consent = Consent { user, protocols, is_over, issued, used, in_flight };
        kept.consents.push_back(consent);
        self.token(index, 1)
    }

    /// What the consent of `token` is good for, if it is one of ours.
    pub(super) fn protocols(&self, token: &str) -> Option<Vec<Protocol>> {
        let (index, _) = self.read(token)?;
        self.lock().get_mut(index).map(|consent| consent.protocols.clone())
    }

    /// Counts a request that shows `token`; `None` if it is no token of ours.
    pub(super) fn begin(&self, token: &str) -> Option<InFlight<'_>> {
        let (index, _) = self.read(token)?;
        let mut kept = self.lock();
        let consent = kept.get_mut(index)?;
        consent.in_flight += 1;
        let at_once = consent.in_flight;
        kept.most_at_once = kept.most_at_once.max(at_once);
        drop(kept);
        Some(InFlight { consents: self, index })
    }

    /// Uses `token`; `None` if it is not good.
    pub(super) fn redeem(&self, token: &str) -> Option<Redeemed> {
        let (index, number) = self.read(token)?;
        let mut kept = self.lock();
        let consent = kept.get_mut(index)?;
        if consent.is_over {
            return None;
        }
        let is_spent = match self.rotation {
            Rotation::Keep => false,
            Rotation::Lenient => number < consent.used,
            Rotation::Strict => number <= consent.used,
        };
        if is_spent {
            consent.is_over = self.rotation == Rotation::Strict;
            kept.reuses += 1;
            return None;
        }
        consent.used = number;
        let successor = (self.rotation != Rotation::Keep).then(|| {
            consent.issued += 1;
            self.token(index, consent.issued)
        });
        Some(Redeemed { user: consent.user.clone(), successor })
    }

    /// Ends the consent that `token` belongs to, if it is one of ours.
    pub(super) fn end(&self, token: &str) {
        let Some((index, _)) = self.read(token) else { return };
        if let Some(consent) = self.lock().get_mut(index) {
            consent.is_over = true;
        }
    }

    /// Ends every consent of `user`.
    pub(super) fn end_all_of(&self, user: &Username) {
        let mut kept = self.lock();
        let of_user = |it: &&mut Consent| it.user.folded() == user.folded();
        kept.consents.iter_mut().filter(of_user).for_each(|it| it.is_over = true);
    }

    /// How often a spent refresh token was shown.
    pub(super) fn reuses(&self) -> u64 {
        self.lock().reuses
    }

    /// How many requests for one consent were ever being answered at the same time.
    pub(super) fn most_at_once(&self) -> usize {
        self.lock().most_at_once
    }

    fn token(&self, index: usize, number: u64) -> String {
        let signed = format!("{index}.{number}");
        let tag = hmac::sign(&self.key, signed.as_bytes());
        let tag: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{PREFIX}{signed}.{tag}")
    }

    /// The consent and the number that `token` carries, if it is one of ours.
    fn read(&self, token: &str) -> Option<(usize, u64)> {
        let mut parts = token.strip_prefix(PREFIX)?.split('.');
        let (index, number) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        // A sandbox guards nothing, so the time that this takes may tell what it likes.
        (self.token(index, number) == token).then_some((index, number))
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn get_mut(&mut self, index: usize) -> Option<&mut Consent> {
        self.consents.get_mut(index.checked_sub(self.forgotten)?)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if let Some(consent) = self.consents.lock().get_mut(self.index) {
            consent.in_flight -= 1;
        }
    }
}

/// What every refresh token begins with, so that a test can search logs for any of them.
const PREFIX: &str = "sandbox-refresh-";

#[cfg(test)]
mod tests {
    use super::*;

    fn consents(rotation: Rotation) -> (Consents, String) {
        let consents = Consents::new(rotation).unwrap();
        let alice = Username::parse("alice@example.com").unwrap();
        let token = consents.give(alice, vec![Protocol::Imap]);
        (consents, token)
    }

    fn next(consents: &Consents, token: &str) -> Option<String> {
        consents.redeem(token)?.successor
    }

    #[test]
    fn a_token_stays_good_where_there_is_no_rotation() {
        let (consents, token) = consents(Rotation::Keep);
        for _ in 0..3 {
            assert!(consents.redeem(&token).unwrap().successor.is_none());
        }
        assert_eq!(consents.reuses(), 0);
    }

    #[test]
    fn a_lenient_rotation_takes_the_previous_token_until_the_new_one_is_used() {
        let (consents, first) = consents(Rotation::Lenient);
        let lost = next(&consents, &first).unwrap();
        let second = next(&consents, &first).unwrap();
        assert_ne!(lost, second);
        let third = next(&consents, &second).unwrap();
        assert!(consents.redeem(&first).is_none() && consents.redeem(&lost).is_none());
        assert_eq!(consents.reuses(), 2);
        assert!(next(&consents, &third).is_some(), "the consent stands");
    }

    #[test]
    fn a_strict_rotation_ends_the_consent_at_a_reuse() {
        let (consents, first) = consents(Rotation::Strict);
        let second = next(&consents, &first).unwrap();
        assert!(consents.redeem(&first).is_none());
        assert!(consents.redeem(&second).is_none(), "the whole consent is gone");
        assert_eq!(consents.reuses(), 1);
    }

    #[test]
    fn a_token_with_another_number_or_tag_is_none_of_ours() {
        let (consents, token) = consents(Rotation::Strict);
        let (_, other) = self::consents(Rotation::Strict);
        for foreign in [token.replace("0.1.", "0.2."), format!("{token}0"), other, String::new()] {
            assert!(consents.begin(&foreign).is_none() && consents.redeem(&foreign).is_none());
        }
        assert_eq!(consents.reuses(), 0);
        assert!(consents.redeem(&token).is_some());
    }
}
