//! Local passwords: whether a client is whom it claims to be.
//!
//! In:     a claim, what the listener allows, and whether the peer is on this machine.
//! Out:    the account, or one refusal for everything that is wrong with the claim.
//! Limits: as many Argon2 computations at once as the machine has cores, `QUEUE_LEN_MAX` waiting;
//!         `REMEMBERED_MAX` passwords remembered, the oldest forgotten first.
//!
//! No reply tells which accounts exist: whatever is not accepted at once costs one Argon2
//! computation, against a decoy where the account has no hash or there is no account, and hears
//! the same when the queue is full. Accepted at once is only a right password.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::num::NonZero;
use std::sync::{Arc, Mutex, PoisonError};

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordVerifier as _};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::warn;

use super::LocalPassword;
use super::directory::{Account, Directory};
use crate::names::AccountPattern;
use crate::proto::Claim;
use crate::secret::{ExposeSecret as _, SecretSource};

/// Claims that may wait for a core. At 50 ms each on two cores the last one waits 1.6 s.
const QUEUE_LEN_MAX: usize = 64;

/// Right passwords remembered. One takes about 100 bytes.
const REMEMBERED_MAX: usize = 10_000;

/// A client that showed the right local password. Made by [`Passwords::sign_in`] alone.
#[derive(Debug, Clone)]
pub struct SignedIn(Account);

impl SignedIn {
    /// The account that it may use.
    pub fn account(&self) -> &Account {
        &self.0
    }
}

/// Why a claim is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LocalRefusal {
    /// The password is wrong, the account is not allowed here, or there is none.
    #[error("wrong local password or no such account")]
    Wrong,
    /// Too many claims are waiting.
    #[error("too many local passwords are being verified: try again later")]
    Busy,
    /// The file with the account's password cannot be read now, so none is right or wrong.
    #[error("the local password cannot be read: make its file readable for this user")]
    Unreadable,
}

/// The machine yields no random numbers, so nothing can be kept secret on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system yields no random numbers: let this process read /dev/urandom")]
pub struct RandomError;

/// Verifies local passwords, and remembers those that were right.
pub struct Passwords {
    verify: Verify,
    /// Drawn at start and never written anywhere.
    key: hmac::Key,
    remembered: Mutex<Remembered>,
    /// One permit for each claim that is being verified or waits.
    admitted: Arc<Semaphore>,
    /// One permit for each core.
    cores: Arc<Semaphore>,
}

/// Computes whether a password belongs to a PHC string.
type Verify = Arc<dyn Fn(&str, &[u8]) -> bool + Send + Sync>;

impl Passwords {
    /// With an empty memory.
    ///
    /// # Errors
    /// When the system yields no random numbers.
    pub fn new() -> Result<Self, RandomError> {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self::with(Arc::new(verify_argon2), cores)
    }

