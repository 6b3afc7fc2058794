//! Where DNS says that the mail of a domain goes.
//!
//! In:  a domain. Out: names of hosts, at most `NAMES_MAX`, as the name server has them.
//! They are a stranger's words: compare them with what is known, and do not repeat them.

use std::net::SocketAddr;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use tokio::time::timeout;

/// How long one question may take, repetitions included: somebody waits at a terminal.
const PATIENCE: Duration = Duration::from_secs(3);

/// How many names of an answer are looked at: more than any domain has exchangers.
const NAMES_MAX: usize = 32;

/// Who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameServer {
    /// Those of the system (`/etc/resolv.conf`).
    System,
    /// This one.
    At(SocketAddr),
}

/// Asks for where mail goes.
pub struct Exchangers(TokioResolver);

/// There is nobody to ask, or no way to.
#[derive(Debug, thiserror::Error)]
#[error("no name server can be asked: see /etc/resolv.conf")]
pub struct NoNameServer;

impl Exchangers {
    /// Asks `server`.
    ///
    /// # Errors
    /// When the system knows no name server.
    pub fn new(server: NameServer) -> Result<Self, NoNameServer> {
        let builder = match server {
            NameServer::System => TokioResolver::builder_tokio().map_err(|_| NoNameServer)?,
            NameServer::At(address) => {
                let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
                for connection in &mut connections {
                    connection.port = address.port();
                }
                let server = NameServerConfig::new(address.ip(), true, connections);
                let config = ResolverConfig::from_name_servers(vec![server]);
                TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            }
        };
        builder.build().map(Self).map_err(|_| NoNameServer)
    }

    /// The mail exchangers of `domain`, the preferred ones first; none if nobody knows them in
    /// time.
    pub async fn of(&self, domain: &str) -> Vec<String> {
        let found = self.ask(domain, RecordType::MX, |data| {
            let RData::MX(mx) = data else { return None };
            Some((mx.preference, mx.exchange.to_ascii()))
        });
        let mut found = found.await;
        found.sort();
        found.into_iter().map(|(_, host)| host).collect()
    }

    /// For what name `name` is another one, if it is.
    pub async fn alias(&self, name: &str) -> Option<String> {
        let aliases = self.ask(name, RecordType::CNAME, |data| {
            let RData::CNAME(alias) = data else { return None };
            Some(alias.0.to_ascii())
        });
        aliases.await.into_iter().next()
    }

    async fn ask<T>(
        &self,
        name: &str,
        kind: RecordType,
        pick: impl Fn(&RData) -> Option<T>,
    ) -> Vec<T> {
        // From the root on: a domain of the person's own search list is not meant.
        let Ok(mut name) = Name::from_ascii(name) else { return Vec::new() };
        name.set_fqdn(true);
        match timeout(PATIENCE, self.0.lookup(name, kind)).await {
            Ok(Ok(found)) => {
                found.answers().iter().take(NAMES_MAX).filter_map(|it| pick(&it.data)).collect()
            }
            Ok(Err(_)) | Err(_) => Vec::new(),
        }
    }
}
