//! A proxy, as its URL names it: `socks5://[USER:PASSWORD@]HOST[:PORT]`, `http://...`.
//!
//! In:  the URL, with what is odd in name and password percent-encoded (RFC 3986 section 2.1).
//! Out: a [`Proxy`], or what is wrong with the URL; nothing of the URL is repeated there.

use std::fmt;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use super::{ProxyProblem, http_connect, socks5};
use crate::net::network::is_this_machine;
use crate::provider::MailHost;
use crate::secret::{ExposeSecret as _, SecretString};

/// The port of a SOCKS proxy whose URL names none (RFC 1928 section 3).
const SOCKS_PORT: u16 = 1080;

/// The port of an HTTP proxy whose URL names none (RFC 9110 section 4.2.1).
const HTTP_PORT: u16 = 80;

/// Longest user name and longest password, in bytes (RFC 1929 section 2).
const CREDENTIAL_LEN_MAX: usize = 255;

/// What a proxy is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyUse {
    /// Token requests.
    Http,
    /// Connections to mail servers.
    Mail,
}

impl ProxyUse {
    /// The key that names it in the configuration.
    pub fn key(self) -> &'static str {
        match self {
            Self::Http => "egress.http_proxy",
            Self::Mail => "egress.mail_proxy",
        }
    }
}

/// A proxy.
#[derive(Clone)]
pub struct Proxy {
    kind: Kind,
    host: String,
    port: u16,
    credentials: Option<Credentials>,
}

/// How it is asked for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Socks5,
    Http,
}

/// What it is shown. Either may be the secret one.
#[derive(Clone)]
pub(super) struct Credentials {
    pub(super) user: SecretString,
    pub(super) password: SecretString,
}

/// What is wrong with the URL of a proxy; the end of a sentence that begins with its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnfitProxy {
    /// It begins with no scheme that is known.
    #[error("is no URL of a proxy that mailbearer can use")]
    Scheme(ProxyUse),
    /// It names no host.
    #[error("names no host that there can be")]
    Host,
    /// Its port is none.
    #[error("names no port from 1 to 65535")]
    Port,
    /// Name or password cannot be shown to a proxy of that kind.
    #[error("has a user name or a password that such a proxy cannot be shown")]
    Credentials,
}

impl UnfitProxy {
    /// What to do, in a clause.
    pub fn fix(&self) -> &'static str {
        match self {
            Self::Scheme(ProxyUse::Http) => {
                "write http://HOST:PORT or http://USER:PASSWORD@HOST:PORT"
            }
            Self::Scheme(ProxyUse::Mail) => {
                "write socks5://HOST:PORT or http://HOST:PORT, with USER:PASSWORD@ before the host \
                 where it wants them"
            }
            Self::Host => "write the proxy's name or address, and nothing behind the port",
            Self::Port => "write the proxy's port behind its name, mostly 1080, 3128 or 8080",
            Self::Credentials => {
                "write USER:PASSWORD@, neither of them empty or over 255 bytes, with %25 for %, %3A \
                 for : in the name, and no control characters"
            }
        }
    }
}

impl Proxy {
    /// Takes a proxy as its URL names it.
    ///
    /// # Errors
    /// When it is no URL of a proxy that can be used so.
    pub fn take(url: &SecretString, of: ProxyUse) -> Result<Self, UnfitProxy> {
        Self::parse(url.expose_secret(), of)
    }

