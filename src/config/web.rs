//! `[web]`: the page, where it is reached, and the probes.

use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use reqwest::Url;

use crate::net::listen::ListenAddress;
use crate::oauth;
use crate::secret::{SecretSource, is_long_enough};

use super::certificate::Pair;
use super::door::{address, is_loopback};
use super::field::Field;
use super::file::Reported;
use super::listeners::{At, Listener, network};
use super::relations::collide;
use super::secrets::Secrets;
use super::table::Table;

/// The `[web]` table.
#[derive(Debug, Clone, Default)]
pub struct WebSettings {
    /// The page; none where `address` is "off".
    pub page: Option<PageSettings>,
    /// Where the probes are answered; nowhere if they are off.
    pub probes: Vec<ListenAddress>,
    /// `public_url`: where browsers reach the page, without a slash at its end.
    pub public_url: Option<String>,
}

impl WebSettings {
    /// Where the page listens; nowhere if it is off.
    pub fn addresses(&self) -> &[ListenAddress] {
        self.page.as_ref().map_or(&[], |page| &page.addresses)
    }
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

/// The keys that say something about the page.
const PAGE_KEYS: [&str; 5] =
    ["public_url", "certificate", "private_key", "behind_proxy", "admin_token"];

/// Reads `[web]`. Its addresses are compared with those of the `listeners`.
pub(super) fn read(
    root: &mut Table<'_>,
    listeners: &[Listener<'_>],
) -> Result<WebSettings, Reported> {
    let Some(field) = root.take("web") else { return Ok(WebSettings::default()) };
    let mut table = field.table()?;
    let address = table.read("address", |field| addresses(&field));
    let probes = table.read("probes", |field| addresses(&field));
    let probes = probes.map(Address::into_list);
    if matches!(address, Ok(None | Some(Address::Off))) {
        read_off(table)?;
        let probes = probes?;
        refuse_shared(&probes, listeners)?;
        return Ok(WebSettings { probes: plain(probes), ..WebSettings::default() });
    }
    let public_url = table.read("public_url", |field| PublicUrl::read(&field));
    let pair = Pair::take(&mut table);
    let behind_proxy = table.read("behind_proxy", |field| field.each(proxy));
    let admin_token = table.read("admin_token", |field| admin_token(&field));
    table.finish(&[])?;

    let probes = probes?;
    let (public_url, behind_proxy, admin_token) = (public_url?, behind_proxy?, admin_token?);
    let page = Page {
        addresses: Address::into_list(address?),
        tls: pair.read()?.map(|files| (files.certificate, files.private_key)),
        behind_proxy: behind_proxy.unwrap_or_default().into_iter().map(|(_, it)| it).collect(),
        admin_token,
        field,
    };
    let checked = page.check(public_url.as_ref(), listeners);
    let checked = checked.and(refuse_shared(&probes, listeners));
    checked.and(page.refuse_shared_with(&probes))?;
    Ok(WebSettings {
        page: Some(PageSettings {
            addresses: plain(page.addresses),
            tls: page.tls,
            behind_proxy: page.behind_proxy,
            admin_token: page.admin_token,
        }),
        probes: plain(probes),
        public_url: public_url.map(|url| url.origin),
    })
}

/// Reads `web.probes` alone.
pub(super) fn read_probes(root: &mut Table<'_>) -> Result<Vec<ListenAddress>, Reported> {
    let Some(field) = root.take("web") else { return Ok(Vec::new()) };
    let probes = field.table()?.read("probes", |field| addresses(&field))?;
    Ok(plain(Address::into_list(probes)))
}

/// A page that is off: nothing else may be said about it, for it would not be so.
fn read_off(mut table: Table<'_>) -> Result<(), Reported> {
    let mut refused = Ok(());
    for key in PAGE_KEYS {
        let forbidden = table.forbid(
            key,
            "is about the page, which is off",
            "write address = \"127.0.0.1:8587\" to have it, or leave this out",
        );
        refused = refused.and(forbidden);
    }
    refused.and(table.finish(&[]))
}

/// What the keys say, before they are compared.
struct Page<'t> {
    field: Field<'t>,
    addresses: Vec<At<'t, ListenAddress>>,
    tls: Option<(PathBuf, PathBuf)>,
    behind_proxy: Vec<IpNet>,
    admin_token: Option<SecretSource>,
}

impl Page<'_> {
    /// Reports what contradicts itself.
    fn check(
        &self,
        public_url: Option<&PublicUrl<'_>>,
        listeners: &[Listener<'_>],
    ) -> Result<(), Reported> {
        let shared = refuse_shared(&self.addresses, listeners);
        let outside = self.addresses.iter().find(|(_, address)| !is_loopback(*address));
        let clear = self.tls.is_none() && self.behind_proxy.is_empty();
        let mut checked = shared;
        if let Some((field, address)) = outside
            && clear
        {
            checked = Err(field.problem(
                format!(
                    "is {}, where the admin token would cross a network in clear",
                    shown(*address)
                ),
                "name `certificate` and `private_key`, or the proxy that does TLS: behind_proxy = \
                 [\"10.0.0.5\"]",
            ));
        }
        let is_public = public_url.is_some_and(|url| !url.is_loopback);
        // A proxy lets others in, whatever name of ours it passes on.
        let is_proxied = !self.behind_proxy.is_empty();
        if self.admin_token.is_none() && (outside.is_some() || is_public || is_proxied) {
            checked = Err(self.field.lacks(
                "admin_token",
                "others than this machine reach the page: write admin_token = { env = \
                 \"MAILBEARER_ADMIN_TOKEN\" }, 16 characters or more (openssl rand -base64 32)",
            ));
        }
        if let Some(url) = public_url {
            checked = checked.and(url.check_scheme(self.tls.is_some(), clear));
        }
        checked
    }

    /// Reports an address of the probes that the page has.
    fn refuse_shared_with(&self, probes: &[At<'_, ListenAddress>]) -> Result<(), Reported> {
        refuse_taken(probes, &|| self.addresses.iter().map(|(field, address)| (field, *address)))
    }
}

/// Reports an address that a listener has.
fn refuse_shared(
    addresses: &[At<'_, ListenAddress>],
    listeners: &[Listener<'_>],
) -> Result<(), Reported> {
    refuse_taken(addresses, &|| listeners.iter().flat_map(Listener::tcp_addresses))
}

/// Reports those of `addresses` that are `taken`.
fn refuse_taken<'a, 't: 'a, I>(
    addresses: &[At<'_, ListenAddress>],
    taken: &dyn Fn() -> I,
) -> Result<(), Reported>
where
    I: Iterator<Item = (&'a Field<'t>, ListenAddress)>,
{
    let mut refused = Ok(());
    for (field, address) in addresses {
        if let Some((other, _)) = taken().find(|(_, other)| collide(*other, *address)) {
            refused = Err(field.problem(
                format!("is an address that `{}` has already", other.key()),
                "choose another port for one of the two",
            ));
        }
    }
    refused
}

/// The addresses without where they stand.
fn plain(addresses: Vec<At<'_, ListenAddress>>) -> Vec<ListenAddress> {
    addresses.into_iter().map(|(_, address)| address).collect()
}

/// Where browsers reach the page.
struct PublicUrl<'t> {
    field: Field<'t>,
    /// Scheme, host and a port that is not the scheme's own.
    origin: String,
    is_loopback: bool,
    is_https: bool,
}

impl<'t> PublicUrl<'t> {
    fn read(field: &Field<'t>) -> Result<Self, Reported> {
        let text = field.text()?;
        // The text is not told: a URL may hold a password.
        let example = "write it as \"https://mail.example:8587\"";
        let url = Url::parse(text)
            .ok()
            .filter(|_| text.bytes().all(|byte| byte.is_ascii_graphic()))
            .filter(Url::has_host)
            .ok_or_else(|| field.problem("is no URL", example))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(field.problem("holds a user name or password", example));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(field.problem("holds a query (?) or a fragment (#)", example));
        }
        if url.path() != "/" {
            return Err(field.problem(
                "holds a path, but the page stands at the root of its host",
                "leave the path out, and give the page a host name or a port of its own",
            ));
        }
        let is_loopback = oauth::is_loopback(&url);
        let is_https = match url.scheme() {
            "https" => true,
            "http" if is_loopback => false,
            _ => {
                return Err(field.problem(
                    "is not https, and would show the admin token to the network",
                    "write https://; http:// is taken for loopback addresses alone",
                ));
            }
        };
        let origin = url.origin().ascii_serialization();
        Ok(Self { field: field.clone(), origin, is_loopback, is_https })
    }

    /// Reports a scheme that nobody speaks: the page has a certificate or not (`has_tls`), and no
    /// proxy does TLS for it if it is `clear`.
    fn check_scheme(&self, has_tls: bool, clear: bool) -> Result<(), Reported> {
        if self.is_https && clear {
            Err(self.field.problem(
                "is https, but the page has no certificate",
                "name `certificate` and `private_key`, or the proxy that does TLS: behind_proxy = \
                 [\"127.0.0.1\"]",
            ))
        } else if !self.is_https && has_tls {
            Err(self.field.problem(
                "is http, but the page has a certificate and speaks https alone",
                "write https://, or leave `certificate` and `private_key` out",
            ))
        } else {
            Ok(())
        }
    }
}

/// What `address` or `probes` says.
enum Address<'t> {
    Off,
    At(Vec<At<'t, ListenAddress>>),
}

impl<'t> Address<'t> {
    /// Those that are named.
    fn into_list(said: Option<Self>) -> Vec<At<'t, ListenAddress>> {
        match said {
            Some(Self::At(addresses)) => addresses,
            None | Some(Self::Off) => Vec::new(),
        }
    }
}

fn addresses<'t>(field: &Field<'t>) -> Result<Address<'t>, Reported> {
    if field.is_text() && field.text()? == "off" {
        return Ok(Address::Off);
    }
    let addresses = field.each(address)?;
    for (nth, (field, address)) in addresses.iter().enumerate() {
        if addresses.iter().take(nth).any(|(_, earlier)| collide(*earlier, *address)) {
            return Err(field.problem("names one address twice", "leave one of the two out"));
        }
    }
    Ok(Address::At(addresses))
}

