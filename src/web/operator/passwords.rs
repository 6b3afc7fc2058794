//! The local passwords of accounts and devices, as an operator makes, lists and revokes them.

use std::sync::Arc;

use tracing::info;

use super::{Operator, OperatorError, blocking};
use crate::account::device::DeviceSettings;
use crate::account::password::{Listed, Made};
use crate::names::Username;
use crate::provider::Protocol;

impl Operator {
    /// Makes a local password for `name`: an account, an address that a wildcard covers, or a device.
    /// In place of its main one, or one more, which `label` tells from the others; a device has
    /// one alone, good for submission.
    ///
    /// # Errors
    /// When there is nobody of that name, it is a device that never signs in, protocols are named for
    /// a main password, which is for all, the label cannot be or is taken, or nothing can be written.
    pub async fn make_password(
        &self,
        name: &Username,
        label: Option<String>,
        protocols: Vec<Protocol>,
    ) -> Result<Made, OperatorError> {
        if let Some(device) = self.device(name) {
            return self.make_device_password(&device, label.is_some(), &protocols).await;
        }
        let account = self.account(name)?.name().clone();
        if label.is_none() && !protocols.is_empty() {
            return Err(OperatorError::MainPassword { account });
        }
        let passwords = Arc::clone(&self.passwords);
        let (name, named) = (account.clone(), label.clone());
        let made = blocking(move || passwords.make(&name, named.as_deref(), &protocols)).await??;
        let replaced = made.replaced;
        info!(account = account.as_str(), label, replaced, "local password made");
        Ok(made)
    }

    async fn make_device_password(
        &self,
        device: &DeviceSettings,
        is_labelled: bool,
        protocols: &[Protocol],
    ) -> Result<Made, OperatorError> {
        let name = device.name.clone();
        if device.username.is_none() {
            return Err(OperatorError::NoDeviceUsername { device: name });
        }
        if is_labelled || protocols.iter().any(|protocol| *protocol != Protocol::Submission) {
            return Err(OperatorError::OneDevicePassword { device: name });
        }
        let passwords = Arc::clone(&self.passwords);
        let made = blocking(move || passwords.make_for_device(&name)).await??;
        info!(device = device.name.as_str(), replaced = made.replaced, "local password made");
        Ok(made)
    }

    /// The local passwords that were made for `name`. One that is no account and no device any more
    /// may still have some.
    ///
    /// # Errors
    /// When there are none and there is nobody of that name.
    pub async fn passwords(&self, name: &Username) -> Result<Vec<Listed>, OperatorError> {
        let (kept, whose) = (Arc::clone(&self.passwords), name.clone());
        let passwords = blocking(move || kept.list(&whose)).await?;
        if passwords.is_empty() && self.device(name).is_none() {
            self.account(name)?;
        }
        Ok(passwords)
    }

    /// Ends the local password of `name` that has `label`.
    ///
    /// # Errors
    /// When there is none, or that cannot be written.
    pub async fn revoke_password(
        &self,
        name: &Username,
        label: Option<String>,
    ) -> Result<(), OperatorError> {
        let passwords = Arc::clone(&self.passwords);
        let (whose, labelled) = (name.clone(), label.clone());
        if !blocking(move || passwords.revoke(&whose, labelled.as_deref())).await?? {
            return Err(OperatorError::NoSuchPassword { name: name.clone(), label });
        }
        match self.device(name) {
            Some(device) => info!(device = device.name.as_str(), "local password revoked"),
            None => info!(account = name.as_str(), label, "local password revoked"),
        }
        Ok(())
    }
}
