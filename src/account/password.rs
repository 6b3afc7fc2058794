//! Local passwords: whether a client is whom it claims to be; and devices that show none, for they
//! are known by their network.
//!
//! In:     a claim, what the listener allows, and whether the peer is on this machine.
//! Out:    the account, or one refusal for everything that is wrong with the claim.
//! Order:  made passwords first, for they cost one HMAC; then what the file says of the account. A
//!         device's user name has made passwords alone, under the device's own name.
//! Limits: as many Argon2 computations at once as the machine has cores, `QUEUE_LEN_MAX` waiting;
//!         `REMEMBERED_MAX` passwords remembered, the oldest forgotten first.
//!
//! No reply tells which accounts exist: whatever is not accepted at once costs one Argon2
//! computation, against a decoy where the account has no hash or there is no account, and hears
//! the same when the queue is full. Accepted at once is only a right password.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::num::NonZero;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordVerifier as _};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::LocalPassword;
use super::device::DeviceSettings;
use super::directory::{Account, Directory};
use super::made::MadePasswords;
pub use super::made::{Listed, Made, MakeError, RandomError};
use crate::clock::unix_time;
use crate::names::{AccountPattern, Username};
use crate::proto::LocalCredentials;
use crate::provider::Protocol;
use crate::secret::{ExposeSecret as _, SecretSource};
use crate::store::{Store, StoreError};

/// Claims that may wait for a core. At 50 ms each on two cores the last one waits 1.6 s.
const QUEUE_LEN_MAX: usize = 64;

/// Right passwords remembered. One takes about 100 bytes.
const REMEMBERED_MAX: usize = 10_000;

/// A client that showed the right local password, or a device that needs none. Made by
/// [`Passwords::sign_in`] and [`Passwords::known_device`] alone.
#[derive(Debug, Clone)]
pub struct SignedIn {
    account: Account,
    /// Cancelled when the made password that it showed is revoked. `None` for one of the file, and
    /// where none was shown.
    revoked: Option<CancellationToken>,
    device: Option<KnownDevice>,
}

/// A device, and what told that it is one.
#[derive(Debug, Clone)]
struct KnownDevice {
    settings: Arc<DeviceSettings>,
    by: KnownBy,
}

/// What tells a device.
#[derive(Debug, Clone)]
enum KnownBy {
    /// The address that it came from.
    Network(IpAddr),
    /// Its user name, with its password.
    Username(Username),
}

impl KnownDevice {
    /// Whether the same device would be told by `directory`, for the same account.
    fn is_still_known(&self, directory: &Directory) -> bool {
        let now = match &self.by {
            KnownBy::Network(address) => directory.device_at(*address),
            KnownBy::Username(username) => directory.devices().called(username),
        };
        now.is_some_and(|now| {
            now.name == self.settings.name && now.account == self.settings.account
        })
    }
}

impl SignedIn {
    /// The account that it may use.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// The device that it is, if it is one.
    pub fn device(&self) -> Option<&Arc<DeviceSettings>> {
        self.device.as_ref().map(|device| &device.settings)
    }

    /// Waits until the password that it showed is revoked. One of the file never is, but by
    /// another file: see [`Self::ended_by`].
    pub async fn revoked(&self) {
        match &self.revoked {
            Some(revoked) => revoked.cancelled().await,
            None => std::future::pending().await,
        }
    }

    /// Why the client must go where the accounts and devices are `directory` now, and its listener
    /// lets in whom `admitted` says; `None` if it may stay.
    pub fn ended_by(&self, directory: &Directory, admitted: Admitted<'_>) -> Option<AccessEnd> {
        if let Some(device) = &self.device
            && !(admitted.devices && device.is_still_known(directory))
        {
            return Some(AccessEnd::DeviceRemoved);
        }
        let Some(account) = directory.find(self.account.name(), admitted.accounts) else {
            return Some(AccessEnd::AccountRemoved);
        };
        let [before, now] = [&self.account, &account].map(|it| &it.settings().local_password);
        let stays = match (&self.revoked, &self.device) {
            (Some(revoked), _) => !revoked.is_cancelled(),
            // It showed no password, so none of the file is its own.
            (None, Some(_)) => true,
            (None, None) => before.is_same_as(now),
        };
        (!stays).then_some(AccessEnd::Revoked)
    }
}

