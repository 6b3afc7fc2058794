//! Local passwords: whether a client is whom it claims to be; and devices that show none, for they
//! are known by their network.
//!
//! In:    a claim, what the listener allows, and whether the peer is on this machine.
//! Out:   the account, or one refusal for everything that is wrong with the claim.
//! Order: made passwords first, for they cost one HMAC; then what the file says of the account. A
//!        device's user name has made passwords alone, under the device's own name.
//!
//! No reply tells which accounts exist: a claim to be nobody's is looked up and verified as another.

mod access;
mod configured;
mod origin;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use self::access::{AccessEnd, Admitted, SignedIn};
use self::access::{KnownBy, KnownDevice};
use self::configured::ConfiguredPasswords;
pub use self::origin::{Origin, Peer};
use super::device::DeviceSettings;
use super::directory::Directory;
use super::made::MadePasswords;
pub use super::made::{Listed, Made, MakeError, RandomError};
use crate::clock::unix_time;
use crate::names::Username;
use crate::proto::LocalCredentials;
use crate::provider::Protocol;
use crate::secret::ExposeSecret as _;
use crate::store::{Store, StoreError};

/// Verifies local passwords and makes them, and knows when devices were let in.
pub struct Passwords {
    made: MadePasswords,
    configured: ConfiguredPasswords,
    /// When each device was last let in. Their names are of the file, so they are bounded.
    used_devices: Mutex<HashMap<Username, Duration>>,
}

impl Passwords {
    /// Those that `store` keeps, and an empty memory for those of the file.
    ///
    /// # Errors
    /// When the system yields no random numbers.
    pub fn new(store: Store) -> Result<Self, RandomError> {
        Ok(Self::with(store, ConfiguredPasswords::new()?))
    }

    fn with(store: Store, configured: ConfiguredPasswords) -> Self {
        Self { made: MadePasswords::new(store), configured, used_devices: Mutex::default() }
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

    /// The names that a password was made for.
    pub fn names(&self) -> HashSet<Username> {
        self.made.names()
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
        let name = device.map_or(&claim.username, |device| &device.account);
        let account = directory.find(name, origin.accounts);
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
        let expected = account.as_ref().map(|account| &account.settings().local_password);
        let decoy = directory.decoy();
        let is_right = self.configured.accept(expected, decoy, origin.peer, claim).await?;
        let account = account.filter(|_| is_right).ok_or(LocalRefusal::Wrong)?;
        Ok(SignedIn { account, revoked: None, device: None })
    }

    /// The device at `address`, which needs no password, if `origin` serves devices and lets its
    /// account in. It is not let in yet, so that is not noted: see [`Self::let_in`].
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
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passwords").finish_non_exhaustive()
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

#[cfg(test)]
mod tests;
