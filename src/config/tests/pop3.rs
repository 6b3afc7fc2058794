//! POP3 in every table, and whom a file has asked for its permission.

use super::*;

/// A listener for POP3 and a person, at the end of [`GOOD`].
fn with_person(listener: &str) -> Config {
    let person = "[accounts.\"bob@contoso.com\"]\nprovider = \"microsoft\"\n\
                  tenant = \"contoso.com\"\nclient_id = \"app\"\ngrant = \"authorization-code\"\n\
                  [accounts.\"shared@contoso.com\"]\ngrant_of = \"bob@contoso.com\"";
    config(&[(END, &format!("{listener}\n{person}"))])
}

const LISTENER_OF_ALL: &str = "[listeners.pop3]\nprotocol = \"pop3\"\naddress = \"localhost:1110\"";

fn settings<'c>(config: &'c Config, name: &str) -> &'c AccountSettings {
    config.accounts.iter().find(|account| account.name.to_string() == name).unwrap()
}

#[test]
fn pop3_of_a_provider_reaches_its_accounts() {
    let config = config(&[(
        END,
        r#"[listeners.pop3]
        protocol = "pop3"
        address = "localhost:1110"
        [providers.microsoft]
        scopes = { pop3 = ["https://outlook.office365.com/.default"] }
        pop3 = { host = "127.0.0.1", port = 1995, tls = "starttls" }"#,
    )]);
    assert_eq!(config.listeners[1].protocol, Protocol::Pop3);
    let account = &config.accounts[0];
    let host = MailHost { host: "127.0.0.1".into(), port: 1995, tls: UpstreamTls::StartTls };
    assert_eq!(account.provider.hosts.pop3, Some(host));
    assert_eq!(account.scopes.pop3, ["https://outlook.office365.com/.default"]);
}

#[test]
fn what_is_wrong_with_a_key_of_pop3_is_told_as_of_others() {
    refused(
        "providers.microsoft",
        r#"
        + pop3 = { host = "127.0.0.1", port = 995 }
        pop3 lacks `tls`
        + pop3 = { host = "127.0.0.1", port = 110, tls = "none" }
        13: `providers.microsoft.pop3.tls` is "none", but no token is ever sent in clear
        + scopes = { pop3 = ["a b"] }
        13: `providers.microsoft.scopes.pop3` holds "a b", which is no scope
        "#,
    );
    refused(
        "accounts.\"alice@contoso.com\"",
        "
        12 mailbox = { pop3 = \"\" }
        mailbox.pop3 is no mailbox: a user name is 1 to 320 bytes with no control characters
        ",
    );
}

#[test]
fn listener_for_pop3_whose_accounts_have_no_server_is_refused() {
    let listener = "[listeners.pop3]\nprotocol = \"pop3\"\naddress = \"localhost:1110\"";
    let text = good_with(&[(PROVIDER, "provider = \"microsoft-hve\""), (END, listener)]);
    assert_eq!(
        problems(&text),
        ["12: `listeners.pop3` serves nobody: no provider of its accounts has a server for pop3"]
    );
}

#[test]
fn upstream_of_pop3_that_is_the_relay_itself_is_refused() {
    let host = "pop3 = { host = \"localhost\", port = 1110, tls = \"implicit\" }";
    let text = format!("{LISTENER_OF_ALL}\n[providers.microsoft]\n{host}");
    assert_eq!(
        problems(&good_with(&[(END, &text)])),
        ["16: `providers.microsoft.pop3` is localhost:1110, which is `listeners.pop3.address`: \
          the relay would call itself"]
    );
}

#[test]
fn person_is_asked_for_pop3_where_a_listener_serves_it_alone() {
    let all = ["SMTP.Send", "IMAP.AccessAsUser.All", "POP.AccessAsUser.All"];
    let asked = |listener: &str, name: &str| {
        let config = with_person(listener);
        let scopes = settings(&config, name).consent_scopes();
        let with_slash = scopes.iter().filter_map(|scope| scope.rsplit_once('/'));
        let permissions: Vec<String> = with_slash.map(|(_, it)| it.to_owned()).collect();
        // Those that hold no slash say that the consent lasts and who gave it, each once.
        assert_eq!(scopes.len(), permissions.len() + 3, "{scopes:?}");
        permissions
    };
    let of = |name: &str| format!("{LISTENER_OF_ALL}\naccounts = [\"{name}\"]");
    let bob = "bob@contoso.com";
    assert_eq!(asked("", bob), all[..2], "what consents were always for");
    assert_eq!(asked(LISTENER_OF_ALL, bob), all);
    assert_eq!(asked(&of(bob), bob), all);
    assert_eq!(asked(&of("alice@contoso.com"), bob), all[..2]);
    // Bob's consent is what the shared mailbox is read by.
    assert_eq!(asked(&of("shared@contoso.com"), bob), all);
}

#[test]
fn application_is_asked_for_one_scope_whatever_listens() {
    for listener in ["", LISTENER_OF_ALL] {
        let config = with_person(listener);
        let scopes = settings(&config, "alice@contoso.com").consent_scopes();
        assert_eq!(scopes, ["https://outlook.office365.com/.default"]);
    }
}
