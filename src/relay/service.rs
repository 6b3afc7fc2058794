//! A service: what one configuration brings to the relay. It is never changed, only replaced:
//! each listener, and with it each session, keeps the one that it began with.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use rustls::ClientConfig;

use super::{Limits, ListenerSettings};
use crate::account::AccountSettings;
use crate::account::directory::Directory;
use crate::names::AccountPattern;
use crate::net::tls::{self, TlsError};
use crate::provider::Provider;

/// Who is served, and within which limits.
pub struct Service {
    directory: Arc<Directory>,
    /// TLS towards the provider of every account, by its name.
    tls: HashMap<String, Arc<ClientConfig>>,
    limits: Limits,
    /// Which accounts each listener lets in, by its name.
    allowed: HashMap<String, Option<Vec<AccountPattern>>>,
}

impl Service {
    /// Serves `accounts` at `listeners`. Blocks while certificates are read.
    ///
    /// # Errors
    /// When a provider's `ca_file` cannot be used, or there are no certificates to trust at all.
    pub fn new(
        accounts: Vec<AccountSettings>,
        listeners: &[ListenerSettings],
        limits: Limits,
    ) -> Result<Self, TlsError> {
        let mut tls = HashMap::new();
        for AccountSettings { provider, .. } in &accounts {
            if !tls.contains_key(&provider.name) {
                tls.insert(provider.name.clone(), tls::trust(provider.ca_file.as_deref())?);
            }
        }
        let allowed = listeners.iter().map(|it| (it.name.clone(), it.accounts.clone())).collect();
        Ok(Self { directory: Arc::new(Directory::new(accounts)), tls, limits, allowed })
    }

    /// Its accounts.
    pub fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    #[expect(
        clippy::expect_used,
        reason = "accounts come from the settings that `new` went through"
    )]
    pub(super) fn tls(&self, provider: &Provider) -> Arc<ClientConfig> {
        Arc::clone(self.tls.get(&provider.name).expect("every account's provider has its TLS"))
    }

    /// Which accounts the listener of that name lets in, if there is one.
    pub(super) fn allowed(&self, listener: &str) -> Option<Option<&[AccountPattern]>> {
        self.allowed.get(listener).map(|allowed| allowed.as_deref())
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("limits", &self.limits).finish_non_exhaustive()
    }
}
