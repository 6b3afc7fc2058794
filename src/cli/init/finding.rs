//! Finding the provider of a mailbox by its domain.

use std::time::Duration;

use tokio::time::timeout;

use crate::net::exchangers::{Exchangers, NameServer};
use crate::provider::finder;

/// How long DNS may take in all: somebody waits, and asking them is no hardship.
const PATIENCE: Duration = Duration::from_secs(3);

/// By what a provider was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Domain,
    Exchanger,
    Autodiscover,
}

impl By {
    /// The reason, as the end of a sentence.
    pub(super) fn told(self) -> &'static str {
        match self {
            Self::Domain => "by its domain",
            Self::Exchanger => "by the MX records of its domain",
            Self::Autodiscover => "by the autodiscover name of its domain",
        }
    }
}

/// The built-in provider of mailboxes of `domain`, if it can be told: by the domain, then by its mail
/// exchangers, then by its autodiscover name. A name server that does not answer is no error.
pub(super) fn find(domain: &str, server: NameServer) -> Option<(&'static str, By)> {
    if let Some(provider) = finder::of_domain(domain) {
        return Some((provider, By::Domain));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let found = runtime.block_on(async { timeout(PATIENCE, ask(domain, server)).await });
    // A question on its way is given up; nobody waits for its thread.
    runtime.shutdown_background();
    found.ok().flatten()
}

async fn ask(domain: &str, server: NameServer) -> Option<(&'static str, By)> {
    let exchangers = Exchangers::new(server).ok()?;
    let hosts = exchangers.of(domain).await;
    if let Some(provider) = hosts.iter().find_map(|host| finder::of_exchanger(host)) {
        return Some((provider, By::Exchanger));
    }
    let alias = exchangers.alias(&format!("autodiscover.{domain}")).await?;
    Some((finder::of_autodiscover(&alias)?, By::Autodiscover))
}
