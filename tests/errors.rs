//! Every error of `docs/errors.md`, said by a token endpoint to a person's grant, to an application's
//! and to those that ask in other ways: what the client hears, what is logged, and what `accounts`
//! shows.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mailbearer::names::Username;
use mailbearer::sandbox::{Fault, Times};
use mailbearer::secret::RefreshToken;
use mailbearer::web::accounts::AccountRow;
use mailbearer::web::operator::Consent;
use rcgen::{KeyPair, PKCS_RSA_SHA256};
use serde_json::{Value, json};
use support::{ALICE, AUTH_PLAIN, Client, PASSWORD, Rig, RigSettings};
use tokio::time::Duration;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Whose grant is a consent; that of [`ALICE`] is the application's.
const CAROL: &str = "carol@example.com";
const CAROL_ACCOUNT: &str = "[accounts.\"carol@example.com\"]\n\
                             provider = \"sandbox\"\n\
                             grant = \"authorization-code\"\n\
                             local_password = { file = \"password\" }\n";
const CAROL_PLAIN: &str = "AUTH PLAIN AGNhcm9sQGV4YW1wbGUuY29tAGxvY2FsLXBhc3N3b3Jk";

/// What a service account, a password, a machine and a pod ask by; `{…}` is filled in.
const WAYS: [(&str, &str); 4] = [
    ("password", "password = \"provider-password\""),
    (
        "service-account",
        "client_email = \"mail@project.iam.gserviceaccount.com\"\n\
         private_key_id = \"1\"\nprivate_key = \"\"\"{key}\"\"\"",
    ),
    ("managed-identity", "client_id = \"machine\""),
    ("workload-identity", "client_id = \"pod\"\nassertion_file = \"{token}\""),
];

/// A row of the page.
#[derive(Clone, Copy)]
struct Row {
    /// The way that it is for, if it is for one alone.
    way: &'static str,
    said: &'static str,
    kind: &'static str,
    cause: &'static str,
    fix: &'static str,
}

fn rows() -> impl Iterator<Item = Row> {
    let page = include_str!("../docs/errors.md");
    let (errors, _replies) = page.split_once("\n## Replies to mail programs\n").unwrap();
    errors.lines().filter(|line| line.starts_with("| `") || line.contains(" | `")).filter_map(
        |line| {
            let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            // The rows of one way alone have a cell more.
            let (way, cells) = match cells.as_slice() {
                [way, cells @ ..] if cells.len() == 4 => (*way, cells),
                cells => ("", cells),
            };
            let &[said, kind, cause, fix] = cells else { return None };
            Some(Row { way, said: said.trim_matches('`'), kind, cause, fix })
        },
    )
}

/// The rows that count for `way`: its own, and the others where it has none.
fn rows_of(way: &str) -> Vec<Row> {
    let is_own = |row: &Row| {
        row.way == way || (way == "workload-identity" && row.way == "with an assertion")
    };
    let own: Vec<Row> = rows().filter(is_own).collect();
    assert!(!own.is_empty(), "{way} has no row");
    let others = rows().filter(|row| row.way.is_empty());
    let others = others.filter(|row| own.iter().all(|own| own.said != row.said));
    own.iter().copied().chain(others).collect()
}

/// The account that asks so.
fn account_of(way: &str) -> String {
    format!("{way}@example.com")
}

impl Row {
    /// Entra's code, if the row is for one.
    fn code(&self) -> Option<u32> {
        self.said.strip_prefix("AADSTS").map(|digits| digits.parse().unwrap())
    }

    /// What the endpoint says.
    fn body(&self) -> Value {
        let mut body = json!({"trace_id": "trace-1", "correlation_id": "correlation-1"});
        if let Some(code) = self.code() {
            body["error"] = "invalid_grant".into();
            body["error_codes"] = json!([code]);
        } else {
            let (error, more) = self.said.split_once(", ").unwrap_or((self.said, ""));
            body["error"] = error.into();
            // Google writes a sentence where Entra has a word.
            let member = if more.contains(' ') { "error_description" } else { "suberror" };
            body[member] = more.into();
        }
        body
    }

