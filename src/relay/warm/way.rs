//! A way to a server: all that decides where a connection leads and how it is made. Two connections
//! of the same way and protocol are as good as each other until somebody signs in.

use std::sync::Arc;

use rustls::ClientConfig;

use crate::net::egress::Egress;
use crate::provider::{MailHost, Mechanism, Provider};
use crate::relay::upstream::{Destination, Server};

/// Where connections lead, and how.
#[derive(Debug, Clone)]
pub(super) struct Way {
    /// The provider's name.
    provider: String,
    pub(super) host: MailHost,
    pub(super) mechanism: Mechanism,
    /// Another one is in force once a `ca_file` has changed.
    tls: Arc<ClientConfig>,
    egress: Arc<Egress>,
}

impl Way {
    /// The one by which an account of `provider` comes to `destination`.
    pub(super) fn of(provider: &Provider, destination: &Destination<'_>) -> Self {
        let Destination { host, tls, egress, mechanism, mailbox: _ } = destination;
        Self {
            provider: provider.name.clone(),
            host: (*host).clone(),
            mechanism: *mechanism,
            tls: Arc::clone(tls),
            egress: Arc::clone(egress),
        }
    }

    /// Whether an account of `provider` comes to `destination` by it.
    pub(super) fn leads(&self, provider: &Provider, destination: &Destination<'_>) -> bool {
        let Destination { host, tls, egress, mechanism, mailbox: _ } = destination;
        self.is_of(provider)
            && self.host == **host
            && self.mechanism == *mechanism
            && Arc::ptr_eq(&self.tls, tls)
            && Arc::ptr_eq(&self.egress, egress)
    }

    /// Whether it is one of `provider`.
    pub(super) fn is_of(&self, provider: &Provider) -> bool {
        self.provider == provider.name
    }

    pub(super) fn server(&self) -> Server<'_> {
        Server { host: &self.host, tls: &self.tls, egress: &self.egress }
    }
}

impl PartialEq for Way {
    fn eq(&self, other: &Self) -> bool {
        let Self { provider, host, mechanism, tls, egress } = other;
        self.provider == *provider
            && self.host == *host
            && self.mechanism == *mechanism
            && Arc::ptr_eq(&self.tls, tls)
            && Arc::ptr_eq(&self.egress, egress)
    }
}
