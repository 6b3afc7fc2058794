//! Egress: how connections leave this machine, by which proxy and from which address.
//!
//! A proxy's URL may hold a password, so it is read like any secret: at each use where it is a file
//! or a program. Nothing here prints it.

mod http_connect;
mod problem;
mod proxy;
mod socks5;

use std::net::IpAddr;

pub use self::problem::{ProxyError, ProxyProblem};
pub use self::proxy::{Proxy, ProxyUse, UnfitProxy};
use crate::net::network::is_this_machine;
use crate::net::resolver::Resolver;
use crate::secret::{SecretError, SecretSource};

/// The `[egress]` table.
#[derive(Debug, Clone, Default)]
pub struct Egress {
    /// The URL of the proxy of token requests; without one, that of the environment variables.
    pub http_proxy: Option<SecretSource>,
    /// The URL of the proxy to mail servers.
    pub mail_proxy: Option<SecretSource>,
    /// Where connections come from.
    pub bind: Option<IpAddr>,
    /// Finds what is dialled. It is not in the file.
    pub resolver: Resolver,
}

/// Why a proxy cannot be used that the configuration names.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// Its URL cannot be had.
    #[error("`{key}`: {source}; {}", .source.fix())]
    Secret {
        /// The key in the configuration.
        key: &'static str,
        /// Why not.
        source: SecretError,
    },
    /// What was read is no such URL.
    #[error("`{key}` {source}: {}", .source.fix())]
    Unfit {
        /// The key in the configuration.
        key: &'static str,
        /// What is wrong with it.
        source: UnfitProxy,
    },
}

impl Egress {
    /// The proxy that token requests go through, if the configuration names one. Blocks as
    /// [`SecretSource::read`] does.
    ///
    /// # Errors
    /// When its URL cannot be had.
    pub fn http_proxy(&self) -> Result<Option<Proxy>, EgressError> {
        self.http_proxy.as_ref().map(|url| read(url, ProxyUse::Http)).transpose()
    }

    /// The proxy to the mail server `host`, if there is one. A server on this machine is not reached
    /// through a proxy, which would look for it on its own.
    ///
    /// # Errors
    /// When its URL cannot be had.
    pub async fn mail_proxy(&self, host: &str) -> Result<Option<Proxy>, EgressError> {
        let Some(url) = self.mail_proxy.as_ref().filter(|_| !is_this_machine(host)) else {
            return Ok(None);
        };
        if !url.blocks() {
            return read(url, ProxyUse::Mail).map(Some);
        }
        let source = url.clone();
        let reading = tokio::task::spawn_blocking(move || read(&source, ProxyUse::Mail));
        // It is cut off only when the program ends.
        reading.await.unwrap_or_else(|_| read(url, ProxyUse::Mail)).map(Some)
    }

    /// Where a connection to `peer` comes from: `Err` where it cannot come from `bind`, which is of
    /// the other family. One to this machine itself comes from this machine, unless `bind` says just
    /// that.
    ///
    /// # Errors
    /// The address that does not fit.
    pub fn source(&self, peer: IpAddr) -> Result<Option<IpAddr>, IpAddr> {
        match self.bind {
            Some(bind) if peer.is_loopback() && !bind.is_loopback() => Ok(None),
            Some(bind) if bind.is_ipv4() != peer.is_ipv4() => Err(bind),
            bind => Ok(bind),
        }
    }
}

fn read(url: &SecretSource, of: ProxyUse) -> Result<Proxy, EgressError> {
    let key = of.key();
    let url = url.read().map_err(|source| EgressError::Secret { key, source })?;
    Proxy::take(&url, of).map_err(|source| EgressError::Unfit { key, source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::SecretString;

    fn value(url: &str) -> Option<SecretSource> {
        Some(SecretSource::Value(SecretString::from(url)))
    }

    #[tokio::test]
    async fn mail_server_on_this_machine_is_reached_without_the_proxy() {
        let egress = Egress { mail_proxy: value("socks5://proxy.example"), ..Egress::default() };
        for host in ["localhost", "LOCALHOST.", "127.0.0.1", "127.9.9.9", "::1"] {
            assert!(egress.mail_proxy(host).await.unwrap().is_none(), "{host}");
        }
        for host in ["smtp.example", "localhost.example", "192.0.2.1", "2001:db8::1"] {
            let proxy = egress.mail_proxy(host).await.unwrap().unwrap();
            assert_eq!(proxy.to_string(), "proxy.example:1080", "{host}");
        }
    }

    #[tokio::test]
    async fn url_in_a_file_is_read_again_when_it_has_changed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("proxy");
        let egress =
            Egress { mail_proxy: Some(SecretSource::File(path.clone())), ..Egress::default() };
        for (url, proxy) in [("socks5://one.example\n", "one"), ("http://two.example:1\n", "two")] {
            std::fs::write(&path, url).unwrap();
            let read = egress.mail_proxy("smtp.example").await.unwrap().unwrap();
            assert!(read.to_string().starts_with(proxy), "{read}");
        }
        std::fs::write(&path, "socks5://u:tell-nobody@two words").unwrap();
        let error = egress.mail_proxy("smtp.example").await.unwrap_err();
        let told = format!("{error} {error:?}");
        assert!(told.starts_with("`egress.mail_proxy` "), "{told}");
        assert!(!told.contains("tell-nobody"), "{told}");
        std::fs::remove_file(&path).unwrap();
        let error = egress.mail_proxy("smtp.example").await.unwrap_err().to_string();
        assert!(error.contains("cannot be read"), "{error}");
    }

    #[test]
    fn source_is_of_the_peers_family_and_not_used_towards_this_machine() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let source = |bind: &str, peer: &str| {
            Egress { bind: Some(address(bind)), ..Egress::default() }.source(address(peer))
        };
        let bind = "192.0.2.1";
        assert_eq!(source(bind, "198.51.100.1"), Ok(Some(address(bind))));
        assert_eq!(source(bind, "2001:db8::1"), Err(address(bind)));
        assert_eq!(source("2001:db8::2", "198.51.100.1"), Err(address("2001:db8::2")));
        assert_eq!(source("0.0.0.0", "2001:db8::1"), Err(address("0.0.0.0")));
        assert_eq!(source(bind, "127.0.0.1"), Ok(None));
        assert_eq!(source(bind, "::1"), Ok(None));
        assert_eq!(source("127.0.0.2", "127.0.0.1"), Ok(Some(address("127.0.0.2"))));
        assert_eq!(Egress::default().source(address("::1")), Ok(None));
    }
}
