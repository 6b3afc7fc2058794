//! What a client was let in as, and how long that holds.
//!
//! In:  the accounts and devices of another configuration, and whom the listener lets in by it.
//! Out: whether the client may stay, or why not. A revoked password is told of at once.

use std::net::IpAddr;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::account::device::DeviceSettings;
use crate::account::directory::{Account, Directory};
use crate::names::{AccountPatterns, Username};

/// A client that showed the right local password, or a device that needs none. Made by
/// [`Passwords::sign_in`](super::Passwords::sign_in) and
/// [`Passwords::known_device`](super::Passwords::known_device) alone.
#[derive(Debug, Clone)]
pub struct SignedIn {
    pub(super) account: Account,
    /// Cancelled when the made password that it showed is revoked. `None` for one of the file, and
    /// where none was shown.
    pub(super) revoked: Option<CancellationToken>,
    pub(super) device: Option<KnownDevice>,
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

    /// Whether the password that it showed was revoked.
    pub fn is_revoked(&self) -> bool {
        self.revoked.as_ref().is_some_and(CancellationToken::is_cancelled)
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
    pub accounts: Option<&'a AccountPatterns>,
    /// Whether devices as well.
    pub devices: bool,
}

/// A device, and what told that it is one.
#[derive(Debug, Clone)]
pub(super) struct KnownDevice {
    pub(super) settings: Arc<DeviceSettings>,
    pub(super) by: KnownBy,
}

/// What tells a device.
#[derive(Debug, Clone)]
pub(super) enum KnownBy {
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
