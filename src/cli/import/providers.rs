//! Whose accounts and servers they are: built-in providers, known by their hosts, and others, with
//! all that the file says of them.

use reqwest::Url;
use toml::Value;

use super::document::Table;
use super::servers::Server;
use crate::config::preset_hosts;
use crate::provider::{MailHost, PerProtocol, Protocol, UpstreamTls};

/// Whose hosts end so, be they for mail or for tokens. Those of Microsoft are of one family in each
/// cloud, whatever preset an account has.
const FAMILIES: [(&str, &str); 15] = [
    ("office365.com", "microsoft"),
    ("outlook.com", "microsoft"),
    ("office.com", "microsoft"),
    ("live.com", "microsoft"),
    ("microsoftonline.com", "microsoft"),
    ("office365.us", "microsoft-gcc-high"),
    ("microsoftonline.us", "microsoft-gcc-high"),
    ("outlook.cn", "microsoft-21vianet"),
    ("microsoftonline.cn", "microsoft-21vianet"),
    ("gmail.com", "google"),
    ("googleapis.com", "google"),
    ("google.com", "google"),
    ("yahoo.com", "yahoo"),
    ("aol.com", "aol"),
    ("fastmail.com", "fastmail"),
];

/// Where built-in providers are asked for tokens: host, path, and whose it is. `*` is the tenant.
const TOKEN_ENDPOINTS: [(&str, &str, &str); 9] = [
    ("login.microsoftonline.com", "/*/oauth2/v2.0/token", "microsoft"),
    ("login.microsoftonline.us", "/*/oauth2/v2.0/token", "microsoft-gcc-high"),
    ("login.partner.microsoftonline.cn", "/*/oauth2/v2.0/token", "microsoft-21vianet"),
    ("oauth2.googleapis.com", "/token", "google"),
    ("accounts.google.com", "/o/oauth2/token", "google"),
    ("www.googleapis.com", "/oauth2/v4/token", "google"),
    ("api.login.yahoo.com", "/oauth2/get_token", "yahoo"),
    ("api.login.aol.com", "/oauth2/get_token", "aol"),
    ("api.fastmail.com", "/oauth/refresh", "fastmail"),
];

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
            self.0.push(Provider { name, family: family(&host(&endpoints.token)), written, hosts });
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

/// The host of a URL, in lower case; empty where it has none.
fn host(url: &str) -> String {
    let url = Url::parse(url).ok();
    url.and_then(|url| url.host_str().map(str::to_ascii_lowercase)).unwrap_or_default()
}

/// The built-in provider that is asked at `token`, and the tenant there.
fn built_in(token: &str) -> Option<(&'static str, Option<String>)> {
    // The tenant of a sample is no part of a URL, so the text is looked at.
    let rest = token.strip_prefix("https://")?;
    let (host, path) = rest.split_at_checked(rest.find('/')?)?;
    TOKEN_ENDPOINTS.iter().find_map(|(known, wanted, name)| {
        if !host.eq_ignore_ascii_case(known) {
            return None;
        }
        let Some((before, behind)) = wanted.split_once('*') else {
            return (path == *wanted).then_some((*name, None));
        };
        let tenant = path.strip_prefix(before)?.strip_suffix(behind)?;
        (!tenant.contains('/')).then(|| (*name, Some(tenant.to_owned())))
    })
}

/// What the hosts of one provider have in common: its name if it is known, else the last two labels.
fn family(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    let known = FAMILIES.iter().find(|(end, _)| {
        host.strip_suffix(end).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    });
    known.map_or_else(
        || {
            let mut labels: Vec<&str> = host.rsplit('.').take(2).collect();
            labels.reverse();
            labels.join(".")
        },
        |(_, name)| (*name).to_owned(),
    )
}

/// Whether both URLs are of one provider.
pub(super) fn is_of_one(one: &str, other: &str) -> bool {
    family(&host(one)) == family(&host(other))
}

/// Whether that is a family and not the end of a host.
fn is_known(family: &str) -> bool {
    FAMILIES.iter().any(|(_, name)| *name == family)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_providers_are_known_by_their_token_endpoint() {
        for (token, name, tenant) in [
            ("https://login.microsoftonline.com/common/oauth2/v2.0/token", "microsoft", "common"),
            (
                "https://LOGIN.microsoftonline.us/x.example/oauth2/v2.0/token",
                "microsoft-gcc-high",
                "x.example",
            ),
            (
                "https://login.partner.microsoftonline.cn/t/oauth2/v2.0/token",
                "microsoft-21vianet",
                "t",
            ),
            ("https://oauth2.googleapis.com/token", "google", ""),
            ("https://api.login.yahoo.com/oauth2/get_token", "yahoo", ""),
            ("https://api.login.aol.com/oauth2/get_token", "aol", ""),
            ("https://api.fastmail.com/oauth/refresh", "fastmail", ""),
        ] {
            let tenant = Some(tenant.to_owned()).filter(|tenant| !tenant.is_empty());
            assert_eq!(built_in(token), Some((name, tenant)), "{token}");
        }
        for other in [
            "http://oauth2.googleapis.com/token",
            "https://oauth2.googleapis.com/token2",
            "https://oauth2.googleapis.com.example/token",
            "https://login.microsoftonline.com/t/oauth2/token",
            "https://login.microsoftonline.com/a/b/oauth2/v2.0/token",
            "nothing",
        ] {
            assert_eq!(built_in(other), None, "{other}");
        }
    }

    #[test]
    fn hosts_are_of_one_family_by_whole_labels() {
        assert_eq!(family("smtp-mail.outlook.com"), "microsoft");
        assert_eq!(family("Imap.Gmail.com"), "google");
        assert_eq!(family("notgmail.com"), "notgmail.com");
        assert_eq!(family("id.corp.example"), family("imap.corp.example"));
    }

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
