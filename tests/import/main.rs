//! `import emailproxy`: what somebody who moves over gets, told by `check` and by the file.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod consent;
mod names;
mod sample;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;
use toml::{Table, Value};

/// Runs mailbearer in `dir`.
fn mailbearer(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailbearer"));
    command.args(args).current_dir(dir).env_clear().env("HOME", dir).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// What is made of a file.
struct Imported {
    dir: TempDir,
    toml: String,
    table: Table,
    told: String,
}

impl Imported {
    /// Imports `config`, which has to go well, and has `check` look at the result.
    fn of(config: &str) -> Self {
        Self::beside(config, &[])
    }

    /// The same beside `files`, each with its content.
    fn beside(config: &str, files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(dir.path().join(name), content).unwrap();
        }
        fs::write(dir.path().join("emailproxy.config"), config).unwrap();
        let arguments = ["import", "emailproxy", "emailproxy.config", "-o", "mailbearer.toml"];
        let output = mailbearer(dir.path(), &arguments);
        let told = text(&output.stderr).to_owned();
        assert_eq!(output.status.code(), Some(0), "{told}");
        let toml = fs::read_to_string(dir.path().join("mailbearer.toml")).unwrap();
        let check = mailbearer(dir.path(), &["check"]);
        assert_eq!(check.status.code(), Some(0), "{toml}\n{}", text(&check.stderr));
        let table = toml.parse().unwrap();
        Self { dir, toml, table, told }
    }

    fn get(&self, table: &str, name: &str) -> &Table {
        self.table.get(table).unwrap().get(name).unwrap().as_table().unwrap()
    }

    fn has(&self, table: &str, name: &str) -> bool {
        self.table.get(table).is_some_and(|tables| tables.get(name).is_some())
    }

    /// Whether it is told on standard error and in the file, whose lines are cut elsewhere.
    fn tells(&self, said: &str) -> bool {
        let words = |text: &str| text.replace("\n# ", " ").contains(said);
        self.told.contains(said) && words(&self.toml)
    }
}

const SERVERS: &str = "
[IMAP-1993]
server_address = outlook.office365.com
server_port = 993
local_address = 127.0.0.1
[POP-1995]
server_address = outlook.office365.com
server_port = 995
local_address = ::1
[SMTP-1587]
server_address = smtp.office365.com
server_port = 587
server_starttls = True
local_address = localhost
";

const PERSON: &str = "
[alice@contoso.com]
permission_url = https://login.microsoftonline.com/contoso.com/oauth2/v2.0/authorize
token_url = https://login.microsoftonline.com/contoso.com/oauth2/v2.0/token
oauth2_scope = https://outlook.office.com/IMAP.AccessAsUser.All
    https://outlook.office.com/POP.AccessAsUser.All
    https://outlook.office.com/SMTP.Send offline_access
redirect_uri = http://localhost
client_id = the-client
client_secret = s3cret\"\\#;%
";

/// An application's permission at Entra.
fn application(name: &str) -> String {
    format!(
        "
[{name}]
token_url = https://login.microsoftonline.com/contoso.com/oauth2/v2.0/token
oauth2_scope = https://outlook.office365.com/.default
oauth2_flow = client_credentials
client_id = the-client
client_secret = s3cret
"
    )
}