fn shown(address: ListenAddress) -> SocketAddr {
    match address {
        ListenAddress::Socket(socket) => socket,
        ListenAddress::Localhost(port) => (std::net::Ipv4Addr::LOCALHOST, port).into(),
    }
}

/// A network of proxies.
fn proxy(field: &Field<'_>) -> Result<IpNet, Reported> {
    let network = network(field)?;
    if network.prefix_len() == 0 {
        return Err(field.problem(
            format!("holds \"{network}\", by which everybody could speak for others"),
            "write the addresses of the proxies alone",
        ));
    }
    Ok(network)
}

/// The admin token. What a command prints is looked at when the relay starts.
fn admin_token(field: &Field<'_>) -> Result<SecretSource, Reported> {
    let source = field.secret()?;
    let read = match &source {
        SecretSource::Value(_) | SecretSource::Env { .. } => source.read().ok(),
        SecretSource::File(_) if field.file().secrets() == Secrets::Verify => source.read().ok(),
        SecretSource::File(_) | SecretSource::Command(_) => None,
    };
    match read {
        Some(token) if !is_long_enough(&token) => Err(field.problem(
            "is shorter than 16 characters, so it could be guessed",
            "draw one at random: openssl rand -base64 32",
        )),
        _ => Ok(source),
    }
}
