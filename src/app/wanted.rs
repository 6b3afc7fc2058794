//! Which tokens a configuration can need: what is renewed early, kept alive and told of.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::account::AccountSettings;
use crate::config::Config;
use crate::names::AccountPatterns;
use crate::oauth::Wanted;
use crate::provider::{GrantId, Protocol};

/// The grants of a configuration, each with the scope sets that sessions will ask of it.
pub(super) fn wanted(config: &Config) -> Vec<Wanted> {
    let leading = Leading::all(config);
    let mut wanted: BTreeMap<&GrantId, Wanted> = BTreeMap::new();
    for account in &config.accounts {
        let grant = &account.grant;
        let of_grant = wanted
            .entry(&grant.id)
            .or_insert_with(|| Wanted { grant: Arc::clone(grant), scopes: Vec::new() });
        for protocol in account.consented_protocols() {
            let scopes = account.scopes.get(protocol);
            let has_host = account.provider.hosts.get(protocol).is_some();
            if (has_host || leading.iter().any(|it| it.leads(account, protocol)))
                && !of_grant.scopes.contains(scopes)
            {
                of_grant.scopes.push(scopes.clone());
            }
        }
    }
    wanted.into_values().collect()
}

/// A listener with an upstream of its own.
struct Leading {
    protocol: Protocol,
    /// Whom it serves; `None` is everybody.
    accounts: Option<Arc<AccountPatterns>>,
}

impl Leading {
    fn all(config: &Config) -> Vec<Self> {
        let leading = config.listeners.iter().filter(|listener| listener.upstream.is_some());
        leading
            .map(|listener| Self {
                protocol: listener.protocol,
                accounts: listener.accounts.clone(),
            })
            .collect()
    }

    /// Whether it leads `account` to that upstream.
    fn leads(&self, account: &AccountSettings, protocol: Protocol) -> bool {
        self.protocol == protocol
            && self.accounts.as_ref().is_none_or(|served| served.overlaps(&account.name))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Secrets;

    #[test]
    fn tokens_are_kept_ready_for_a_server_that_a_listener_leads_to_for_whom_it_serves() {
        let keys = r#"
            provider = "own"
            client_id = "app"
            client_secret = { env = "S" }
            grant = "authorization-code"
            local_password = { env = "S" }
        "#;
        let wanted_where = |listener: &str| -> Vec<Vec<String>> {
            let text = format!(
                r#"
                [listeners.submission]
                protocol = "submission"
                address = "127.0.0.1:0"
                [listeners.imap]
                protocol = "imap"
                address = "127.0.0.1:0"
                upstream = {{ host = "127.0.0.1", port = 1, tls = "starttls" }}
                {listener}
                [providers.own]
                token_endpoint = "http://127.0.0.1:1/token"
                authorization_endpoint = "http://127.0.0.1:1/authorize"
                scopes = {{ submission = ["send"], imap = ["read"] }}
                submission = {{ host = "127.0.0.1", port = 1, tls = "starttls" }}
                [accounts."alice@contoso.com"]
                {keys}
                [accounts."bob@contoso.com"]
                {keys}
                "#
            );
            let env = |_: &str| Ok("secret".to_owned());
            let config = Config::parse(&text, Path::new(""), &env, Secrets::Verify).unwrap();
            wanted(&config).into_iter().map(|it| it.scopes.concat()).collect()
        };
        let both: &[&str] = &["send", "read"];
        assert_eq!(wanted_where("accounts = [\"*@contoso.com\"]"), [both, both]);
        assert_eq!(wanted_where("accounts = [\"Alice@contoso.com\"]"), [both, &["send"]]);
    }
}