#[test]
fn a_person_of_exchange_online_and_her_servers_become_a_preset_and_listeners() {
    let imported = Imported::of(&format!("{SERVERS}{PERSON}"));
    let listeners = imported.table["listeners"].as_table().unwrap();
    let told: Vec<(&str, &str, &str)> = listeners
        .iter()
        .map(|(name, table)| {
            (name.as_str(), table["protocol"].as_str().unwrap(), table["address"].as_str().unwrap())
        })
        .collect();
    assert_eq!(
        told,
        [
            ("imap-1993", "imap", "127.0.0.1:1993"),
            ("pop-1995", "pop3", "[::1]:1995"),
            ("smtp-1587", "submission", "localhost:1587"),
        ]
    );
    // The servers are those that are built in.
    assert!(!imported.table.contains_key("providers"), "{}", imported.toml);
    let account: Table = "
        provider = 'microsoft'
        tenant = 'contoso.com'
        grant = 'authorization-code'
        client_id = 'the-client'
        client_secret = 's3cret\"\\#;%'
    "
    .parse()
    .unwrap();
    assert_eq!(*imported.get("accounts", "alice@contoso.com"), account);
    assert!(imported.told.contains("mailbearer authorize alice@contoso.com"), "{}", imported.told);
    assert!(!imported.told.contains("s3cret"), "{}", imported.told);
}

#[test]
fn the_file_is_for_its_owner_alone_and_never_written_over_unasked() {
    let imported = Imported::of(&format!("{SERVERS}{PERSON}"));
    let dir = imported.dir.path();
    let path = dir.join("mailbearer.toml");
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    fs::write(&path, "mine").unwrap();
    let arguments = ["import", "emailproxy", "emailproxy.config", "-o", "mailbearer.toml"];
    let refused = mailbearer(dir, &arguments);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("--force"), "{}", text(&refused.stderr));
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    let forced = mailbearer(dir, &[&arguments[..], &["--force"]].concat());
    assert_eq!(forced.status.code(), Some(0));
    assert_eq!(fs::read_to_string(&path).unwrap(), imported.toml);
}

#[test]
fn standard_output_has_the_file_and_nothing_else() {
    let imported = Imported::of(&format!("{SERVERS}{PERSON}"));
    let output = mailbearer(imported.dir.path(), &["import", "emailproxy", "emailproxy.config"]);
    assert_eq!(text(&output.stdout), imported.toml);
}

#[test]
fn each_flow_becomes_its_grant() {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let pem = key.serialize_pem();
    let certificate = rcgen::CertificateParams::new(["app".to_owned()]).unwrap();
    let certificate = certificate.self_signed(&key).unwrap().pem();
    let json = serde_json::json!({
        "type": "service_account",
        "private_key_id": "kid-1",
        "private_key": pem,
        "client_email": "relay@project.iam.gserviceaccount.com",
        "token_uri": "https://oauth2.googleapis.com/token",
    });
    // It is pasted in lines of deeper indentation.
    let pasted = serde_json::to_string_pretty(&json).unwrap().replace('\n', "\n  ");
    let google = "token_url = https://oauth2.googleapis.com/token\noauth2_scope = \
                  https://mail.google.com/\noauth2_flow = service_account\n";
    let entra = "token_url = https://login.microsoftonline.com/contoso.com/oauth2/v2.0/token\n";
    let config = format!(
        "{SERVERS}{}
[device@contoso.com]
permission_url = https://login.microsoftonline.com/contoso.com/oauth2/v2.0/devicecode
{entra}oauth2_scope = https://outlook.office.com/SMTP.Send offline_access
oauth2_flow = device
client_id = other
[old@contoso.com]
{entra}oauth2_scope = https://outlook.office.com/SMTP.Send
oauth2_flow = password
client_id = other
[certificate@fabrikam.com]
token_url = https://login.microsoftonline.com/fabrikam.com/oauth2/v2.0/token
oauth2_scope = https://outlook.office365.com/.default
oauth2_flow = client_credentials
client_id = certified
jwt_certificate_path = app.pem
jwt_key_path = app.key
[pasted@workspace.example]
{google}client_id = key
client_secret = {pasted}
[filed@workspace.example]
{google}client_id = file
client_secret = key.json
[SMTP-2465]
server_address = smtp.gmail.com
server_port = 465
local_address = 127.0.0.1
",
        application("app@contoso.com"),
    );
    let imported = Imported::beside(
        &config,
        &[
            ("app.pem", &certificate),
            ("app.key", &pem),
            ("key.json", &json.to_string()),
            ("old@contoso.com.password", "hers"),
        ],
    );
    let grants = imported.table["accounts"].as_table().unwrap().iter();
    let grants: Vec<(&str, &str)> =
        grants.map(|(name, table)| (name.as_str(), table["grant"].as_str().unwrap())).collect();
    assert_eq!(
        grants,
        [
            ("app@contoso.com", "client-credentials"),
            ("certificate@fabrikam.com", "client-credentials"),
            ("device@contoso.com", "device-code"),
            ("filed@workspace.example", "service-account"),
            ("old@contoso.com", "password"),
            ("pasted@workspace.example", "service-account"),
        ]
    );
    let path = |name| Value::from(imported.dir.path().join(name).to_str().unwrap());
    let certified = imported.get("accounts", "certificate@fabrikam.com");
    assert_eq!(certified["certificate"], path("app.pem"));
    assert_eq!(certified["private_key"], path("app.key"));
    assert_eq!(certified["assertion_algorithm"].as_str(), Some("RS256"));
    assert_eq!(imported.get("accounts", "filed@workspace.example")["key_file"], path("key.json"));
    let pasted = imported.get("accounts", "pasted@workspace.example");
    assert_eq!(pasted["private_key"].as_str(), Some(pem.as_str()));
    assert_eq!(pasted["private_key_id"].as_str(), Some("kid-1"));
    assert_eq!(pasted["client_email"].as_str(), Some("relay@project.iam.gserviceaccount.com"));
    // Two providers: each listener serves those of its server alone, as it did before.
    let accounts = &imported.get("listeners", "smtp-2465")["accounts"];
    assert_eq!(accounts.as_array().unwrap().len(), 2);
    assert!(imported.tells("write it into the file that is named"), "{}", imported.told);
}

