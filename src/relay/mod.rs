//! The relay: sessions from accept to close.

use std::time::Duration;

use ipnet::IpNet;

use crate::names::AccountPattern;
use crate::net::listen::ListenAddress;
use crate::provider::{MailHost, Protocol};

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