    /// Who has to act for the grant of `account`: nobody can sign in for an application.
    fn kind_for(&self, account: &str) -> &'static str {
        if self.kind == "consent" && account != CAROL { "admin" } else { self.kind }
    }

    /// Whether a service account's key tells more than the page: whom to delegate what.
    fn is_of_delegation(&self) -> bool {
        self.way == "service-account"
            && matches!(self.said, "unauthorized_client" | "access_denied")
    }

    fn assert_is_shown(&self, account: &str, shown: &AccountRow) {
        let kind = self.kind_for(account);
        let state = if kind == "consent" { "consent needed" } else { "failing" };
        assert_eq!(shown.token, state, "{shown:?}");
        let error = shown.last_error.as_ref().unwrap();
        assert_eq!((error.kind.as_str(), error.aadsts), (kind, self.code()), "{shown:?}");
        assert_eq!(error.error.as_deref(), self.body()["error"].as_str());
        assert_eq!(error.trace_id.as_deref(), Some("trace-1"));
        assert_eq!(error.correlation_id.as_deref(), Some("correlation-1"));
        assert!(error.cause.ends_with(&format!(": {}", self.cause)), "{error:?}");
        let authorize = format!("run `mailbearer authorize {account}`");
        match (self.kind, kind) {
            ("consent", "admin") => assert!(!error.fix.contains("authorize"), "{error:?}"),
            ("consent", _) => assert_eq!(error.fix, authorize),
            _ if self.is_of_delegation() => {
                assert!(error.fix.contains("Domain-wide delegation, add"), "{error:?}");
            }
            _ => assert_eq!(error.fix, self.fix),
        }
    }

    fn assert_is_logged(&self, account: &str, logged: &str) {
        let kind = self.kind_for(account);
        let refusal = match kind {
            "temporary" => "token-endpoint-unavailable",
            "consent" => "consent-needed",
            _ => "grant-refused",
        };
        let warnings: Vec<_> = logged.lines().filter(|line| line.contains(" WARN ")).collect();
        let [error, refused] = warnings.try_into().unwrap_or_else(|_| panic!("{logged}"));
        let code = self.code().map_or(String::new(), |code| format!(" aadsts={code} "));
        let said = format!("error={}", self.body()["error"]);
        for told in [&format!("kind=\"{kind}\""), &said, &code, self.cause, "trace_id=\"trace-1\""]
        {
            assert!(error.contains(told), "{told} is not in {error}");
        }
        for told in [&format!("refusal=\"{refusal}\""), account, self.cause] {
            assert!(refused.contains(told), "{told} is not in {refused}");
        }
    }
}

/// How the replies to a submission and to an IMAP sign-in begin.
fn replies(kind: &str) -> [&'static str; 2] {
    match kind {
        "temporary" => ["454 4.7.0 the provider's token endpoint", "a NO [UNAVAILABLE] the"],
        "consent" => [
            "454 4.7.0 this account has to be authorized, run: mailbearer authorize carol@example.com",
            "a NO [CONTACTADMIN] this account has to be authorized, run: mailbearer authorize \
             carol@example.com",
        ],
        "admin" | "configuration" => [
            "454 4.7.0 the provider gives no token for this account",
            "a NO [CONTACTADMIN] the provider gives no access",
        ],
        _ => panic!("{kind}"),
    }
}

/// Collects what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Collects what this thread logs until the guard is dropped.
    fn subscribe(&self) -> DefaultGuard {
        let writer = self.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false);
        subscriber.with_writer(move || writer.clone()).finish().set_default()
    }

    /// What was logged since the last call.
    fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
    }
}

async fn sign_in(rig: &Rig, plain: &str) -> String {
    let mut client = Client::connect(rig.submission).await;
    client.expect("220 ").await;
    client.ask(plain, "").await
}

async fn log_in(rig: &Rig, account: &str) -> String {
    let mut client = Client::connect(rig.imap).await;
    client.expect("* OK").await;
    client.ask(&format!("a LOGIN {account} {PASSWORD}"), "").await
}

/// Reads the file again, which ends the pause after the last refusal.
async fn unpause(rig: &Rig) {
    rig.reload(|text| text).await.unwrap();
}

async fn shown(rig: &Rig, account: &str) -> AccountRow {
    let rows = rig.operator.accounts().await.unwrap();
    rows.into_iter().find(|row| row.account == account).unwrap()
}