#[test]
fn what_lacks_a_secret_is_set_aside_with_what_to_do_and_the_rest_is_accepted() {
    let sealed = application("sealed@contoso.com")
        .replace("the-client", "sealed")
        .replace("client_secret", "client_secret_encrypted");
    let imported = Imported::of(&format!("{SERVERS}{PERSON}{sealed}"));
    assert!(!imported.has("accounts", "sealed@contoso.com"), "{}", imported.toml);
    assert!(imported.toml.contains("#: [accounts.\"sealed@contoso.com\"]"), "{}", imported.toml);
    assert!(imported.tells("cannot be read here"), "{}", imported.told);
    assert!(!imported.toml.contains("s3cret\"\n#"), "what is sealed is of no use");
    assert!(!imported.told.contains("password sealed@contoso.com"), "{}", imported.told);
}

#[test]
fn a_file_of_which_nothing_can_serve_is_told_and_exits_1() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("emailproxy.config"), SERVERS).unwrap();
    let output = mailbearer(dir.path(), &["import", "emailproxy", "emailproxy.config"]);
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr);
    assert!(told.contains("no account of the file is of the provider"), "{told}");
    let lacks = "nothing of it can serve yet:\n  the file lacks `listeners`; ";
    assert!(told.contains(lacks), "{told}");
    assert!(!told.contains("``"), "{told}");
}

#[test]
fn listeners_off_loopback_speak_in_clear_with_a_warning_alone_and_let_nobody_in_yet() {
    let servers = SERVERS
        .replace("local_address = 127.0.0.1\n", "")
        .replace("local_address = ::1", "local_address = 192.0.2.1")
        .replace("localhost", "mail.contoso.com");
    let imported = Imported::of(&format!("{servers}{PERSON}"));
    let imap = imported.get("listeners", "imap-1993");
    let all: Value = vec!["0.0.0.0:1993", "[::]:1993"].into();
    assert_eq!((&imap["address"], &imap["require_tls"]), (&all, &false.into()));
    assert!(!imap.contains_key("allow"));
    assert_eq!(imported.get("listeners", "pop-1995")["address"].as_str(), Some("192.0.2.1:1995"));
    for said in ["in clear here", "Until `allow` names", "`local_address` was left out"] {
        assert!(imported.tells(said), "{said}: {}", imported.told);
    }
    // What a name stands for is not guessed.
    assert!(!imported.has("listeners", "smtp-1587"));
}

