//! The built-in providers, the grants and the errors are those that the documents show.

use std::fs;

use mailbearer::config::{Config, Secrets};
use mailbearer::provider::{GrantKind, MailHost, UpstreamTls};

use super::pages::{pages, root};
use super::scene::Scene;

/// The row of the provider `name`, by what the program makes of its name alone.
fn row(name: &str) -> String {
    let mut file = format!(
        "[listeners.submission]\nprotocol = \"submission\"\naddress = \"localhost:0\"\n\
         [accounts.\"alice@example.com\"]\nprovider = \"{name}\"\nclient_id = \"id\"\n\
         grant = \"authorization-code\"\n"
    );
    if name.starts_with("microsoft") {
        file.push_str("tenant = \"example.com\"\n");
    }
    let scene = Scene::new(&file);
    let config = Config::load(&scene.dir.path().join("mailbearer.toml"), Secrets::Verify).unwrap();
    let account = config.accounts.first().unwrap();
    let shown = |host: Option<&MailHost>| {
        let Some(MailHost { host, port, tls }) = host else { return "–".to_owned() };
        assert_eq!(*tls == UpstreamTls::StartTls, *port == 587, "{name}");
        format!("{host}:{port}")
    };
    let token = account.grant.server.token_endpoint.as_deref().unwrap();
    format!(
        "| `{name}` | {} | {} | {} | {} |",
        shown(account.provider.hosts.submission.as_ref()),
        shown(account.provider.hosts.imap.as_ref()),
        shown(account.provider.hosts.pop3.as_ref()),
        token.split('/').nth(2).unwrap(),
    )
}

#[test]
fn every_built_in_provider_is_shown_as_it_is_and_no_other() {
    let source = fs::read_to_string(root().join("src/config/presets/mod.rs")).unwrap();
    let (_, names) = source.split_once("const NAMES:").unwrap();
    let (names, _) = names.split_once("];").unwrap();
    let rows: Vec<String> = names.split('"').skip(1).step_by(2).map(row).collect();
    assert!(rows.len() >= 10, "{rows:?}");
    let page = pages().into_iter().find(|page| page.name == "docs/configuration.md").unwrap();
    let (_, table) = page.text.split_once("| `provider` | SMTP |").unwrap();
    let shown: Vec<&str> = table.lines().skip(2).take_while(|row| row.starts_with("| ")).collect();
    assert_eq!(shown, rows);
}

#[test]
fn every_grant_has_one_row_in_the_readme() {
    let page = pages().into_iter().find(|page| page.name == "README.md").unwrap();
    let (_, table) = page.text.split_once("| `grant` | for | example |").unwrap();
    let rows = table.lines().skip(2).take_while(|row| row.starts_with("| `"));
    let mut shown: Vec<&str> = rows.filter_map(|row| row.split('`').nth(1)).collect();
    let mut grants = GrantKind::ALL.map(GrantKind::name);
    shown.sort_unstable();
    grants.sort_unstable();
    assert_eq!(shown, grants);
}

#[test]
fn every_code_of_entra_in_a_guide_stands_among_the_errors() {
    // Told to the person in the browser, never to a program: no redirect leads back.
    const IN_THE_BROWSER: [&str; 1] = ["AADSTS50011"];
    let pages = pages();
    let errors = pages.iter().find(|page| page.name == "docs/errors.md").unwrap();
    let mut found = 0;
    for page in pages.iter().filter(|page| page.name.ends_with(".md")) {
        let codes = page.text.split("`AADSTS").skip(1).filter_map(|rest| rest.split('`').next());
        for code in codes.filter(|code| code.bytes().all(|it| it.is_ascii_digit())) {
            let code = format!("AADSTS{code}");
            let is_known = errors.text.contains(&format!("| `{code}` |"));
            assert!(is_known || IN_THE_BROWSER.contains(&code.as_str()), "{}: {code}", page.name);
            found += 1;
        }
    }
    assert!(found > 20, "{found}");
}
