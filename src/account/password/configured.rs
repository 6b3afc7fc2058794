//! The local passwords of the file: verified, and remembered where they were right.
//!
//! In:     what the file says of an account, if there is one, and a claim. Out: whether it is right.
//! Limits: as many Argon2 computations at once as the machine has cores, `QUEUE_LEN_MAX` waiting;
//!         `REMEMBERED_MAX` passwords remembered, the oldest forgotten first.
//!
//! Whatever is not accepted at once costs one Argon2 computation, against a decoy where the account
//! has no hash or there is no account, and hears the same when the queue is full. Accepted at once is
//! only a right password.

use std::collections::{HashSet, VecDeque};
use std::num::NonZero;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordVerifier as _};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::warn;

use super::{LocalRefusal, Peer, RandomError};
use crate::account::LocalPassword;
use crate::proto::LocalCredentials;
use crate::secret::{ExposeSecret as _, SecretSource, SecretString};

/// Claims that may wait for a core. At 50 ms each on two cores the last one waits 1.6 s.
const QUEUE_LEN_MAX: usize = 64;

/// Right passwords remembered. One takes about 100 bytes.
const REMEMBERED_MAX: usize = 10_000;

/// Verifies claims by what the file says.
pub(super) struct ConfiguredPasswords {
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
pub(super) type Verify = Arc<dyn Fn(&str, &[u8]) -> bool + Send + Sync>;

impl ConfiguredPasswords {
    /// With an empty memory.
    ///
    /// # Errors
    /// When the system yields no random numbers.
    pub(super) fn new() -> Result<Self, RandomError> {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self::with(Arc::new(verify_argon2), cores)
    }

    pub(super) fn with(verify: Verify, cores: usize) -> Result<Self, RandomError> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        Ok(Self {
            verify,
            key: key.map_err(|_| RandomError)?,
            remembered: Mutex::default(),
            admitted: Arc::new(Semaphore::new(cores + QUEUE_LEN_MAX)),
            cores: Arc::new(Semaphore::new(cores)),
        })
    }

    /// Whether `claim`, of a client on `peer`, shows what is `expected` of its account. Nothing is
    /// of one that is not there: then the claim is wrong, at the same cost.
    ///
    /// # Errors
    /// When nobody can tell now. It is never [`LocalRefusal::Wrong`].
    pub(super) async fn accept(
        &self,
        expected: Option<&LocalPassword>,
        decoy: Option<&SecretString>,
        peer: Peer,
        claim: &LocalCredentials,
    ) -> Result<bool, LocalRefusal> {
        let own_hash = match expected {
            Some(LocalPassword::Hash(hash)) => Some(hash),
            Some(LocalPassword::Plain(_) | LocalPassword::Any | LocalPassword::None) | None => None,
        };
        let hash = own_hash.or(decoy).map(|hash| hash.expose_secret());
        let tag = self.tag(claim, hash.unwrap_or_default());

        let at_once = match expected {
            Some(LocalPassword::Hash(_)) => self.remembered().tags.contains(&tag),
            Some(LocalPassword::Plain(source)) => self.matches(source, claim).await?,
            Some(LocalPassword::Any) => peer == Peer::ThisMachine,
            Some(LocalPassword::None) | None => false,
        };
        if at_once {
            return Ok(true);
        }

        let Some(hash) = hash else { return Ok(false) };
        let is_right = self.compute(hash, claim).await? && own_hash.is_some();
        if is_right {
            self.remembered().insert(tag);
        }
        Ok(is_right)
    }

    /// Verifies the claim's password against a PHC string on the bounded pool.
    async fn compute(&self, hash: &str, claim: &LocalCredentials) -> Result<bool, LocalRefusal> {
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
    async fn matches(
        &self,
        source: &SecretSource,
        claim: &LocalCredentials,
    ) -> Result<bool, LocalRefusal> {
        let read = if source.blocks() {
            let source = source.clone();
            tokio::task::spawn_blocking(move || source.read()).await
        } else {
            Ok(source.read())
        };
        let expected = match read {
            Ok(Ok(expected)) => expected,
            Ok(Err(error)) => {
                let account = claim.username.as_str();
                warn!(account, error = error.to_string(), hint = error.fix(), "no local password");
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
    fn tag(&self, claim: &LocalCredentials, hash: &str) -> Tag {
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

    fn remembered(&self) -> MutexGuard<'_, Remembered> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
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
pub(super) fn verify_argon2(hash: &str, password: &[u8]) -> bool {
    PasswordHash::new(hash)
        .is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok())
}

#[cfg(test)]
mod tests;