#[test]
fn certificates_of_servers_become_tls_as_it_was() {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = certificate.self_signed(&key).unwrap().pem();
    let files = "local_certificate_path = server.pem\nlocal_key_path = server.key\n";
    let servers = SERVERS
        .replace("server_port = 993\n", &format!("server_port = 993\n{files}"))
        .replace(
            "server_port = 587\n",
            &format!("server_port = 587\n{files}local_starttls = yes\n"),
        )
        .replace("server_port = 995\n", "server_port = 995\nlocal_key_path = server.key\n");
    let files = [("server.pem", certificate.as_str()), ("server.key", &key.serialize_pem())];
    let imported = Imported::beside(&format!("{servers}{PERSON}"), &files);
    let tls = |name| imported.get("listeners", name).get("tls").and_then(Value::as_str);
    assert_eq!(tls("imap-1993"), Some("implicit"));
    assert_eq!(tls("smtp-1587"), Some("starttls"));
    assert_eq!(tls("pop-1995"), None);
    assert!(imported.tells("used together alone"), "{}", imported.told);
}

#[test]
fn other_providers_are_written_with_everything() {
    let imported = Imported::of(
        "
[IMAP-1993]
server_address = imap.corp.example
server_port = 993
local_address = 127.0.0.1
[SMTP-1587]
server_address = smtp.corp.example
server_port = 587
starttls = True
local_address = 127.0.0.1
[SMTP-1588]
server_address = backup.corp.example
server_port = 465
local_address = 127.0.0.1
[bob@corp.example]
permission_url = https://id.corp.example/authorize
token_url = https://id.corp.example/token
oauth2_scope = mail.imap mail.smtp
redirect_uri = https://proxy.corp.example/answer
redirect_listen_address = http://10.0.0.1:8080
client_id = the-client
use_pkce = True
",
    );
    let provider: Table = "
        token_endpoint = 'https://id.corp.example/token'
        authorization_endpoint = 'https://id.corp.example/authorize'
        authorization_params = { access_type = 'offline' }
        scopes = ['mail.imap', 'mail.smtp']
        submission = { host = 'smtp.corp.example', port = 587, tls = 'starttls' }
        imap = { host = 'imap.corp.example', port = 993, tls = 'implicit' }
    "
    .parse()
    .unwrap();
    assert_eq!(*imported.get("providers", "corp"), provider);
    let second = imported.get("listeners", "smtp-1588");
    let upstream: Table =
        "host = 'backup.corp.example'\nport = 465\ntls = 'implicit'".parse().unwrap();
    assert_eq!(second["upstream"].as_table(), Some(&upstream));
    assert_eq!(second["accounts"], vec!["bob@corp.example"].into());
    assert!(!imported.get("listeners", "smtp-1587").contains_key("upstream"));
    for said in
        ["`redirect_uri` has no counterpart", "`redirect_listen_address` has no counterpart"]
    {
        assert!(imported.tells(said), "{said}: {}", imported.told);
    }
}

#[test]
fn another_server_of_a_built_in_provider_stays() {
    let servers = SERVERS.replace("smtp.office365.com", "smtp-mail.outlook.com");
    let imported = Imported::of(&format!("{servers}{PERSON}"));
    let written = imported.get("providers", "microsoft");
    assert_eq!(written.keys().collect::<Vec<_>>(), ["submission"]);
    assert_eq!(written["submission"]["host"].as_str(), Some("smtp-mail.outlook.com"));
}