    fn parse(url: &str, of: ProxyUse) -> Result<Self, UnfitProxy> {
        let (scheme, rest) = url.trim().split_once("://").ok_or(UnfitProxy::Scheme(of))?;
        let kind = match (scheme.to_ascii_lowercase().as_str(), of) {
            ("http", _) => Kind::Http,
            // curl's name for what this does: the proxy resolves names.
            ("socks5" | "socks5h", ProxyUse::Mail) => Kind::Socks5,
            _ => return Err(UnfitProxy::Scheme(of)),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        // A password may hold an @; a host does not.
        let (credentials, authority) = match rest.rsplit_once('@') {
            Some((credentials, authority)) => (Some(parse_credentials(credentials)?), authority),
            None => (None, rest),
        };
        let (host, port) = parse_authority(authority, kind)?;
        Ok(Self { kind, host, port, credentials })
    }

    /// Its host, as a name or an address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether both are the same, and shown the same.
    ///
    /// Takes longer the longer two passwords agree, so it is for the configuration alone.
    pub fn is_same_as(&self, other: &Self) -> bool {
        let shown = |proxy: &Self| proxy.basic();
        let is_shown_the_same = match (shown(self), shown(other)) {
            (Some(one), Some(other)) => one.expose_secret() == other.expose_secret(),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        self.url() == other.url() && is_shown_the_same
    }

    /// Whether it is on this machine.
    pub fn is_loopback(&self) -> bool {
        is_this_machine(&self.host)
    }

    /// Its URL, without name and password.
    pub fn url(&self) -> String {
        format!("{}://{self}", self.scheme())
    }

    /// The value of `Proxy-Authorization` for it (RFC 7617 section 2), if it wants one.
    pub fn basic(&self) -> Option<SecretString> {
        let Credentials { user, password } = self.credentials.as_ref()?;
        let (user, password) = (user.expose_secret(), password.expose_secret());
        let pair = Zeroizing::new(format!("{user}:{password}"));
        let encoded = Zeroizing::new(STANDARD.encode(pair.as_bytes()));
        Some(SecretString::from(format!("Basic {}", encoded.as_str())))
    }

    /// Asks it, which `stream` leads to, for a connection to `host`; the stream is that connection
    /// then, and nothing that came over it is lost. It may last as long as the proxy likes: the
    /// caller sets the deadline.
    ///
    /// # Errors
    /// When it does not connect.
    pub async fn lead(
        &self,
        mut stream: TcpStream,
        host: &MailHost,
    ) -> Result<TcpStream, ProxyProblem> {
        match self.kind {
            Kind::Socks5 => socks5::ask(&mut stream, host, self.credentials.as_ref()).await?,
            Kind::Http => http_connect::ask(&mut stream, host, self.basic().as_ref()).await?,
        }
        Ok(stream)
    }

    fn scheme(&self) -> &'static str {
        match self.kind {
            Kind::Socks5 => "socks5",
            Kind::Http => "http",
        }
    }
}

/// Host and port.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({:?})", self.url())
    }
}

fn parse_authority(authority: &str, kind: Kind) -> Result<(String, u16), UnfitProxy> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or(UnfitProxy::Host)?;
            host.parse::<IpAddr>().map_err(|_| UnfitProxy::Host)?;
            (host, if port.is_empty() { None } else { port.strip_prefix(':').or(Some("")) })
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let port = match port {
        // `parse` alone would take a sign.
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            port.parse().ok().filter(|&port| port != 0).ok_or(UnfitProxy::Port)?
        }
        Some(_) => return Err(UnfitProxy::Port),
        None if kind == Kind::Socks5 => SOCKS_PORT,
        None => HTTP_PORT,
    };
    ServerName::try_from(host).map_err(|_| UnfitProxy::Host)?;
    Ok((host.to_lowercase(), port))
}

fn parse_credentials(text: &str) -> Result<Credentials, UnfitProxy> {
    let (user, password) = text.split_once(':').ok_or(UnfitProxy::Credentials)?;
    let (user, password) = (decoded(user)?, decoded(password)?);
    // RFC 7617 section 2: the name ends at the first colon.
    if user.contains(':') {
        return Err(UnfitProxy::Credentials);
    }
    let secret = |text: Zeroizing<String>| SecretString::from(text.as_str());
    Ok(Credentials { user: secret(user), password: secret(password) })
}

/// What `text` stands for, percent-decoded.
fn decoded(text: &str) -> Result<Zeroizing<String>, UnfitProxy> {
    // With room for all of it from the start, no copy is left behind where it grew.
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let hex = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let byte = match byte {
            b'%' => hex(rest.next())
                .zip(hex(rest.next()))
                .and_then(|(high, low)| u8::try_from(high * 16 + low).ok())
                .ok_or(UnfitProxy::Credentials)?,
            byte => byte,
        };
        bytes.push(byte);
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| UnfitProxy::Credentials)?;
    let fits = (1..=CREDENTIAL_LEN_MAX).contains(&text.len()) && !text.contains(char::is_control);
    if fits { Ok(Zeroizing::new(text.to_owned())) } else { Err(UnfitProxy::Credentials) }
}

#[cfg(test)]
mod tests;
