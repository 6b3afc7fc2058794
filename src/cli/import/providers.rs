//! Whose accounts and servers they are: built-in providers, known by their hosts, and others, with
//! all that the file says of them.

use toml::Value;

use super::document::Table;
use super::known::{built_in, family, host, is_known};
use super::servers::Server;
use crate::config::{preset_hosts, preset_scopes};
use crate::provider::{MailHost, PerProtocol, Protocol, UpstreamTls};

/// What the file says of where tokens are asked for.
#[derive(Clone, PartialEq)]
pub(super) struct Endpoints {
    pub(super) token: String,
    /// Keys of the provider's table besides, if it has to be written.
    pub(super) keys: Vec<(&'static str, Value)>,
    /// Whether something of them has no place in a preset.
    pub(super) is_special: bool,
}

/// A provider of the accounts.
pub(super) struct Provider {
    pub(super) name: String,
    /// What its hosts have in common.
    family: String,
    /// What its table says of tokens; nothing for one that is built in.
    written: Option<Endpoints>,
    hosts: PerProtocol<Option<MailHost>>,
    /// What is asked for, where it is less than what is built in.
    scopes: Vec<String>,
}

/// Those of a file.
#[derive(Default)]
pub(super) struct Providers(Vec<Provider>);

/// The provider of an account, and its tenant where that has one.
pub(super) struct Found {
    pub(super) at: usize,
    pub(super) tenant: Option<String>,
}

impl Providers {
    /// The provider that has these `endpoints`.
    pub(super) fn find(&mut self, endpoints: &Endpoints) -> Found {
        let preset = built_in(&endpoints.token).filter(|_| !endpoints.is_special);
        let (written, tenant, name) = match preset {
            // Personal accounts have a preset, because no organisation is theirs.
            Some(("microsoft", Some(tenant))) if tenant == "consumers" => {
                (None, None, "outlook-com".to_owned())
            }
            Some((name, tenant)) => (None, tenant, name.to_owned()),
            None => (Some(endpoints.clone()), None, self.new_name(&endpoints.token)),
        };
        let known = self.0.iter().position(|known| match &written {
            Some(written) => known.written.as_ref() == Some(written),
            None => known.written.is_none() && known.name == name,
        });
        let at = known.unwrap_or_else(|| {
            let hosts = PerProtocol::default();
            let family = family(&host(&endpoints.token));
            self.0.push(Provider { name, family, written, hosts, scopes: Vec::new() });
            self.0.len() - 1
        });
        Found { at, tenant }
    }

    /// Its name.
    pub(super) fn name(&self, at: usize) -> &str {
        self.0.get(at).map_or("", |provider| &provider.name)
    }

    /// Whether it is built in.
    pub(super) fn is_built_in(&self, at: usize) -> bool {
        self.0.get(at).is_some_and(|provider| provider.written.is_none())
    }

    /// Has the built-in provider `at` ask for `scopes` alone, and for what it asks besides mail.
    pub(super) fn narrow(&mut self, at: usize, scopes: &[&str]) {
        let Some(provider) = self.0.get_mut(at) else { return };
        let besides = preset_scopes(&provider.name).map_or(&[][..], |scopes| scopes.besides);
        let besides = besides.iter().filter(|scope| !scopes.contains(scope));
        provider.scopes = scopes.iter().chain(besides).map(|scope| (*scope).to_owned()).collect();
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whose server it is: of the family of its host; else of those that are of no known one, for
    /// whoever has endpoints elsewhere may have servers elsewhere.
    pub(super) fn of_server(&self, server: &Server) -> Vec<usize> {
        let of = |is: &dyn Fn(&Provider) -> bool| -> Vec<usize> {
            let all = self.0.iter().enumerate();
            all.filter(|(_, provider)| is(provider)).map(|(at, _)| at).collect()
        };
        let wanted = family(&server.upstream.host);
        let own = of(&|provider| provider.family == wanted);
        if !own.is_empty() || is_known(&wanted) {
            return own;
        }
        of(&|provider| !is_known(&provider.family))
    }

    /// Takes `server` to be the server of the provider `at` for its protocol, if it is the first.
    /// Whether it is.
    pub(super) fn take(&mut self, at: usize, server: &Server) -> bool {
        let Some(provider) = self.0.get_mut(at) else { return false };
        let hosts = &mut provider.hosts;
        let host = match server.protocol {
            Protocol::Submission => &mut hosts.submission,
            Protocol::Imap => &mut hosts.imap,
            Protocol::Pop3 => &mut hosts.pop3,
        };
        *host.get_or_insert_with(|| server.upstream.clone()) == server.upstream
    }

    /// The tables of those that need one.
    pub(super) fn tables(&self) -> Vec<Table> {
        self.0.iter().map(Provider::table).filter(|table| !table.is_empty()).collect()
    }

    /// A name for a provider of one's own that asks at `token`.
    fn new_name(&self, token: &str) -> String {
        let host = host(token);
        let label = host.rsplit('.').nth(1).filter(|_| host.parse::<std::net::IpAddr>().is_err());
        let label = label.filter(|label| !label.is_empty()).unwrap_or("provider");
        let is_taken = |name: &str| {
            preset_hosts(name).is_some() || self.0.iter().any(|known| known.name == name)
        };
        let mut names = (2..).map(|nth| format!("{label}-{nth}"));
        let first = label.to_owned();
        if is_taken(&first) { names.find(|name| !is_taken(name)).unwrap_or(first) } else { first }
    }
}

impl Provider {
    fn table(&self) -> Table {
        let mut table = Table::new("providers", &self.name);
        if let Some(written) = &self.written {
            table.set("token_endpoint", written.token.clone());
            for (key, value) in &written.keys {
                table.set(key, value.clone());
            }
        }
        if !self.scopes.is_empty() {
            table.set("scopes", self.scopes.clone());
            table.remark(
                "What was asked for, and what tells who consented. Left out, it is what every \
                 protocol needs.",
            );
        }
        let built_in = preset_hosts(&self.name).filter(|_| self.written.is_none());
        let mut differs = false;
        for protocol in Protocol::ALL {
            let Some(host) = self.hosts.get(protocol) else { continue };
            let of_preset = built_in.as_ref().and_then(|hosts| hosts.get(protocol).as_ref());
            if of_preset != Some(host) {
                table.set(protocol.name(), mail_host(host));
                differs = of_preset.is_some();
            }
        }
        if differs {
            table.remark(format!(
                "The server as it was written. \"{}\" has another one built in; leave the key out \
                 to use that.",
                self.name
            ));
        }
        table
    }
}

/// A mail server as the file has it.
pub(super) fn mail_host(host: &MailHost) -> Value {
    let tls = match host.tls {
        UpstreamTls::StartTls => "starttls",
        UpstreamTls::Implicit => "implicit",
    };
    let mut value = toml::Table::new();
    value.insert("host".to_owned(), host.host.clone().into());
    value.insert("port".to_owned(), i64::from(host.port).into());
    value.insert("tls".to_owned(), tls.into());
    value.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_new_providers_are_new_and_not_those_of_presets() {
        let mut providers = Providers::default();
        for (token, name) in [
            ("https://id.corp.example/token", "corp"),
            ("https://other.corp.example/token", "corp-2"),
            ("https://login.google.example/token", "google-2"),
            ("http://127.0.0.1:1/token", "provider"),
        ] {
            let token = token.to_owned();
            let found = providers.find(&Endpoints { token, keys: Vec::new(), is_special: false });
            assert_eq!(providers.name(found.at), name);
        }
    }
}