#[test]
fn catch_all_accounts_become_wildcards_of_applications_where_they_are_on() {
    let on = "[emailproxy]\nallow_catch_all_accounts = True\n";
    let made = "[carol@contoso.com]\ntoken_salt = x\naccess_token = sealed\n";
    let config = format!("{SERVERS}{}{made}", application("@contoso.com"));
    let imported = Imported::of(&format!("{config}{on}"));
    assert!(imported.has("accounts", "*@contoso.com"), "{}", imported.toml);
    // A password is somebody's: nobody signs in by the pattern.
    let step = "mailbearer password ADDRESS    # for each ADDRESS at contoso.com";
    assert!(imported.told.contains(step), "{}", imported.told);
    assert!(!imported.told.contains("password '*@"), "{}", imported.told);
    assert!(!imported.has("accounts", "carol@contoso.com"), "the wildcard covers it");
    let off = Imported::of(&format!("{SERVERS}{PERSON}{}", application("@contoso.com")));
    assert!(!off.has("accounts", "*@contoso.com"), "{}", off.toml);
    assert!(off.told.contains("`allow_catch_all_accounts` is off"), "{}", off.told);
    // A person's consent is inherited by name.
    let of_people = PERSON.replace("[alice@contoso.com]", "[@contoso.com]");
    let people = Imported::of(&format!("{SERVERS}{of_people}{made}{on}"));
    assert!(!people.has("accounts", "*@contoso.com"), "{}", people.toml);
    let carol = people.get("accounts", "carol@contoso.com");
    assert_eq!(carol["client_id"].as_str(), Some("the-client"));
    assert!(people.tells("Its tokens are sealed"), "{}", people.told);
    assert!(!people.toml.contains("access_token"), "{}", people.toml);
}

#[test]
fn the_one_for_all_domains_is_told_and_not_guessed() {
    let on = "[emailproxy]\nallow_catch_all_accounts = True\n";
    let imported = Imported::of(&format!("{SERVERS}{PERSON}{}{on}", application("@")));
    assert_eq!(imported.table["accounts"].as_table().unwrap().len(), 1);
    assert!(imported.told.contains("It stands for every domain"), "{}", imported.told);
}

#[test]
fn every_option_without_a_counterpart_is_told() {
    let config = format!(
        "{}{PERSON}last_activity = 1\nrefresh_token = gAAAAA\nuse_pkec = True\n[emailproxy]
delete_account_token_on_password_error = True
encrypt_client_secret_on_first_use = True
use_login_password_as_client_credentials_secret = False
unheard_of = 1
[Account setup]
documentation = text
[Strange]
key = value
",
        SERVERS.replace("[IMAP-1993]\n", "[IMAP-1993]\nplugins = {'a': {}}\n"),
    );
    let imported = Imported::of(&config);
    for said in [
        "`plugins` has no counterpart",
        "`use_pkec` is no option that is known",
        "`delete_account_token_on_password_error` has no counterpart",
        "`encrypt_client_secret_on_first_use` has no counterpart",
        "`unheard_of` is no option that is known",
        "[Strange] is neither a server nor an account",
        "consent once more",
    ] {
        assert!(imported.told.contains(said), "{said}: {}", imported.told);
    }
    for quiet in ["use_login_password", "documentation", "Account setup", "last_activity"] {
        assert!(!imported.told.contains(quiet), "{quiet}: {}", imported.told);
    }
    assert!(!imported.toml.contains("gAAAAA"), "no token is taken over");
}

#[test]
fn a_file_that_python_would_refuse_is_told_line_by_line_and_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("emailproxy.config"), "[a]\nhunter2\n[a]\n").unwrap();
    let arguments = ["import", "emailproxy", "emailproxy.config", "-o", "mailbearer.toml"];
    let output = mailbearer(dir.path(), &arguments);
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr);
    assert!(told.contains("emailproxy.config:2: ") && told.contains("emailproxy.config:3: "));
    assert!(!told.contains("hunter2"), "{told}");
    assert!(!dir.path().join("mailbearer.toml").exists());
}
