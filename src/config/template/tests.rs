//! Every file that can be written is one that `check` takes, without a warning.

use std::path::Path;

use super::*;
use crate::config::{Config, Secrets};
use crate::provider::UpstreamTls;

const CLIENT_ID: &str = "11111111-2222-3333-4444-555555555555";

fn draft(provider: Choice, grant: GrantKind) -> Draft {
    let offer = Offer::of(&provider);
    let listeners = offer.protocols.iter().zip([1587, 1143, 1110]);
    let is_service_account = grant == GrantKind::ServiceAccount;
    let needs_secret = grant == GrantKind::ClientCredentials || offer.always_secret;
    Draft {
        address: Address::parse("alice@contoso.com").unwrap(),
        tenant: offer.takes_tenant.then(|| "contoso.com".to_owned()),
        client_id: (!is_service_account).then(|| CLIENT_ID.to_owned()),
        secret: (needs_secret && !is_service_account)
            .then(|| Place::Variable("CONTOSO_SECRET".to_owned())),
        key_file: is_service_account.then(|| PathBuf::from("service-account.json")),
        listeners: listeners.map(|(it, port)| (*it, vec![format!("localhost:{port}")])).collect(),
        devices: Vec::new(),
        page: "127.0.0.1:8587".to_owned(),
        store: None,
        provider,
        grant,
    }
}

fn own() -> Choice {
    let host = |port, tls| Some(MailHost { host: "mail.example".to_owned(), port, tls });
    Choice::Own(Box::new(OwnProvider {
        issuer: "https://id.example".to_owned(),
        scopes: vec!["openid".to_owned(), "mail".to_owned()],
        hosts: PerProtocol {
            submission: host(587, UpstreamTls::StartTls),
            imap: host(993, UpstreamTls::Implicit),
            pop3: None,
        },
        ca_file: None,
    }))
}

#[track_caller]
fn read(draft: &Draft) -> Config {
    let text = draft.text();
    let config =
        Config::parse(&text, Path::new("/nowhere"), &|_| Ok("secret".to_owned()), Secrets::Leave);
    let config = config.unwrap_or_else(|problems| panic!("{problems:?}\n{text}"));
    assert!(config.warnings.is_empty(), "{:?}\n{text}", config.warnings);
    assert!(text.lines().all(|line| line.len() <= 110), "{text}");
    config
}

#[test]
fn file_is_accepted_without_a_warning_for_every_provider_and_grant_that_is_offered() {
    let mut read_all = 0;
    let built_in = names().iter().map(|name| Choice::BuiltIn(name));
    for provider in built_in.chain([own()]) {
        for grant in Offer::of(&provider).grants {
            let config = read(&draft(provider.clone(), grant));
            let [account] = &config.accounts[..] else { panic!("one account") };
            assert_eq!(account.grant.kind(), grant);
            assert_eq!(account.provider.name, provider.name());
            read_all += 1;
        }
    }
    // Five clouds with three grants, Outlook.com with two, Google with two, Yahoo, AOL and Fastmail
    // with one each, and one's own with three.
    assert_eq!(read_all, 5 * 3 + 2 + 2 + 3 + 3);
}

#[test]
fn devices_are_served_where_there_are_some() {
    let mut draft = draft(Choice::BuiltIn("microsoft"), GrantKind::ClientCredentials);
    draft.devices = networks("192.168.20.17, 192.168.21.0/24, 2001:db8::/64").unwrap();
    let addresses = ["0.0.0.0:587", "[::]:587"].map(str::to_owned).to_vec();
    draft.listeners = vec![(Protocol::Submission, addresses)];
    let config = read(&draft);
    assert_eq!(config.listeners[0].addresses.len(), 2);
    assert!(draft.text().contains("# Below port 1024"));
    assert!(config.listeners[0].devices);
    assert_eq!(config.listeners[0].require_tls, Some(false));
    assert_eq!(config.devices[0].networks, draft.devices);
}

#[test]
fn store_is_where_the_draft_says_and_privileges_are_told_of_where_they_are_needed() {
    let mut draft = draft(Choice::BuiltIn("microsoft"), GrantKind::AuthorizationCode);
    assert!(!draft.text().contains("1024"), "{}", draft.text());
    draft.store = Some("second.state/mailbearer.redb".to_owned());
    let path = read(&draft).store.path;
    assert_eq!(path, Path::new("/nowhere/second.state/mailbearer.redb"));
}

#[test]
fn every_commented_key_is_one_that_the_file_takes() {
    let drafts = [
        draft(own(), GrantKind::AuthorizationCode),
        draft(Choice::BuiltIn("google"), GrantKind::ServiceAccount),
        draft(Choice::BuiltIn("microsoft"), GrantKind::ClientCredentials),
    ];
    for mut draft in drafts {
        draft.listeners.truncate(1);
        let text = draft.text();
        for commented in text.lines().filter(|line| is_key(line)) {
            // The key is written where it stands; a table brings its own keys.
            let table = commented.starts_with("# [");
            let lines: Vec<String> = text
                .lines()
                .scan(false, |within, line| {
                    *within = line == commented || (*within && table && is_key(line));
                    Some(if *within { line[2..].to_owned() } else { line.to_owned() })
                })
                .collect();
            if !table && is_below_commented_table(&text, commented) {
                continue;
            }
            let written = lines.join("\n");
            let env = |_: &str| Ok("secret".to_owned());
            let read = Config::parse(&written, Path::new("/nowhere"), &env, Secrets::Leave);
            let Err(problems) = read else { continue };
            // What it names may be missing, or be no hash; the key as such is known.
            for problem in problems {
                let told = format!("{problem:?}");
                assert!(!told.contains("no such key"), "{commented}: {told}");
                assert!(!told.contains("duplicate"), "{commented}: {told}");
            }
        }
    }
}