    fn with(verify: Verify, cores: usize) -> Result<Self, RandomError> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        Ok(Self {
            verify,
            key: key.map_err(|_| RandomError)?,
            remembered: Mutex::default(),
            admitted: Arc::new(Semaphore::new(cores + QUEUE_LEN_MAX)),
            cores: Arc::new(Semaphore::new(cores)),
        })
    }

    /// Judges `claim`, made to a listener that allows `accounts`.
    ///
    /// # Errors
    /// When the claim is not accepted. The caller answers after the same time whatever the reason.
    pub async fn sign_in(
        &self,
        directory: &Directory,
        accounts: Option<&[AccountPattern]>,
        claim: &Claim,
    ) -> Result<SignedIn, LocalRefusal> {
        let account = directory.find(&claim.username, accounts);
        let own_hash =
            account.as_ref().and_then(|account| match &account.settings().local_password {
                LocalPassword::Hash(hash) => Some(hash),
                LocalPassword::Plain(_) | LocalPassword::Any | LocalPassword::None => None,
            });
        let hash = own_hash.or(directory.decoy()).map(|hash| hash.expose_secret());
        let tag = self.tag(claim, hash.unwrap_or_default());

        let at_once = match account.as_ref().map(|account| &account.settings().local_password) {
            Some(LocalPassword::Hash(_)) => self.remembers(&tag),
            Some(LocalPassword::Plain(source)) => self.matches(source, claim).await?,
            Some(LocalPassword::Any | LocalPassword::None) | None => false,
        };
        if let (true, Some(account)) = (at_once, &account) {
            return Ok(SignedIn(account.clone()));
        }

        let Some(hash) = hash else { return Err(LocalRefusal::Wrong) };
        let right = self.compute(hash, claim).await?;
        match account {
            Some(account) if right && own_hash.is_some() => {
                self.remember(tag);
                Ok(SignedIn(account))
            }
            Some(_) | None => Err(LocalRefusal::Wrong),
        }
    }

    /// Verifies the claim's password against a PHC string on the bounded pool.
    async fn compute(&self, hash: &str, claim: &Claim) -> Result<bool, LocalRefusal> {
        let busy = |_| LocalRefusal::Busy;
        let admitted = Arc::clone(&self.admitted).try_acquire_owned().map_err(busy)?;
        let core = Arc::clone(&self.cores).acquire_owned().await;
        let core = core.map_err(|_| LocalRefusal::Busy)?;
        let (verify, hash) = (Arc::clone(&self.verify), hash.to_owned());
        let password = claim.password.clone();
        // The permits go along: a client that gives up does not free a core that is still at work.
        let computed = tokio::task::spawn_blocking(move || {
            let _held: (OwnedSemaphorePermit, OwnedSemaphorePermit) = (admitted, core);
            verify(&hash, password.expose_secret())
        });
        computed.await.map_err(|_| LocalRefusal::Busy) // the runtime is shutting down
    }

    /// Whether the claim's password is the plain one of `source`.
    async fn matches(&self, source: &SecretSource, claim: &Claim) -> Result<bool, LocalRefusal> {
        let read = if source.blocks() {
            let source = source.clone();
            tokio::task::spawn_blocking(move || source.read()).await
        } else {
            Ok(source.read())
        };
        let expected = match read {
            Ok(Ok(expected)) => expected,
            Ok(Err(error)) => {
                let (account, error) = (claim.username.as_str(), error.to_string());
                warn!(account, error, "no local password");
                return Err(LocalRefusal::Unreadable);
            }
            Err(_) => return Err(LocalRefusal::Busy), // the runtime is shutting down
        };
        let expected = expected.expose_secret().as_bytes();
        let expected_tag = hmac::sign(&self.key, expected);
        // Compares two tags in constant time, which says nothing of the passwords under them.
        Ok(!expected.is_empty()
            && hmac::verify(&self.key, claim.password.expose_secret(), expected_tag.as_ref())
                .is_ok())
    }

    /// The tag under which a right claim is remembered. With another hash in the file it is
    /// another tag, so a changed password is forgotten.
    fn tag(&self, claim: &Claim, hash: &str) -> Tag {
        let mut context = hmac::Context::with_key(&self.key);
        for part in [claim.username.folded().as_str(), hash] {
            // Two different claims are never the same bytes. `usize` is at most 64 bits wide.
            context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            context.update(part.as_bytes());
        }
        context.update(claim.password.expose_secret());
        let mut tag = Tag::default();
        for (to, from) in tag.iter_mut().zip(context.sign().as_ref()) {
            *to = *from;
        }
        tag
    }

    fn remembers(&self, tag: &Tag) -> bool {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner).tags.contains(tag)
    }

    fn remember(&self, tag: Tag) {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner).insert(tag);
    }
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passwords").finish_non_exhaustive()
    }
}

/// An HMAC-SHA256.
type Tag = [u8; 32];

/// The tags of right claims, in the order in which they came.
#[derive(Default)]
struct Remembered {
    tags: HashSet<Tag>,
    order: VecDeque<Tag>,
}

