//! A new configuration file: the answers of somebody who has none, as commented TOML.
//!
//! In:  a [`Draft`]. Out: a text that [`super::Config::parse`] takes, without a warning.
//! Each answer can be looked at alone as soon as it is given; what is wrong is a sentence that says
//! what to answer.

mod answers;
mod offer;
#[cfg(test)]
mod tests;
mod text;

use std::path::PathBuf;

use ipnet::IpNet;

use crate::names::Address;
use crate::provider::{GrantKind, MailHost, PerProtocol, Protocol};

pub use self::answers::{
    check_client_id, check_key_file, check_listen_address, check_secret, check_tenant, issuer,
    mail_host, networks, scopes, variable,
};
pub use self::offer::{Offer, names, title};
pub use self::text::is_privileged;

/// What a new file is to say.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The account, which is the mailbox, too.
    pub address: Address,
    /// Whose mail servers it uses.
    pub provider: Choice,
    /// The organisation in Entra.
    pub tenant: Option<String>,
    /// How tokens are obtained.
    pub grant: GrantKind,
    /// The application's name at the provider.
    pub client_id: Option<String>,
    /// Where its secret is, if it has one.
    pub secret: Option<Place>,
    /// Google's JSON of a service account.
    pub key_file: Option<PathBuf>,
    /// The listeners: where each protocol is spoken, at one address or several.
    pub listeners: Vec<(Protocol, Vec<String>)>,
    /// The networks of printers and scanners; none if there are none.
    pub devices: Vec<IpNet>,
    /// Where the page is, or `off`.
    pub page: String,
    /// Where the store is, unless it is where it would be anyhow.
    pub store: Option<String>,
}

/// Whose mail servers are used.
#[derive(Debug, Clone)]
pub enum Choice {
    /// Those of a provider that is built in.
    BuiltIn(&'static str),
    /// Those of one that the file describes.
    Own(Box<OwnProvider>),
}

impl Choice {
    /// Its name in the file.
    pub fn name(&self) -> &str {
        match self {
            Self::BuiltIn(name) => name,
            Self::Own(_) => OWN,
        }
    }
}

/// The name in the file of a provider that is not built in.
const OWN: &str = "own";

/// A provider that is not built in.
#[derive(Debug, Clone)]
pub struct OwnProvider {
    /// Its issuer, which tells the endpoints.
    pub issuer: String,
    /// What tokens are asked for.
    pub scopes: Vec<String>,
    /// Its mail servers.
    pub hosts: PerProtocol<Option<MailHost>>,
    /// The certificates that it is trusted by, besides the platform's.
    pub ca_file: Option<PathBuf>,
}

/// Where a secret is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a variable of the environment.
    Variable(String),
    /// In a file.
    File(PathBuf),
}

impl Draft {
    /// The text of the file.
    pub fn text(&self) -> String {
        text::write(self)
    }

    /// The variable of the environment that holds the client secret, if one does.
    pub fn variable(&self) -> Option<&str> {
        match &self.secret {
            Some(Place::Variable(name)) => Some(name),
            Some(Place::File(_)) | None => None,
        }
    }
}
