//! A service: what one configuration brings to the relay. It is never changed, only replaced:
//! each listener, and with it each session, keeps the one that it began with.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use rustls::ClientConfig;

use super::warm::Warm;
use super::{Limits, ListenerSettings};
use crate::account::AccountSettings;
use crate::account::device::DeviceSettings;
use crate::account::directory::Directory;
use crate::account::password::Admitted;
use crate::names::AccountPatterns;
use crate::net::egress::Egress;
use crate::net::tls::TlsError;
use crate::net::tls::certificates::{Certificate, Certificates};
use crate::net::tls::server::CertificateError;
use crate::net::tls::trusted::Trusted;
use crate::provider::Provider;

/// Who is served, and within which limits.
pub struct Service {
    directory: Arc<Directory>,
    /// TLS towards the provider of every account, by its name.
    tls: HashMap<String, Arc<Trusted>>,
    limits: Limits,
    egress: Arc<Egress>,
    /// What the clients of each listener that has TLS are shown, by its name.
    certificates: HashMap<String, Arc<Certificate>>,
    /// Whom each listener lets in, by its name: which accounts, and whether devices.
    admitted: HashMap<String, (Option<Arc<AccountPatterns>>, bool)>,
    /// Connections to its providers that are kept ready.
    warm: Warm,
}

/// Why a configuration cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// TLS towards a provider cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// What a listener's clients are to be shown cannot be.
    #[error("listeners.{listener}.certificate: {source}")]
    Certificate {
        /// The listener's name in the file.
        listener: String,
        /// What is wrong.
        source: CertificateError,
    },
}

impl Service {
    /// Serves `accounts` and `devices` at `listeners`, with their certificates from `certificates`,
    /// and leaves by `egress`. Blocks while files are read.
    ///
    /// # Errors
    /// When a provider's `ca_file` or a listener's certificate cannot be used, or there are no
    /// authorities to trust at all.
    pub fn new(
        accounts: Vec<AccountSettings>,
        devices: Vec<DeviceSettings>,
        listeners: &[ListenerSettings],
        limits: Limits,
        egress: Arc<Egress>,
        certificates: &mut Certificates,
    ) -> Result<Self, ServiceError> {
        let mut tls = HashMap::new();
        for AccountSettings { provider, .. } in &accounts {
            if !tls.contains_key(&provider.name) {
                let trusted = certificates.trust(provider.ca_file.as_deref())?;
                tls.insert(provider.name.clone(), trusted);
            }
        }
        let mut shown = HashMap::new();
        for ListenerSettings { name, tls, .. } in listeners {
            if let Some(files) = tls.files() {
                let certificate = certificates.read(files).map_err(|source| {
                    ServiceError::Certificate { listener: name.clone(), source }
                })?;
                shown.insert(name.clone(), certificate);
            }
        }
        let of_listener = |it: &ListenerSettings| (it.accounts.clone(), it.devices);
        let admitted = listeners.iter().map(|it| (it.name.clone(), of_listener(it))).collect();
        let directory = Arc::new(Directory::new(accounts, devices));
        let warm = Warm::new(limits.warm_connections);
        Ok(Self { directory, tls, limits, egress, certificates: shown, admitted, warm })
    }

    /// Its accounts.
    pub fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// The names of its accounts' providers.
    pub(super) fn providers(&self) -> impl Iterator<Item = &str> {
        self.tls.keys().map(String::as_str)
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// How connections to mail servers leave this machine.
    pub(super) fn egress(&self) -> &Arc<Egress> {
        &self.egress
    }

    #[expect(
        clippy::expect_used,
        reason = "accounts come from the settings that `new` went through"
    )]
    pub(super) fn tls(&self, provider: &Provider) -> Arc<ClientConfig> {
        self.tls.get(&provider.name).expect("every account's provider has its TLS").config()
    }

    /// TLS towards `provider`, if an account has that one.
    pub(super) fn known_tls(&self, provider: &Provider) -> Option<Arc<ClientConfig>> {
        self.tls.get(&provider.name).map(|trusted| trusted.config())
    }

    /// What the clients of the listener of that name are shown, if it has TLS.
    pub(super) fn certificate(&self, listener: &str) -> Option<Arc<Certificate>> {
        self.certificates.get(listener).cloned()
    }

    /// Connections to its providers that are kept ready.
    pub(super) fn warm(&self) -> &Warm {
        &self.warm
    }

    /// Whom the listener of that name lets in, if there is one.
    pub(super) fn admitted(&self, listener: &str) -> Option<Admitted<'_>> {
        let (accounts, devices) = self.admitted.get(listener)?;
        Some(Admitted { accounts: accounts.as_deref(), devices: *devices })
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("limits", &self.limits).finish_non_exhaustive()
    }
}