/// The accounts of all [`WAYS`]; what is read from a file lies in `dir`.
fn accounts_of_ways(dir: &Path) -> String {
    let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap().serialize_pem();
    let token = dir.join("token");
    // Nobody looks into it: the endpoint answers by its script.
    std::fs::write(&token, "eyJhbGciOiJSUzI1NiJ9.e30.c2ln").unwrap();
    let accounts = WAYS.map(|(way, keys)| {
        let keys = keys.replace("{key}", &key).replace("{token}", token.to_str().unwrap());
        format!(
            "[accounts.\"{}\"]\nprovider = \"sandbox\"\ngrant = \"{way}\"\n{keys}\n\
             local_password = {{ file = \"password\" }}\n",
            account_of(way)
        )
    });
    accounts.join("\n")
}

#[tokio::test]
async fn each_error_is_told_as_it_is_meant_for_the_way_of_asking() {
    let log = Log::default();
    let _subscribed = log.subscribe();
    let dir = tempfile::tempdir().unwrap();
    let extra = accounts_of_ways(dir.path()).leak();
    let rig = Rig::with(RigSettings { extra, ..RigSettings::default() }).await;
    // What is for one resource alone; the others do without.
    rig.reload(|text| text.replace("scopes =", "resource = \"https://mail.example\"\nscopes ="))
        .await
        .unwrap();
    for (way, _) in WAYS {
        let account = &account_of(way);
        for row in rows_of(way) {
            let fault = Fault::Status(400, "application/json".into(), row.body().to_string());
            rig.provider.token_fault(fault, Times::Always);
            let [by_smtp, by_imap] = replies(row.kind_for(account));
            unpause(&rig).await;
            log.take();
            let plain =
                format!("AUTH PLAIN {}", STANDARD.encode(format!("\0{account}\0{PASSWORD}")));
            let heard = sign_in(&rig, &plain).await;
            assert!(heard.starts_with(by_smtp), "{way} {}: {heard}", row.said);
            row.assert_is_logged(account, &log.take());
            row.assert_is_shown(account, &shown(&rig, account).await);
            if !row.way.is_empty() {
                unpause(&rig).await;
                let heard = log_in(&rig, account).await;
                assert!(heard.starts_with(by_imap), "{way} {}: {heard}", row.said);
            }
            rig.provider.clear_token_faults();
        }
    }
}

#[tokio::test]
async fn each_error_is_told_to_the_client_in_the_log_and_in_accounts() {
    let log = Log::default();
    let _subscribed = log.subscribe();
    let rig = Rig::with(RigSettings { extra: CAROL_ACCOUNT, ..RigSettings::default() }).await;
    let carol = Username::parse(CAROL).unwrap();
    // So that every sign-in asks for one.
    rig.provider.set_token_life(Duration::ZERO);
    let refresh_token = RefreshToken::parse(&rig.provider.issue_refresh_token(&carol)).unwrap();
    let consent = Consent { refresh_token, users: Vec::new() };
    rig.operator.authorize(&carol, consent).await.unwrap();

    let mut count = 0;
    for row in rows().filter(|row| row.way.is_empty()) {
        count += 1;
        let body = row.body().to_string();
        let fault = Fault::Status(400, "application/json".into(), body);
        rig.provider.token_fault(fault, Times::Always);
        for (account, plain) in [(ALICE, AUTH_PLAIN), (CAROL, CAROL_PLAIN)] {
            let [by_smtp, by_imap] = replies(row.kind_for(account));
            unpause(&rig).await;
            let before = rig.provider.token_requests();
            log.take();
            let heard = sign_in(&rig, plain).await;
            assert!(heard.starts_with(by_smtp), "{}: {heard}", row.said);
            row.assert_is_logged(account, &log.take());
            row.assert_is_shown(account, &shown(&rig, account).await);
            assert_eq!(rig.provider.token_requests(), before + 1, "{}", row.said);

            unpause(&rig).await;
            let heard = log_in(&rig, account).await;
            assert!(heard.starts_with(by_imap), "{}: {heard}", row.said);
        }

        // Whatever was said, the consent was kept.
        rig.provider.clear_token_faults();
        unpause(&rig).await;
        rig.operator.token(&carol, None).await.unwrap();
        let shown = shown(&rig, CAROL).await;
        assert_eq!((shown.token.as_str(), shown.last_error), ("not asked yet", None));
    }
    assert!(count > 80, "only {count} rows were found");
}
