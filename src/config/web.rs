//! `[web]`: the page, and where it is reached.

use std::path::PathBuf;

use ipnet::IpNet;

use crate::net::listen::ListenAddress;
use crate::secret::SecretSource;

/// The `[web]` table.
#[derive(Debug, Clone, Default)]
pub struct WebSettings {
    /// The page; none where `address` is "off".
    pub page: Option<PageSettings>,
    /// `public_url`: where browsers reach the page, without a slash at its end.
    pub public_url: Option<String>,
}

/// The page.
#[derive(Debug, Clone)]
pub struct PageSettings {
    /// Where it listens.
    pub addresses: Vec<ListenAddress>,
    /// Certificate and private key (PEM); without them it speaks clear http.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Proxies that may speak for a client, and do TLS for it.
    pub behind_proxy: Vec<IpNet>,
    /// What whoever uses it has to show.
    pub admin_token: Option<SecretSource>,
}