/// Why a client that has signed in may no longer use its account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessEnd {
    /// There is no such account any more, or not for its listener.
    AccountRemoved,
    /// There is no such device any more, or not as it was known: at its address, or by its user
    /// name; or its listener serves none.
    DeviceRemoved,
    /// The password that it showed is good no more.
    Revoked,
}

/// Whom a listener lets in.
#[derive(Debug, Clone, Copy)]
pub struct Admitted<'a> {
    /// The accounts; `None` is all.
    pub accounts: Option<&'a [AccountPattern]>,
    /// Whether devices as well.
    pub devices: bool,
}

/// Where a claim comes from.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// The accounts that the listener allows; `None` is all.
    pub accounts: Option<&'a [AccountPattern]>,
    /// Whether the listener serves devices.
    pub devices: bool,
    /// What is spoken there.
    pub protocol: Protocol,
    /// On which machine the client is.
    pub peer: Peer,
}

impl Origin<'_> {
    /// Whether a device may be let in from here. Devices send, and do nothing else.
    fn serves_devices(self) -> bool {
        self.devices && self.protocol == Protocol::Submission
    }

    /// The device that signs in here by `username`.
    fn device_called<'d>(
        self,
        directory: &'d Directory,
        username: &Username,
    ) -> Option<&'d Arc<DeviceSettings>> {
        directory.devices().called(username).filter(|_| self.serves_devices())
    }
}

/// On which machine a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// On this one: it came from a loopback address.
    ThisMachine,
    /// On any.
    Elsewhere,
}

