//! What a file means, and what is told about one that is wrong. The examples in `config/` are read
//! as they are.

mod clients;
mod devices;
mod doors;
mod egress;
mod grant_of;
mod later;
mod listener_tls;
mod mailbox_limits;
mod person;
mod pop3;
mod presets;
mod providers;
mod refused;
mod secrets;
mod sender;
mod store;
mod ways;
mod web;

use std::env::VarError;
use std::fs;
use std::sync::Arc;

use super::*;
use crate::account::LocalPassword;
use crate::names::Username;
use crate::net::listen::{Door, ListenAddress};
use crate::provider::{MailHost, Mechanism, PerProtocol, Protocol, Provider, UpstreamTls};
use crate::relay::ListenerTls;
use crate::secret::SecretSource;

/// A file without problems, on which the tests below make changes.
const GOOD: &str = r#"[listeners.submission]
protocol = "submission"
address = "localhost:1587"

[accounts."alice@contoso.com"]
provider = "microsoft"
tenant = "contoso.com"
client_id = "app"
client_secret = { env = "SECRET" }
grant = "client-credentials"
local_password = { env = "SECRET" }
"#;

/// The lines of [`GOOD`] that tests replace most; the empty line 4 and the one behind the end take
/// what a test adds.
const PROTOCOL: usize = 2;
const ADDRESS: usize = 3;
const LISTENER: usize = 4;
const ACCOUNT: usize = 5;
const PROVIDER: usize = 6;
const TENANT: usize = 7;
const CLIENT_ID: usize = 8;
const CLIENT_SECRET: usize = 9;
const GRANT: usize = 10;
const LOCAL_PASSWORD: usize = 11;
const END: usize = 12;

/// The secret in every test; it must never be told.
const SECRET: &str = "tell-nobody";

/// `tell-nobody` by Argon2id.
const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$5hJA/YXsmSeeakXDQPa3mg$\
                    BKG2GNX8EvYyhDShXMzCc3vWTkuZ/jYn6BS2t4R5hT4";

fn env(name: &str) -> Result<String, VarError> {
    match name {
        "SECRET" | "CONTOSO_CLIENT_SECRET" | "INVOICES_LOCAL_PASSWORD" | "CORP_CLIENT_SECRET" => {
            Ok(SECRET.into())
        }
        "EMPTY" => Ok(String::new()),
        "HOME" => Ok("/home/mailbearer".into()),
        "PATH" => Ok("/usr/bin:/bin".into()),
        "BINARY" => Err(VarError::NotUnicode("?".into())),
        _ => Err(VarError::NotPresent),
    }
}

fn parse(text: &str) -> Result<Config, Vec<Problem>> {
    Config::parse(text, Path::new("/nowhere"), &env, Secrets::Verify)
}

/// [`GOOD`] with other text in place of some lines.
fn good_with(changes: &[(usize, &str)]) -> String {
    let lines = GOOD.lines().chain([""]).enumerate();
    let changed = lines.map(|(at, line)| {
        changes.iter().find(|(number, _)| *number == at + 1).map_or(line, |(_, text)| text)
    });
    changed.collect::<Vec<_>>().join("\n")
}

