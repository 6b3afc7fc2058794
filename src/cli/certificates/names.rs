//! What a server is called: host names and IP addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustls::pki_types::ServerName;

use super::CertificatesError;

/// A host name, in lower case and without a dot at its end, or an IP address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Name {
    Dns(String),
    Ip(IpAddr),
}

impl Name {
    /// The name in `text`.
    pub(super) fn parse(text: &str) -> Result<Self, CertificatesError> {
        let bare = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        match ServerName::try_from(bare.as_str()) {
            Ok(ServerName::IpAddress(ip)) => Ok(Self::Ip(ip.into())),
            // RFC 6125 section 6.4.3 knows wildcards; they are more than a relay needs.
            Ok(_) if !bare.contains('*') => Ok(Self::Dns(bare)),
            Ok(_) | Err(_) => Err(CertificatesError::Name { text: text.to_owned() }),
        }
    }

    /// Whether it is one of `bases`, or below one (RFC 5280 section 4.2.1.10).
    pub(super) fn is_below(&self, bases: &[String]) -> bool {
        let Self::Dns(name) = self else { return true };
        bases.iter().any(|base| {
            let above = name.strip_suffix(base.as_str());
            above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
        })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name),
            Self::Ip(ip) => ip.fmt(f),
        }
    }
}

/// The names of one server, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Names(Vec<Name>);

impl Names {
    /// Those by which this machine, whose host name is `host`, is reached from the network, where
    /// that name is known, and from itself.
    pub(super) fn of_this_machine(host: &str) -> Self {
        let mut names = Self::default();
        // A machine may have a name that no certificate can hold, and nobody can reach it by that.
        names.add(Name::parse(host));
        names.add([
            Name::Dns("localhost".to_owned()),
            Name::Ip(Ipv4Addr::LOCALHOST.into()),
            Name::Ip(Ipv6Addr::LOCALHOST.into()),
        ]);
        names
    }

    /// Adds those of `more` that are not among them.
    pub(super) fn add(&mut self, more: impl IntoIterator<Item = Name>) {
        for name in more {
            if !self.0.contains(&name) {
                self.0.push(name);
            }
        }
    }

    /// Keeps those that `is_kept` says.
    pub(super) fn retain(&mut self, is_kept: impl Fn(&Name) -> bool) {
        self.0.retain(is_kept);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Name> {
        self.0.iter()
    }

    /// The host names among them.
    pub(super) fn of_hosts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|name| match name {
            Name::Dns(name) => Some(name.as_str()),
            Name::Ip(_) => None,
        })
    }
}

impl IntoIterator for Names {
    type Item = Name;
    type IntoIter = std::vec::IntoIter<Name>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&names.join(", "))
    }
}