fn is_key(line: &str) -> bool {
    let Some(line) = line.strip_prefix("# ") else { return false };
    let is_table = line.starts_with('[') && line.ends_with(']');
    is_table || line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '))
}

fn is_below_commented_table(text: &str, key: &str) -> bool {
    let before = text.lines().take_while(|line| *line != key);
    before
        .filter(|line| line.contains('[') && line.ends_with(']') && !line.contains('='))
        .last()
        .is_some_and(|line| line.starts_with("# ["))
}

#[test]
fn text_of_an_answer_cannot_leave_its_quotes() {
    let mut draft = draft(own(), GrantKind::AuthorizationCode);
    draft.client_id = Some("a\"b'c\\d#".to_owned());
    draft.secret = Some(Place::File(PathBuf::from("it's \"here\"")));
    read(&draft);
}

#[test]
fn tenant_client_id_and_secret_are_looked_at_alone() {
    let (person, application) = (GrantKind::AuthorizationCode, GrantKind::ClientCredentials);
    for right in ["contoso.onmicrosoft.com", CLIENT_ID] {
        assert_eq!(check_tenant(right, application), Ok(()));
    }
    assert_eq!(check_tenant("common", person), Ok(()));
    for wrong in ["common", "contoso", "", "a b.example"] {
        assert!(check_tenant(wrong, application).is_err(), "{wrong}");
    }
    assert_eq!(check_client_id(CLIENT_ID, true), Ok(()));
    assert_eq!(check_client_id("my-app.apps.example", false), Ok(()));
    assert!(check_client_id("my-app", true).is_err());
    for wrong in ["", "a b", "a\u{1b}b", &"x".repeat(1025)] {
        assert!(check_client_id(wrong, false).is_err(), "{wrong}");
    }
    assert_eq!(check_secret("abc~8Q~x", true), Ok(()));
    assert!(check_secret(CLIENT_ID, true).unwrap_err().contains("its value"));
    assert_eq!(check_secret(CLIENT_ID, false), Ok(()));
    assert!(check_secret("", false).is_err() && check_secret("a\u{7}b", false).is_err());
}

#[test]
fn mail_server_is_host_and_port_and_how_tls_begins() {
    let at = |text, protocol| {
        mail_host(text, protocol)
            .map(|host| (host.host, host.port, host.tls == UpstreamTls::Implicit))
    };
    for (text, protocol, port, is_implicit) in [
        ("mail.example", Protocol::Submission, 465, true),
        ("mail.example:587", Protocol::Submission, 587, false),
        ("mail.example:2525", Protocol::Submission, 2525, false),
        ("mail.example:2525/tls", Protocol::Submission, 2525, true),
        ("mail.example/starttls", Protocol::Imap, 143, false),
        ("mail.example:1993", Protocol::Imap, 1993, true),
        ("mail.example", Protocol::Pop3, 995, true),
    ] {
        assert_eq!(
            at(text, protocol),
            Ok(("mail.example".to_owned(), port, is_implicit)),
            "{text}"
        );
    }
    for wrong in
        ["", ":465", "mail.example:0", "mail.example:x", "mail.example/ssl", "a b", "ma\u{1b}l"]
    {
        assert!(at(wrong, Protocol::Imap).is_err(), "{wrong:?}");
    }
}

#[test]
fn network_is_told_what_is_wrong_with_it() {
    assert_eq!(networks("192.168.20.17 10.1.0.0/16,fd00::/64").unwrap().len(), 3);
    for (wrong, told) in [
        ("", "enter the addresses"),
        (",", "enter the addresses"),
        ("printer", "enter the addresses"),
        ("192.168.20.1/24", "enter 192.168.20.0/24"),
        ("10.0.0.0/8", "narrower"),
        ("fd00::/32", "narrower"),
    ] {
        let problem = networks(wrong).unwrap_err();
        assert!(problem.starts_with(told) || problem.contains(told), "{wrong}: {problem}");
    }
}

#[test]
fn issuer_scopes_variable_and_listener_are_looked_at_alone() {
    for right in ["https://id.example/realms/x", "http://127.0.0.1:9000"] {
        assert!(issuer(right).is_ok(), "{right}");
    }
    for wrong in
        ["id.example", "http://id.example", "https://u:p@id.example", "https://id.example?x", ""]
    {
        assert!(issuer(wrong).is_err(), "{wrong}");
    }
    assert_eq!(scopes(" openid  mail ").unwrap(), ["openid", "mail"]);
    assert!(scopes("").is_err() && scopes("a\"b").is_err());
    assert!(variable("CONTOSO_SECRET").is_ok() && variable("_1").is_ok());
    for wrong in ["", "1A", "A-B", "$A", "A B"] {
        assert!(variable(wrong).is_err(), "{wrong}");
    }
    for right in ["localhost:0", "localhost:1587", "127.0.0.1:587", "[::1]:587"] {
        assert!(check_listen_address(right).is_ok(), "{right}");
    }
    for wrong in ["", "localhost", "localhost:x", "localhost:70000", "localhost:+1", "587"] {
        assert!(check_listen_address(wrong).is_err(), "{wrong}");
    }
}
