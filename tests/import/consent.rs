//! What people consent to after they moved over: what they consented to before, and no more.

use toml::Value;

use super::{Imported, PERSON, SERVERS};

/// A person of Exchange Online who asks for `scopes`, at a page with `page` behind the host.
fn person(name: &str, page: &str, scopes: &str) -> String {
    format!(
        "
[{name}]
permission_url = https://login.microsoftonline.com/{page}
token_url = https://login.microsoftonline.com/contoso.com/oauth2/v2.0/token
oauth2_scope = {scopes}
redirect_uri = http://localhost
client_id = the-client
"
    )
}

const PAGE: &str = "contoso.com/oauth2/v2.0/authorize";
const SEND: &str = "https://outlook.office.com/SMTP.Send offline_access";

#[test]
fn consent_is_for_no_more_than_before_where_all_asked_for_the_same() {
    let two = [person("alice@contoso.com", PAGE, SEND), person("bob@contoso.com", PAGE, SEND)];
    let imported = Imported::of(&format!("{SERVERS}{}", two.concat()));
    let scopes: Value =
        ["https://outlook.office.com/SMTP.Send", "offline_access", "openid", "profile"]
            .map(str::to_owned)
            .to_vec()
            .into();
    assert_eq!(imported.get("providers", "microsoft")["scopes"], scopes);
    assert!(imported.tells("It asked for less than the built-in provider"), "{}", imported.told);
}

#[test]
fn consent_that_becomes_wider_is_told_where_others_ask_for_something_else() {
    let alice = person("alice@contoso.com", PAGE, SEND);
    let all = "https://outlook.office365.com/IMAP.AccessAsUser.All \
               https://outlook.office365.com/POP.AccessAsUser.All \
               https://outlook.office365.com/SMTP.Send offline_access";
    let bob = person("bob@contoso.com", PAGE, all);
    let imported = Imported::of(&format!("{SERVERS}{alice}{bob}"));
    assert!(!imported.table.contains_key("providers"), "{}", imported.toml);
    let wider = "Its consent is asked for https://outlook.office.com/IMAP.AccessAsUser.All \
                 https://outlook.office.com/POP.AccessAsUser.All as well";
    assert!(imported.tells(wider), "{}", imported.told);
    assert_eq!(imported.told.matches("as well, for which").count(), 1, "{}", imported.told);
}

#[test]
fn consent_to_all_protocols_that_are_served_is_as_it_was() {
    // POP3 is asked for where a listener serves it alone.
    let servers = SERVERS.replace("[POP-1995]", "[IMAP-1995]");
    let both = "https://outlook.office.com/IMAP.AccessAsUser.All \
                https://outlook.office.com/SMTP.Send offline_access";
    let alice = person("alice@contoso.com", PAGE, both);
    let imported = Imported::of(&format!("{servers}{alice}"));
    assert!(!imported.table.contains_key("providers"), "{}", imported.toml);
    let imported = Imported::of(&format!("{SERVERS}{alice}"));
    assert!(imported.get("providers", "microsoft").contains_key("scopes"), "{}", imported.toml);
}

#[test]
fn scopes_that_check_refuses_are_not_written() {
    let graph = "https://graph.microsoft.com/SMTP.Send offline_access";
    let imported = Imported::of(&format!("{SERVERS}{}", person("alice@contoso.com", PAGE, graph)));
    assert!(!imported.toml.contains("[providers.microsoft]"), "{}", imported.toml);
    assert!(imported.tells("Its consent is asked for"), "{}", imported.told);
}

#[test]
fn a_consent_page_of_another_tenant_is_told() {
    let page = "common/oauth2/v2.0/authorize";
    let imported = Imported::of(&format!("{SERVERS}{}", person("a@contoso.com", page, SEND)));
    assert_eq!(imported.get("accounts", "a@contoso.com")["tenant"].as_str(), Some("contoso.com"));
    assert!(imported.tells("was that of the tenant \"common\""), "{}", imported.told);
}

#[test]
fn a_consent_page_with_parameters_is_kept_whole() {
    let page = "common/oauth2/v2.0/authorize?domain_hint=contoso.com&prompt=login";
    let imported = Imported::of(&format!("{SERVERS}{}", person("a@contoso.com", page, SEND)));
    let name = imported.get("accounts", "a@contoso.com")["provider"].as_str().unwrap();
    assert_eq!(name, "microsoftonline");
    let provider = imported.get("providers", name);
    let url = format!("https://login.microsoftonline.com/{page}");
    assert_eq!(provider["authorization_endpoint"].as_str(), Some(&*url));
    let token = "https://login.microsoftonline.com/contoso.com/oauth2/v2.0/token";
    assert_eq!(provider["token_endpoint"].as_str(), Some(token));
    let scopes: Value = SEND.split(' ').map(str::to_owned).collect::<Vec<_>>().into();
    assert_eq!(provider["scopes"], scopes);
    assert!(imported.tells("all of it is written in [providers.microsoftonline]"));
}

#[test]
fn a_server_that_is_set_aside_takes_nothing_else_with_it() {
    let corp = "
[IMAP-3993]
server_address = imap.corp.example
server_port = 993
local_address = 127.0.0.1
[SMTP-3587]
server_address = smtp.corp.example
server_port = 587
server_starttls = True
local_address = 127.0.0.1
[POP-3995]
server_address = pop.corp.example
server_port = 995
local_address = 127.0.0.1
[bob@corp.example]
permission_url = https://id.corp.example/authorize
token_url = https://id.corp.example/token
oauth2_scope = mail
client_id = the-client
";
    for (right, wrong) in [
        ("server_address = pop.corp.example\n", ""),
        ("server_address = pop.corp.example\n", "server_address = pop corp example\n"),
        ("server_port = 995\n", ""),
        ("server_port = 995\n", "server_port = 0\n"),
        ("server_port = 995\n", "server_port = 65536\n"),
        ("server_port = 995\n", "server_port = none\n"),
    ] {
        let imported = Imported::of(&corp.replace(right, wrong));
        assert!(imported.has("accounts", "bob@corp.example"), "{wrong}\n{}", imported.toml);
        assert!(imported.has("listeners", "imap-3993") && imported.has("listeners", "smtp-3587"));
        assert!(!imported.has("listeners", "pop-3995"), "{wrong}\n{}", imported.toml);
        assert!(!imported.get("providers", "corp").contains_key("pop3"), "{}", imported.toml);
        let told = "set aside: [listeners.pop-3995]: `server_address` or `server_port` is missing";
        assert!(imported.told.contains(told), "{}", imported.told);
    }
}

#[test]
fn a_flag_that_is_none_is_told() {
    let maybe = "[emailproxy]\nallow_catch_all_accounts = maybe\n";
    let imported = Imported::of(&format!("{SERVERS}{PERSON}{maybe}"));
    let told = "`allow_catch_all_accounts` is neither yes nor no";
    assert!(imported.told.contains(told), "{}", imported.told);
}