impl Remembered {
    fn insert(&mut self, tag: Tag) {
        if !self.tags.insert(tag) {
            return;
        }
        self.order.push_back(tag);
        if self.order.len() > REMEMBERED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.tags.remove(&oldest);
        }
    }
}

/// Verifies against any of Argon2's PHC strings. One that cannot be read, which the configuration
/// refuses, matches nothing.
fn verify_argon2(hash: &str, password: &[u8]) -> bool {
    PasswordHash::new(hash)
        .is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use argon2::{Algorithm, Params, PasswordHasher as _, Version};

    use super::*;
    use crate::account::AccountSettings;
    use crate::account::directory::tests::{name, settings};
    use crate::secret::{SecretSlice, SecretString};

    fn claim(username: &str, password: &str) -> Claim {
        Claim {
            username: name(username),
            password: SecretSlice::from(password.as_bytes().to_vec()),
        }
    }

    /// A PHC string that costs next to nothing.
    fn hash(algorithm: Algorithm, password: &str) -> LocalPassword {
        let cheap = Argon2::new(algorithm, Version::V0x13, Params::new(8, 1, 1, None).unwrap());
        let hash = cheap.hash_password_with_salt(password.as_bytes(), b"salt of 16 bytes").unwrap();
        LocalPassword::Hash(SecretString::from(hash.to_string()))
    }

    fn hashed(pattern: &str, password: &str) -> AccountSettings {
        settings(pattern, hash(Algorithm::Argon2id, password))
    }

    fn plain(pattern: &str, password: &str) -> AccountSettings {
        let source = SecretSource::Value(SecretString::from(password));
        settings(pattern, LocalPassword::Plain(source))
    }

    /// Verifies, and counts how often.
    fn counting() -> (Passwords, Arc<AtomicUsize>) {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        let verify = move |hash: &str, password: &[u8]| {
            counted.fetch_add(1, Ordering::SeqCst);
            verify_argon2(hash, password)
        };
        (Passwords::with(Arc::new(verify), 1).unwrap(), count)
    }

    async fn sign_in(
        passwords: &Passwords,
        directory: &Directory,
        username: &str,
        password: &str,
    ) -> Result<String, LocalRefusal> {
        let claim = claim(username, password);
        let outcome = passwords.sign_in(directory, None, &claim).await;
        outcome.map(|signed_in| signed_in.account().name().to_string())
    }

    #[tokio::test]
    async fn right_password_opens_its_account_and_no_other() {
        let passwords = Passwords::new().unwrap();
        let directory = Directory::new(vec![
            hashed("alice@contoso.com", "one"),
            settings("bob@contoso.com", hash(Algorithm::Argon2i, "two")),
            settings("carol@contoso.com", hash(Algorithm::Argon2d, "three")),
            plain("dave@contoso.com", "four"),
        ]);
        let names =
            ["alice@contoso.com", "bob@contoso.com", "carol@contoso.com", "dave@contoso.com"];
        let tries = ["one", "two", "three", "four"];
        for (at, username) in names.into_iter().enumerate() {
            for (of, password) in tries.into_iter().enumerate() {
                let outcome = sign_in(&passwords, &directory, username, password).await;
                assert_eq!(outcome.is_ok(), at == of, "{username} {password}");
            }
            for bad in ["", "One", "one ", "ONE"] {
                let outcome = sign_in(&passwords, &directory, username, bad).await;
                assert_eq!(outcome, Err(LocalRefusal::Wrong), "{username} {bad}");
            }
        }
    }

    #[tokio::test]
    async fn user_name_ignores_case_and_a_wildcard_gives_the_concrete_one() {
        let passwords = Passwords::new().unwrap();
        let directory = Directory::new(vec![
            hashed("*@contoso.com", "for all"),
            hashed("alice@contoso.com", "for alice"),
        ]);
        let bob = sign_in(&passwords, &directory, "Bob@CONTOSO.com", "for all").await;
        assert_eq!(bob.as_deref(), Ok("bob@contoso.com"));
        let alice = sign_in(&passwords, &directory, "ALICE@contoso.com", "for alice").await;
        assert_eq!(alice.as_deref(), Ok("alice@contoso.com"));
        let alice = sign_in(&passwords, &directory, "alice@contoso.com", "for all").await;
        assert_eq!(alice, Err(LocalRefusal::Wrong));
    }

    #[tokio::test]
    async fn right_password_is_wrong_where_the_listener_does_not_allow_the_account() {
        let passwords = Passwords::new().unwrap();
        let directory = Directory::new(vec![hashed("*@contoso.com", "right")]);
        let allowed = [AccountPattern::parse("alice@contoso.com").unwrap()];
        for (username, accepted) in [("alice@contoso.com", true), ("bob@contoso.com", false)] {
            let claim = claim(username, "right");
            // Remembered from another listener, it still counts only where it is allowed.
            passwords.sign_in(&directory, None, &claim).await.unwrap();
            let outcome = passwords.sign_in(&directory, Some(&allowed), &claim);
            assert_eq!(outcome.await.is_ok(), accepted, "{username}");
        }
    }

    #[tokio::test]
    async fn account_without_password_accepts_none() {
        let passwords = Passwords::new().unwrap();
        let directory =
            Directory::new(vec![settings("alice", LocalPassword::None), plain("bob", "")]);
        for username in ["alice", "bob"] {
            let outcome = sign_in(&passwords, &directory, username, "").await;
            assert_eq!(outcome, Err(LocalRefusal::Wrong), "{username}");
        }
    }

    #[tokio::test]
    async fn wrong_claim_costs_one_verification_whatever_is_wrong_with_it() {
        let (passwords, count) = counting();
        let directory = Directory::new(vec![
            plain("plain", "secret"),
            settings("none", LocalPassword::None),
            hashed("hashed", "right"),
        ]);
        for (before, username) in
            ["plain", "none", "hashed", "nobody", "nobody"].into_iter().enumerate()
        {
            assert_eq!(count.load(Ordering::SeqCst), before);
            // It is the right one of the decoy, which opens nothing else.
            let password = if username == "hashed" { "wrong" } else { "right" };
            let outcome = sign_in(&passwords, &directory, username, password).await;
            assert_eq!(outcome, Err(LocalRefusal::Wrong), "{username}");
            assert_eq!(count.load(Ordering::SeqCst), before + 1, "{username}");
        }
    }

    #[tokio::test]
    async fn right_password_is_verified_once_and_a_wrong_one_each_time() {
        let (passwords, count) = counting();
        let directory =
            Directory::new(vec![hashed("alice", "right"), hashed("*@contoso.com", "right")]);
        for (username, verifications) in
            [("alice", 1), ("ALICE", 1), ("a@contoso.com", 2), ("b@contoso.com", 3), ("alice", 3)]
        {
            sign_in(&passwords, &directory, username, "right").await.unwrap();
            assert_eq!(count.load(Ordering::SeqCst), verifications, "{username}");
        }
        for verifications in [4, 5] {
            sign_in(&passwords, &directory, "alice", "wrong").await.unwrap_err();
            assert_eq!(count.load(Ordering::SeqCst), verifications);
        }
    }

    #[tokio::test]
    async fn remembered_password_is_forgotten_when_the_hash_changes() {
        let (passwords, count) = counting();
        let before = Directory::new(vec![hashed("alice", "old")]);
        let after = Directory::new(vec![hashed("alice", "new")]);
        sign_in(&passwords, &before, "alice", "old").await.unwrap();
        let outcome = sign_in(&passwords, &after, "alice", "old").await;
        assert_eq!(outcome, Err(LocalRefusal::Wrong));
        sign_in(&passwords, &after, "alice", "new").await.unwrap();
        assert_eq!(count.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn full_queue_is_busy_for_known_and_unknown_names_alike() {
        let (go_on, gate) = mpsc::channel::<()>();
        let gate = Mutex::new(gate);
        let verify = move |hash: &str, password: &[u8]| {
            // Released one by one, and for good when the sender is dropped.
            let _ = gate.lock().unwrap().recv();
            verify_argon2(hash, password)
        };
        let passwords = Arc::new(Passwords::with(Arc::new(verify), 1).unwrap());
        let directory = Arc::new(Directory::new(vec![
            hashed("alice", "right"),
            plain("bob", "right"),
            hashed("carol", "right"),
        ]));
        go_on.send(()).unwrap();
        sign_in(&passwords, &directory, "carol", "right").await.unwrap();

        let mut waiting = tokio::task::JoinSet::new();
        for _ in 0..=QUEUE_LEN_MAX {
            let (passwords, directory) = (Arc::clone(&passwords), Arc::clone(&directory));
            waiting.spawn(async move { sign_in(&passwords, &directory, "alice", "right").await });
        }
        while passwords.admitted.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        for (username, password) in
            [("alice", "right"), ("alice", "wrong"), ("bob", "wrong"), ("nobody", "right")]
        {
            let outcome = sign_in(&passwords, &directory, username, password).await;
            assert_eq!(outcome, Err(LocalRefusal::Busy), "{username} {password}");
        }
        // Strangers who fill the queue do not keep out those who were right before.
        sign_in(&passwords, &directory, "carol", "right").await.unwrap();
        sign_in(&passwords, &directory, "bob", "right").await.unwrap();

        drop(go_on);
        assert!(waiting.join_all().await.iter().all(Result::is_ok));
        assert_eq!(passwords.admitted.available_permits(), 1 + QUEUE_LEN_MAX);
        let outcome = sign_in(&passwords, &directory, "nobody", "right").await;
        assert_eq!(outcome, Err(LocalRefusal::Wrong));
    }

    #[tokio::test]
    async fn plain_password_is_read_anew_when_its_file_changes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        let source = SecretSource::File(path.clone());
        let directory = Directory::new(vec![settings("alice", LocalPassword::Plain(source))]);
        let passwords = Passwords::new().unwrap();
        let outcome = sign_in(&passwords, &directory, "alice", "first").await;
        assert_eq!(outcome, Err(LocalRefusal::Unreadable), "the file is missing");
        for (password, other) in [("first", "second"), ("second", "first")] {
            std::fs::write(&path, format!("{password}\n")).unwrap();
            sign_in(&passwords, &directory, "alice", password).await.unwrap();
            let outcome = sign_in(&passwords, &directory, "alice", other).await;
            assert_eq!(outcome, Err(LocalRefusal::Wrong));
        }
    }

    #[test]
    fn memory_forgets_the_oldest_when_it_is_full() {
        let tag = |number: usize| {
            let mut tag = Tag::default();
            tag[..8].copy_from_slice(&number.to_be_bytes());
            tag
        };
        let mut remembered = Remembered::default();
        for number in 0..REMEMBERED_MAX {
            remembered.insert(tag(number));
        }
        remembered.insert(tag(0)); // known already: pushes nobody out
        assert!(remembered.tags.contains(&tag(0)));
        remembered.insert(tag(REMEMBERED_MAX));
        assert!(!remembered.tags.contains(&tag(0)) && remembered.tags.contains(&tag(1)));
        assert_eq!(remembered.tags.len(), REMEMBERED_MAX);
        assert_eq!(remembered.order.len(), REMEMBERED_MAX);
    }

    #[test]
    fn unreadable_hash_matches_nothing() {
        for bad in
            ["", "right", "$argon2id$", "$2b$12$abc", "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ"]
        {
            assert!(!verify_argon2(bad, b"right") && !verify_argon2(bad, b""), "{bad}");
        }
    }
}