impl From<IpAddr> for Peer {
    fn from(address: IpAddr) -> Self {
        if address.to_canonical().is_loopback() { Self::ThisMachine } else { Self::Elsewhere }
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

/// Verifies local passwords, remembers those of the file that were right, and makes others.
pub struct Passwords {
    made: MadePasswords,
    /// When each device was last let in. Their names are of the file, so they are bounded.
    used_devices: Mutex<HashMap<Username, Duration>>,
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
    /// Those that `store` keeps, and an empty memory for those of the file.
    ///
    /// # Errors
    /// When the system yields no random numbers.
    pub fn new(store: Store) -> Result<Self, RandomError> {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self::with(store, Arc::new(verify_argon2), cores)
    }

    fn with(store: Store, verify: Verify, cores: usize) -> Result<Self, RandomError> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        Ok(Self {
            made: MadePasswords::new(store),
            used_devices: Mutex::default(),
            verify,
            key: key.map_err(|_| RandomError)?,
            remembered: Mutex::default(),
            admitted: Arc::new(Semaphore::new(cores + QUEUE_LEN_MAX)),
            cores: Arc::new(Semaphore::new(cores)),
        })
    }

    /// Makes a password of `name` and keeps it. Blocks for as long as the disk takes.
    ///
    /// With a `label` it is one more, good for `protocols`, or for submission where there are
    /// none. Without, it is the main one: good for every protocol, and the one before is revoked.
    ///
    /// # Errors
    /// When nothing was made, and the one before is as good as it was.
    pub fn make(
        &self,
        name: &Username,
        label: Option<&str>,
        protocols: &[Protocol],
    ) -> Result<Made, MakeError> {
        self.made.make(name, label, protocols)
    }

    /// Makes the password of the device `name`, good for submission alone, in place of the one
    /// before. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// When nothing was made, and the one before is as good as it was.
    pub fn make_for_device(&self, name: &Username) -> Result<Made, MakeError> {
        self.made.make_for_device(name)
    }

    /// The made passwords of `name`: the main one first, then by label.
    pub fn list(&self, name: &Username) -> Vec<Listed> {
        self.made.list(name)
    }

    /// Revokes the made password of `name` with that label, or the main one; gives whether there
    /// was one. Sessions that signed in by it end. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// When it cannot be written; then it is as good as it was.
    pub fn revoke(&self, name: &Username, label: Option<&str>) -> Result<bool, StoreError> {
        self.made.revoke(name, label)
    }

    /// Whether a password was made for any name that `pattern` covers.
    pub fn any_made_for(&self, pattern: &AccountPattern) -> bool {
        self.made.any_of(pattern)
    }

    /// Judges `claim`, which comes from `origin`.
    ///
    /// # Errors
    /// When the claim is not accepted. The caller answers after the same time whatever the reason.
    pub async fn sign_in(
        &self,
        directory: &Directory,
        origin: Origin<'_>,
        claim: &LocalCredentials,
    ) -> Result<SignedIn, LocalRefusal> {
        let device = origin.device_called(directory, &claim.username);
        let account = match device {
            Some(device) => directory.find(&device.account, origin.accounts),
            None => directory.find(&claim.username, origin.accounts),
        };
        // Looked up whether there is such an account or not.
        let whose = device.map_or(&claim.username, |device| &device.name);
        let password = claim.password.expose_secret();
        let verified = self.made.verify(whose, origin.protocol, password);
        if let (Some(account), Some(verified)) = (&account, verified) {
            let now = unix_time();
            self.made.used(&verified.tag, now);
            let device = device.map(|settings| {
                self.used_device(settings, now);
                let by = KnownBy::Username(claim.username.clone());
                KnownDevice { settings: Arc::clone(settings), by }
            });
            let (account, revoked) = (account.clone(), Some(verified.revoked));
            return Ok(SignedIn { account, revoked, device });
        }
        // What the file says of an account is no password of its devices.
        let account = account.filter(|_| device.is_none());

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
            Some(LocalPassword::Any) => origin.peer == Peer::ThisMachine,
            Some(LocalPassword::None) | None => false,
        };
        if let (true, Some(account)) = (at_once, &account) {
            return Ok(SignedIn { account: account.clone(), revoked: None, device: None });
        }

        let Some(hash) = hash else { return Err(LocalRefusal::Wrong) };
        let right = self.compute(hash, claim).await?;
        match account {
            Some(account) if right && own_hash.is_some() => {
                self.remember(tag);
                Ok(SignedIn { account, revoked: None, device: None })
            }
            Some(_) | None => Err(LocalRefusal::Wrong),
        }
    }

    /// The device at `address`, which needs no password, if `origin` serves devices and lets its
    /// account in. That it was used is recorded.
    pub fn known_device(
        &self,
        directory: &Directory,
        origin: Origin<'_>,
        address: IpAddr,
    ) -> Option<SignedIn> {
        let settings = directory.device_at(address).filter(|_| origin.serves_devices())?;
        let account = directory.find(&settings.account, origin.accounts)?;
        let by = KnownBy::Network(address.to_canonical());
        let device = Some(KnownDevice { settings: Arc::clone(settings), by });
        Some(SignedIn { account, revoked: None, device })
    }

    /// Notes that the device of `access` was let in.
    pub fn let_in(&self, access: &SignedIn) {
        if let Some(device) = access.device() {
            self.used_device(device, unix_time());
        }
    }

    /// When the device of that name was last let in, since 1970, as far back as this process goes.
    pub fn device_last_used_at(&self, device: &Username) -> Option<Duration> {
        self.used_devices().get(device).copied()
    }

    fn used_device(&self, device: &DeviceSettings, now: Duration) {
        self.used_devices().insert(device.name.clone(), now);
    }

    fn used_devices(&self) -> MutexGuard<'_, HashMap<Username, Duration>> {
        self.used_devices.lock().unwrap_or_else(PoisonError::into_inner)
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
mod tests;
