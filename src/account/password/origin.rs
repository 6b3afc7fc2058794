//! Where a claim comes from: what its listener allows, and on which machine the client is.

use std::net::IpAddr;
use std::sync::Arc;

use crate::account::device::DeviceSettings;
use crate::account::directory::Directory;
use crate::names::{AccountPatterns, Username};
use crate::provider::Protocol;

/// Where a claim comes from.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// The accounts that the listener allows; `None` is all.
    pub accounts: Option<&'a AccountPatterns>,
    /// Whether the listener serves devices.
    pub devices: bool,
    /// What is spoken there.
    pub protocol: Protocol,
    /// On which machine the client is.
    pub peer: Peer,
}

impl Origin<'_> {
    /// Whether a device may be let in from here. Devices send, and do nothing else.
    pub(super) fn serves_devices(self) -> bool {
        self.devices && self.protocol == Protocol::Submission
    }

    /// The device that signs in here by `username`.
    pub(super) fn device_called<'d>(
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
