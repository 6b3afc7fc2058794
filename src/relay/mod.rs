//! The relay: sessions from accept to close.

mod downstream;
mod limits;
pub mod listener;
mod outcome;
mod protocol;
mod records;
mod session;
mod splice;
mod upstream;

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ipnet::IpNet;
use rustls::ClientConfig;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::account::AccountSettings;
use crate::account::directory::Directory;
use crate::account::password::{LocalRefusal, Passwords, RandomError, SignedIn};
use crate::names::AccountPattern;
use crate::net::listen::ListenAddress;
use crate::net::tls::{self, TlsError};
use crate::oauth::Tokens;
use crate::proto::{Claim, Farewell};
use crate::provider::{MailHost, Protocol, Provider};
use crate::store::Store;
use limits::{Place, SessionLimits};
use records::Records;

/// One `[listeners.…]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerSettings {
    /// Its name in the file.
    pub name: String,
    /// What is spoken there.
    pub protocol: Protocol,
    /// Where it listens; at least one.
    pub addresses: Vec<ListenAddress>,
    /// Networks that may connect.
    pub allow: Vec<IpNet>,
    /// Which accounts may sign in; `None` is all.
    pub accounts: Option<Vec<AccountPattern>>,
    /// The server to use instead of the provider's.
    pub upstream: Option<MailHost>,
}

/// The `[limits]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The client's own time from accept to its credentials.
    pub sign_in_timeout: Duration,
    /// How long no byte may pass either way after sign-in.
    pub idle_timeout: Duration,
    /// Sessions at once.
    pub sessions: usize,
    /// Sessions of one address that have not signed in.
    pub sessions_per_peer: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sign_in_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(35 * 60),
            sessions: 10_000,
            sessions_per_peer: 100,
        }
    }
}

/// How a relay is told to stop.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Accept nobody, send away who has not signed in, let the rest finish.
    pub drain: CancellationToken,
    /// End every session now.
    pub cut: CancellationToken,
}

/// What all sessions share.
pub struct Relay {
    directory: Directory,
    passwords: Passwords,
    tokens: Tokens,
    /// TLS towards the provider of every account, by its name.
    tls: HashMap<String, Arc<ClientConfig>>,
    limits: Limits,
    places: SessionLimits,
    records: Records,
    sessions: TaskTracker,
    shutdown: Shutdown,
    last_id: AtomicU64,
}

/// Why there is no relay.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// TLS towards a provider cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Local passwords cannot be kept secret.
    #[error(transparent)]
    Random(#[from] RandomError),
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Relay {
    /// A relay for `accounts`.
    ///
    /// # Errors
    /// When a provider's `ca_file` cannot be used, or there are no certificates to trust at all, or
    /// no random numbers.
    pub fn new(
        accounts: &[AccountSettings],
        limits: Limits,
        shutdown: Shutdown,
    ) -> Result<Self, RelayError> {
        let mut tls = HashMap::new();
        for AccountSettings { provider, .. } in accounts {
            if !tls.contains_key(&provider.name) {
                tls.insert(provider.name.clone(), tls::trust(provider.ca_file.as_deref())?);
            }
        }
        Ok(Self {
            directory: Directory::new(accounts.to_vec()),
            passwords: Passwords::new()?,
            tokens: Tokens::new(Store::in_memory()),
            tls,
            places: SessionLimits::new(limits.sessions, limits.sessions_per_peer),
            limits,
            records: Records::default(),
            sessions: TaskTracker::new(),
            shutdown,
            last_id: AtomicU64::new(0),
        })
    }

    /// The sessions that run.
    pub fn sessions(&self) -> &TaskTracker {
        &self.sessions
    }

    async fn sign_in(
        &self,
        accounts: Option<&[AccountPattern]>,
        claim: &Claim,
    ) -> Result<SignedIn, LocalRefusal> {
        self.passwords.sign_in(&self.directory, accounts, claim).await
    }

    #[expect(
        clippy::expect_used,
        reason = "accounts come from the settings that `new` went through"
    )]
    fn tls(&self, provider: &Provider) -> Arc<ClientConfig> {
        Arc::clone(self.tls.get(&provider.name).expect("every account's provider has its TLS"))
    }

    fn admit(&self, peer: IpAddr) -> Result<Place, Farewell> {
        self.places.admit(peer)
    }

    /// A session id: short, and unique while the process runs.
    fn next_id(&self) -> String {
        format!("{:04x}", self.last_id.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn records(&self) -> &Records {
        &self.records
    }

    fn drain(&self) -> &CancellationToken {
        &self.shutdown.drain
    }

    fn cut(&self) -> &CancellationToken {
        &self.shutdown.cut
    }
}