fn config(changes: &[(usize, &str)]) -> Config {
    parse(&good_with(changes)).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

/// The first lines of all problems, each `LINE: sentence`.
fn problems(text: &str) -> Vec<String> {
    let problems = parse(text).expect_err("the file has a problem");
    let rendered = problems.iter().map(|problem| {
        assert!(!problem.help.is_empty() && !problem.help.ends_with('.'), "{problem:?}");
        assert!(!problem.message.ends_with('.'), "{problem:?}");
        assert!(!format!("{problem:?}").contains(SECRET), "a secret is told");
        let rendered = problem.in_file(Path::new("F")).to_string();
        let (sentence, help) = rendered.split_once("\n  ").unwrap();
        assert!(!help.contains('\n'), "{rendered}");
        sentence.strip_prefix("F:").unwrap().to_owned()
    });
    rendered.collect()
}

/// Checks what is told about single wrong lines: pairs of
///
/// - `LINE TEXT`, put in place of that line of [`GOOD`], or `+ TEXT`, put behind it as the first
///   key of `[table]`; and
/// - `KEY SENTENCE`, the one problem that this makes, the key relative to `table`; or
///   `LINE: SENTENCE` whole.
fn refused(table: &str, cases: &str) {
    let mut lines = cases.lines().map(str::trim).filter(|line| !line.is_empty());
    while let (Some(change), Some(told)) = (lines.next(), lines.next()) {
        let (line, text) = change.split_once(' ').unwrap_or((change, ""));
        let (text, told_line) = match line.parse() {
            Ok(line) => (good_with(&[(line, text)]), line),
            Err(_) => (good_with(&[(END, &format!("[{table}]\n{text}"))]), END + 1),
        };
        let is_whole = told.split_once(": ").is_some_and(|(line, _)| line.parse::<u8>().is_ok());
        let (key, sentence) = told.split_once(' ').unwrap();
        let relative = format!("{told_line}: `{table}.{key}` {sentence}");
        assert_eq!(problems(&text), [if is_whole { told } else { &relative }], "{change}");
    }
}

#[test]
fn a_file_means_what_the_documentation_says() {
    let config = config(&[]);
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    assert_eq!((config.limits, config.log), (Limits::default(), LogSettings::default()));
    assert_eq!(config.grace, Duration::from_secs(30));
    let [listener] = config.listeners.try_into().unwrap();
    let loopback = ["127.0.0.0/8", "::1/128"].map(|network| network.parse().unwrap());
    assert_eq!(
        listener,
        ListenerSettings {
            name: "submission".into(),
            protocol: Protocol::Submission,
            addresses: vec![Door::Tcp(ListenAddress::Localhost(1587))],
            allow: loopback.to_vec(),
            proxy_protocol_from: Vec::new(),
            accounts: None,
            devices: false,
            upstream: None,
            tls: ListenerTls::None,
            require_tls: None,
        }
    );
    let [account] = config.accounts.try_into().unwrap();
    assert_eq!(account.name.to_string(), "alice@contoso.com");
    assert_eq!(account.mailbox.submission, None);
    assert!(matches!(account.local_password, LocalPassword::Plain(SecretSource::Env { .. })));
    let grant = &account.grant;
    let endpoint = "https://login.microsoftonline.com/contoso.com/oauth2/v2.0/token";
    assert_eq!((grant.source(), grant.client_id()), (endpoint, "app"));
    let provider = &account.provider;
    let [submission, imap] = [&provider.hosts.submission, &provider.hosts.imap]
        .map(|host| host.as_ref().map(|host| (host.to_string(), host.tls)).unwrap());
    assert_eq!(submission, ("smtp.office365.com:587".into(), UpstreamTls::StartTls));
    assert_eq!(imap, ("outlook.office365.com:993".into(), UpstreamTls::Implicit));
    assert_eq!(account.scopes.imap, ["https://outlook.office365.com/.default"]);
    assert_eq!(provider.mechanism, Mechanism::Xoauth2);
    assert!(provider.declared_ehlo.contains(&"SIZE 157286400"));
}

#[test]
fn all_problems_are_told_at_once_and_by_line() {
    let text = good_with(&[
        (PROTOCOL, r#"protocol = "smtp""#),
        (ADDRESS, r#"adress = "localhost:1587""#),
        (TENANT, r#"tenant = "common""#),
        (CLIENT_SECRET, r#"client_secret = { env = "NOWHERE" }"#),
        (END, "[limits]\nsessions = 0\n[web]\nprobes = \"on\""),
    ]);
    assert_eq!(
        problems(&text),
        [
            "1: `listeners.submission` lacks `address`",
            "2: `listeners.submission.protocol` is \"smtp\", which mailbearer does not know",
            "3: `listeners.submission.adress` is no key that mailbearer knows; the nearest is \
             `address`",
            "7: `accounts.\"alice@contoso.com\".tenant` is \"common\", which is no tenant",
            "9: `accounts.\"alice@contoso.com\".client_secret.env` names the environment variable \
             NOWHERE, which is not set",
            "13: `limits.sessions` is 0, which is out of range",
            "15: `web.probes` is \"on\", which is no address with a port",
        ]
    );
}

#[test]
fn a_wrong_key_hides_nothing_that_is_wrong_beside_it() {
    let text = good_with(&[
        (PROTOCOL, "protocol = \"imap4\"\nallow = \"here\"\nnonsense = 1"),
        (ADDRESS, "address = \"192.0.2.1:1587\""),
        (LISTENER, "accounts = \"bob@contoso.com\""),
        (TENANT, ""),
        (CLIENT_ID, "client_id = \"\"\nnonsense = 1"),
        (CLIENT_SECRET, ""),
        (LOCAL_PASSWORD, "local_password = \"\""),
        (END, "[nonsense]\n[log]\nlevel = 1"),
    ]);
    let problems = problems(&text);
    let lines: Vec<&str> =
        problems.iter().map(|problem| problem.split_once(':').unwrap().0).collect();
    // Line 7, the account, lacks both tenant and client_secret.
    let expected = ["2", "3", "4", "5", "6", "7", "7", "10", "11", "14", "15", "17"];
    assert_eq!(lines, expected, "{problems:#?}");
}

#[test]
fn an_account_that_lacks_everything_is_told_all_of_it() {
    let account = [PROVIDER, TENANT, CLIENT_ID, CLIENT_SECRET, GRANT, LOCAL_PASSWORD];
    let text = good_with(&account.map(|line| (line, "")));
    assert_eq!(problems(&text), ["5: `accounts.\"alice@contoso.com\"` lacks `provider`"]);
    let lacks = |key| format!("5: `accounts.\"alice@contoso.com\"` lacks `{key}`");
    let keys = [TENANT, CLIENT_ID, CLIENT_SECRET];
    assert_eq!(
        problems(&good_with(&keys.map(|line| (line, "")))),
        ["tenant", "client_id", "client_secret"].map(lacks)
    );
    let keys = [TENANT, CLIENT_ID, CLIENT_SECRET, GRANT];
    assert_eq!(
        problems(&good_with(&keys.map(|line| (line, "")))),
        ["grant"].map(lacks),
        "what else is needed depends on the grant"
    );
}

#[test]
fn a_problem_names_file_line_and_key_and_says_what_to_do() {
    let problems = parse(&good_with(&[(ADDRESS, r#"address = "localhost""#)])).unwrap_err();
    let error = ConfigError::Problems { path: "mailbearer.toml".into(), problems };
    assert_eq!(
        error.to_string(),
        "mailbearer.toml:3: `listeners.submission.address` is \"localhost\", which is no address \
         with a port\n  write \"localhost:PORT\", \"127.0.0.1:PORT\" or \"[::1]:PORT\""
    );
}

#[test]
fn an_empty_file_lacks_listeners_and_accounts() {
    let lacking = ["1: the file lacks `listeners`", "1: the file lacks `accounts`"];
    assert_eq!(problems(""), lacking);
    assert_eq!(problems("[listeners]\n[accounts]\n"), lacking);
}

#[test]
fn a_text_that_is_no_toml_is_told_alone_and_without_what_it_holds() {
    let text = good_with(&[
        (ADDRESS, r#"adress = 1"#),
        (CLIENT_SECRET, "client_secret = tell-nobody"),
        (GRANT, "grant \"client-credentials\""),
    ]);
    let problems = problems(&text);
    let lines: Vec<&str> = problems.iter().map(|problem| &problem[..14]).collect();
    assert_eq!(lines, ["9: is no TOML:", "10: is no TOML"]);
}

#[test]
fn a_key_that_stands_twice_is_refused() {
    let text = good_with(&[(TENANT, "tenant = \"contoso.com\"\ntenant = \"contoso.com\"")]);
    assert_eq!(problems(&text), ["8: is no TOML: duplicate key"]);
}

#[test]
fn a_key_of_a_listener_reaches_its_settings() {
    let config = config(&[
        (PROTOCOL, r#"protocol = "imap""#),
        (ADDRESS, r#"address = ["127.0.0.1:0", "[::1]:0", "192.0.2.1:143", "127.0.0.1:0"]"#),
        (
            LISTENER,
            r#"
            tls = "none"
            require_tls = false
            allow = ["192.0.2.0/24", "192.0.2.7", "fd00::/8"]
            accounts = ["Alice@Contoso.com", "*@contoso.com"]
            upstream = { host = "[::1]", port = 1143, tls = "implicit" }"#,
        ),
    ]);
    let listener = &config.listeners[0];
    assert_eq!(listener.protocol, Protocol::Imap);
    let addresses = ["127.0.0.1:0", "[::1]:0", "192.0.2.1:143", "127.0.0.1:0"];
    let addresses =
        addresses.map(|address| Door::Tcp(ListenAddress::Socket(address.parse().unwrap())));
    assert_eq!(listener.addresses, addresses);
    let allow: Vec<String> = listener.allow.iter().map(ToString::to_string).collect();
    assert_eq!(allow, ["192.0.2.0/24", "192.0.2.7/32", "fd00::/8"]);
    let accounts = ["alice@contoso.com", "*@contoso.com"];
    let accounts = accounts.map(|pattern| AccountPattern::parse(pattern).unwrap());
    assert_eq!(listener.accounts.as_deref(), Some(&accounts.iter().collect()));
    let upstream = MailHost { host: "::1".into(), port: 1143, tls: UpstreamTls::Implicit };
    assert_eq!(listener.upstream, Some(upstream));
}

#[test]
fn a_provider_of_ones_own_is_just_what_the_file_says() {
    let config = config(&[
        (PROVIDER, r#"provider = "corp""#),
        (TENANT, ""),
        (
            END,
            r#"[providers.corp]
            token_endpoint = "http://[::1]:8080/token?x=y"
            scopes = { submission = ["smtp", "mail"] }
            submission = { host = "Smtp.Corp.Example", port = 465, tls = "implicit" }
            mechanism = "oauthbearer""#,
        ),
    ]);
    let account = &config.accounts[0];
    assert_eq!(account.grant.source(), "http://[::1]:8080/token?x=y");
    let host = MailHost { host: "smtp.corp.example".into(), port: 465, tls: UpstreamTls::Implicit };
    let expected = Provider {
        name: "corp".into(),
        hosts: PerProtocol { submission: Some(host), ..PerProtocol::default() },
        mechanism: Mechanism::OauthBearer,
        ca_file: None,
        declared_ehlo: &[],
        is_untried: false,
        concurrent_sessions: PerProtocol::default(),
        messages_per_minute: None,
    };
    assert_eq!(*account.provider, expected);
    let scopes =
        PerProtocol { submission: vec!["smtp".into(), "mail".into()], ..PerProtocol::default() };
    assert_eq!(account.scopes, scopes);
}

#[test]
fn a_table_of_a_built_in_provider_overrides_its_keys() {
    let config = config(&[(
        END,
        r#"[providers.microsoft]
        token_endpoint = "http://127.0.0.1:8080/{tenant}/token"
        submission = { host = "127.0.0.1", port = 2525, tls = "starttls" }"#,
    )]);
    let account = &config.accounts[0];
    assert_eq!(account.grant.source(), "http://127.0.0.1:8080/contoso.com/token");
    let hosts = &account.provider.hosts;
    assert_eq!(hosts.submission.as_ref().unwrap().to_string(), "127.0.0.1:2525");
    assert_eq!(hosts.imap.as_ref().unwrap().to_string(), "outlook.office365.com:993");
    assert_eq!(account.scopes.imap, ["https://outlook.office365.com/.default"]);
    assert!(account.provider.declared_ehlo.is_empty(), "another server, another EHLO");
}

#[test]
fn an_account_inherits_what_it_leaves_out_from_its_provider() {
    let config = config(&[
        (TENANT, ""),
        (CLIENT_ID, r#"client_id = "own""#),
        (CLIENT_SECRET, ""),
        (GRANT, ""),
        (
            END,
            r#"[providers.microsoft]
            tenant = "01234567-89AB-cdef-0123-456789abcdef"
            client_id = "inherited"
            client_secret = "tell-nobody"
            grant = "client-credentials""#,
        ),
    ]);
    let grant = &config.accounts[0].grant;
    assert!(grant.source().contains("/01234567-89ab-cdef-0123-456789abcdef/"));
    assert_eq!(grant.client_id(), "own");
}

/// A second account at the end of [`GOOD`].
fn second_account(name: &str, changes: &[(&str, &str)]) -> String {
    let mut text = GOOD.lines().skip(ACCOUNT).collect::<Vec<_>>().join("\n");
    for (from, to) in changes {
        assert!(text.contains(from));
        text = text.replace(from, to);
    }
    format!("[accounts.\"{name}\"]\n{text}")
}

#[test]
fn accounts_of_one_application_share_their_grant() {
    let shared = |changes: &[(&str, &str)]| {
        let config = config(&[(END, &second_account("*@contoso.com", changes))]);
        let [one, other] = config.accounts.try_into().unwrap();
        Arc::ptr_eq(&one.grant, &other.grant)
    };
    assert!(shared(&[]));
    assert!(shared(&[("contoso.com", "Contoso.COM")]), "a tenant ignores case");
    assert!(!shared(&[("client_id = \"app\"", "client_id = \"other\"")]));
    assert!(!shared(&[("tenant = \"contoso.com\"", "tenant = \"fabrikam.com\"")]));
}

#[test]
fn accounts_of_one_application_with_two_secrets_are_refused() {
    // The same secret in two places would be two, once one of them is renewed.
    for other in ["\"another tell-nobody\"", "\"tell-nobody\"", "{ env = \"CORP_CLIENT_SECRET\" }"]
    {
        let other = ("{ env = \"SECRET\" }\ngrant", &*format!("{other}\ngrant"));
        assert_eq!(
            problems(&good_with(&[(END, &second_account("bob@contoso.com", &[other]))])),
            ["16: `accounts.\"bob@contoso.com\".client_secret` is not that of \
              `accounts.\"alice@contoso.com\"`, which names the same application"]
        );
    }
}

#[test]
fn an_account_that_stands_twice_is_refused_whatever_its_case() {
    assert_eq!(
        problems(&good_with(&[(END, &second_account("ALICE@contoso.com", &[]))])),
        ["12: `accounts.\"ALICE@contoso.com\"` is `accounts.\"alice@contoso.com\"` again: names \
          ignore case"]
    );
}

#[test]
fn an_exact_account_comes_before_a_wildcard_wherever_it_stands() {
    let wildcard = r#"[accounts."*@contoso.com"]"#;
    let exact = second_account("alice@contoso.com", &[]);
    let config = config(&[(ACCOUNT, wildcard), (END, &exact)]);
    let names: Vec<String> = config.accounts.iter().map(|own| own.name.to_string()).collect();
    assert_eq!(names, ["alice@contoso.com", "*@contoso.com"]);
}

#[test]
fn a_mailbox_may_differ_by_protocol() {
    let user = |name| Some(Username::parse(name).unwrap());
    let mailbox = |text| config(&[(END, text)]).accounts[0].mailbox.clone();
    let both = mailbox(r#"mailbox = "Shared@contoso.com""#);
    assert_eq!(
        (both.submission, both.imap),
        (user("Shared@contoso.com"), user("Shared@contoso.com"))
    );
    assert_eq!(both.pop3, user("Shared@contoso.com"));
    let one = mailbox(r#"mailbox = { imap = "shared@contoso.com" }"#);
    assert_eq!((one.submission, one.imap, one.pop3), (None, user("shared@contoso.com"), None));
    let other = mailbox(r#"mailbox = { pop3 = "shared@contoso.com" }"#);
    assert_eq!((other.imap, other.pop3), (None, user("shared@contoso.com")));
}

#[test]
fn a_hash_is_taken_as_a_local_password() {
    let line = format!("local_password = \"{HASH}\"");
    let config = config(&[(LOCAL_PASSWORD, &line)]);
    assert!(matches!(config.accounts[0].local_password, LocalPassword::Hash(_)));
}

#[test]
fn an_account_without_local_password_is_read_for_one_can_be_made() {
    let config = config(&[(LOCAL_PASSWORD, "")]);
    assert!(matches!(config.accounts[0].local_password, LocalPassword::None));
    assert_eq!(warnings(&config), Vec::<String>::new());
}

#[test]
fn what_is_probably_not_meant_is_warned_of() {
    let off_loopback = config(&[(ADDRESS, "address = \"0.0.0.0:1\"\nrequire_tls = false")]);
    assert_eq!(
        warnings(&off_loopback),
        ["1: `listeners.submission` lacks `allow`, so none but this machine may connect"]
    );
    let unserved = second_account("bob@contoso.com", &[]);
    let unserved = [(LISTENER, r#"accounts = ["alice@contoso.com"]"#), (END, &unserved)];
    assert_eq!(
        warnings(&config(&unserved)),
        ["12: `accounts.\"bob@contoso.com\"` is served by no listener"]
    );
}

fn warnings(config: &Config) -> Vec<String> {
    config
        .warnings
        .iter()
        .map(|warning| {
            let key = warning.key.as_deref().unwrap();
            format!("{}: `{key}` {}", warning.line, warning.message)
        })
        .collect()
}

#[test]
fn plain_settings_are_taken_at_both_ends_of_their_ranges() {
    let low = config(&[(
        END,
        r#"[limits]
        sign_in_timeout = "5s"
        idle_timeout = "1m"
        sessions = 1
        sessions_per_peer = 1
        wait_for_slot = "0s"
        warm_connections = 0
        [log]
        level = "trace"
        format = "json"
        [shutdown]
        grace = "0s""#,
    )]);
    let seconds = Duration::from_secs;
    let limits = low.limits;
    assert_eq!((limits.sign_in_timeout, limits.idle_timeout), (seconds(5), seconds(60)));
    assert_eq!((limits.sessions, limits.sessions_per_peer), (1, 1));
    assert_eq!((limits.wait_for_slot, limits.warm_connections), (Duration::ZERO, 0));
    assert_eq!(low.log, LogSettings { level: tracing::Level::TRACE, format: LogFormat::Json });
    assert_eq!(low.grace, Duration::ZERO);

    let high = config(&[(
        END,
        r#"[limits]
        sign_in_timeout = "10m"
        idle_timeout = "24h"
        sessions = 500_000
        wait_for_slot = "10m"
        warm_connections = 64
        [shutdown]
        grace = "1h""#,
    )]);
    assert_eq!(high.limits.sign_in_timeout, seconds(600));
    assert_eq!(high.limits.idle_timeout, seconds(86_400));
    assert_eq!((high.limits.wait_for_slot, high.limits.warm_connections), (seconds(600), 64));
    assert_eq!((high.limits.sessions, high.limits.sessions_per_peer), (500_000, 100));
    assert_eq!(high.grace, seconds(3600));
}

#[test]
fn limits_that_are_left_out_are_those_that_are_documented() {
    for text in ["", "[limits]\n"] {
        let limits = config(&[(END, text)]).limits;
        assert_eq!(limits.sign_in_timeout, Duration::from_secs(60));
        assert_eq!(limits.idle_timeout, Duration::from_secs(35 * 60));
        assert_eq!((limits.sessions, limits.sessions_per_peer), (10_000, 100));
        assert_eq!(limits.wait_for_slot, Duration::from_secs(60));
        assert_eq!(limits.warm_connections, 8);
    }
}

#[test]
fn a_file_that_cannot_be_read_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mailbearer.toml");
    let told = || Config::load(&path, Secrets::Verify).unwrap_err().to_string();
    let shown = path.display();
    assert!(told().starts_with(&format!("{shown}: cannot be read (no such file)\n  ")));
    fs::write(&path, b"# one\n# \xff\n").unwrap();
    assert!(told().starts_with(&format!("{shown}:2: is not UTF-8 text\n  ")));
    let comment = |len| format!("#{}", "x".repeat(len - 1));
    let longest = usize::try_from(FILE_LEN_MAX).unwrap();
    fs::write(&path, comment(longest)).unwrap();
    assert!(told().starts_with(&format!("{shown}:1: the file lacks")), "16 MiB are read");
    fs::write(&path, comment(longest + 1)).unwrap();
    assert!(told().starts_with(&format!("{shown}: is larger than 16 MiB\n  ")));
}
