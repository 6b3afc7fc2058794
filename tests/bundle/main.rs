//! `support-bundle`, `completions` and `man`: what they print can be pasted, sourced and read.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod generated;
mod names;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use mailbearer::config::is_key;

/// In every value that may be secret.
const PLANTED: &str = "hunter2";

/// A file in whose every key, known and unknown, something is planted that may be secret there. What
/// names files, programs and variables has a secret in their place.
const PLANTED_FILE: &str = r#"
# a comment with hunter2
"hunter2-of-the-root" = "hunter2"

[listeners.submission]
protocol = "hunter2"
address = "hunter2"
tls = "hunter2"
certificate = "-----BEGIN hunter2"
private_key = """
-----BEGIN PRIVATE KEY-----
hunter2"""
require_tls = "hunter2"
allow = ["hunter2"]
devices = "hunter2"
proxy_protocol_from = "hunter2"
hunter2 = "hunter2"
accounts = [{ a = "hunter2" }]
upstream = { host = "mail.example/hunter2", port = "hunter2", tls = "hunter2", password = "hunter2" }

[listeners.imap]
address = ["unix:hunter2", "unix:/tmp/hunter2", "systemd:hunter2", "localhost:hunter2"]
certificate = "hunter2"
private_key = "hunter2/of/base64"

[devices.scanner]
networks = ["hunter2", "192.0.2.7"]
messages_per_hour = "hunter2"

[providers.corp]
issuer = "https://user:hunter2@id.corp.example/path?hunter2#hunter2"
token_endpoint = "https://hunter2@id.corp.example/token?key=hunter2"
authorization_endpoint = "hunter2"
authorization_params = { prompt = "hunter2", hunter2 = "x" }
device_authorization_endpoint = "https://id.corp.example/;key=hunter2"
revocation_endpoint = "https://svc:2024/hunter2@id.corp.example/"
ca_file = "hunter2"
resource = "https://hunter2:hunter2@mail.example/"
mechanism = "hunter2"
client_secret = "hunter2"
refresh_idle_days = "hunter2"
concurrent_sessions = { submission = "hunter2", hunter2 = 3 }

[accounts."alice@contoso.com"]
provider = "microsoft"
tenant = "contoso.com"
client_id = "the-client"
client_secret = "hunter2"
client_secret_expires = "hunter2"
client_auth = "hunter2"
certificate = { file = "-----BEGIN hunter2" }
private_key = { command = ["/bin/sh", "hunter2"] }
assertion_algorithm = "hunter2"
password = { env = "hunter2 is no name" }
local_password = "$argon2id$hunter2"
grant = "hunter2"
command = ["/bin/cat", "--password=hunter2"]
assertion_file = "/hunter2"
key_file = '{ "private_key": "hunter2" }'
sender = "hunter2"

[accounts."bob@contoso.com"]
client_secret = { env = "CONTOSO_SECRET" }
password = { file = "bob.password" }
local_password = ["hunter2"]

[accounts."carol@contoso.com"]
provider = "hunter2"
client_secret = { env = "hunter2" }
password = { file = "hunter2" }
private_key = "hunter2n"
command = ["/usr/bin/curl -H Authorization:hunter2"]
local_password = { command = ["echo hunter2"] }

[accounts."dave@contoso.com"]
client_secret = { env = "HUNTER2" }
password = { file = "/etc/hunter2" }
certificate = { command = ["hunter2"] }
local_password = { command = [["hunter2"]] }

[store]
path = "{ hunter2"
key = "hunter2 and more than thirty-two characters"
url = "postgres://user:hunter2@db/x"

[limits]
sign_in_timeout = "hunter2"
sessions = "hunter2"

[web]
address = "hunter2"
public_url = "https://hunter2:hunter2@mail.example?hunter2"
admin_token = "hunter2"
behind_proxy = "hunter2"

[egress]
http_proxy = "http://user:2024/hunter2@proxy:3128"
mail_proxy = "socks5://user:/hunter2@socks"
bind = "hunter2"

[log]
level = "hunter2"

[shutdown]
grace = "hunter2"

[hunter2]
hunter2 = "hunter2"
"#;

const FILE: &str = r#"
[listeners.submission]
protocol = "submission"
address = "localhost:1587"

[accounts."alice@contoso.com"]
provider = "microsoft"
tenant = "contoso.com"
client_id = "the-client"
client_secret = "hunter2"
grant = "client-credentials"
"#;

fn mailbearer(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailbearer"));
    command.args(args).current_dir(dir).env_clear().env("HOME", dir).output().unwrap()
}

/// What `args` print, beside the file `config`; they have to go well.
fn printed(config: &str, args: &[&str]) -> String {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("mailbearer.toml"), config).unwrap();
    let output = mailbearer(dir.path(), args);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_bundle_holds_no_secret_whatever_key_it_stands_in() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("bob.password"), PLANTED).unwrap();
    fs::write(dir.path().join("mailbearer.toml"), PLANTED_FILE).unwrap();
    let bundle = String::from_utf8(mailbearer(dir.path(), &["support-bundle"]).stdout).unwrap();
    let is_leak = |line: &&str| line.to_lowercase().contains(PLANTED);
    let leaks: Vec<&str> = bundle.lines().filter(is_leak).collect();
    // What is written at the wrong place is told as a key that is wrong, by its name alone.
    assert_eq!(leaks, Vec::<&str>::new(), "{bundle}");
    for shown in [
        "provider = \"microsoft\"",
        "client_id = \"the-client\"",
        "client_secret = { env = \"CONTOSO_SECRET\" (not set here) }",
        "password = { file = \"bob.password\" }",
        "password = { file = \"/etc\" and what is not there (not shown) }",
        "command = [\"/bin/cat\"] and 1 arguments (not shown)",
        "token_endpoint = \"https://id.corp.example/token\" and more (not shown)",
        "http_proxy = \"http://proxy:3128\" and more (not shown)",
        "mail_proxy = \"socks5://socks:1080\" and more (not shown)",
        "\"192.0.2.7\"",
    ] {
        assert!(bundle.contains(shown), "{shown}\n{bundle}");
    }
}

#[test]
fn every_key_of_the_examples_is_known_to_the_bundle() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let mut keys = BTreeSet::new();
    for example in fs::read_dir(examples).unwrap() {
        let text = fs::read_to_string(example.unwrap().path()).unwrap();
        for line in text.lines() {
            // A key that is left out stands as a comment.
            let line = line.strip_prefix("# ").unwrap_or(line);
            let key = line.split_once(" = ").map_or("", |(key, _)| key);
            if !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
            {
                keys.insert(key.to_owned());
            }
        }
    }
    assert!(keys.len() > 40, "{keys:?}");
    keys.retain(|key| !is_key(key));
    assert_eq!(keys, BTreeSet::new());
}

#[test]
fn a_bundle_without_a_relay_tells_version_configuration_and_accounts() {
    let bundle = printed(FILE, &["support-bundle"]);
    for told in [
        concat!("version: ", env!("CARGO_PKG_VERSION"), "\n"),
        "[listeners.submission]\naddress = \"localhost:1587\"\nprotocol = \"submission\"\n",
        "client_secret = (a secret, not shown)\n",
        "== warnings of `mailbearer check`: 0\n",
        "== relay\nnone runs\n",
        "== accounts: 1\n{\"account\":\"alice@contoso.com\",\"provider\":\"microsoft\",",
        "== sessions that ended last: 0",
    ] {
        assert!(bundle.contains(told), "{told}\n{bundle}");
    }
}

/// `mailbearer serve`, which ends with the test.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How often a bundle is asked for until it tells of a session that has ended: the session is told
/// of when both its sides are closed, which the client cannot see.
const ASKED_MAX: usize = 100;

#[test]
fn a_bundle_of_a_running_relay_tells_how_the_last_sessions_ended() {
    let dir = tempfile::tempdir().unwrap();
    let file = FILE.replace("localhost:1587", "127.0.0.1:0");
    fs::write(dir.path().join("mailbearer.toml"), file).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailbearer"));
    command.arg("serve").current_dir(dir.path()).env_clear().env("HOME", dir.path());
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut serving = Serving(command.spawn().unwrap());
    let mut line = String::new();
    BufReader::new(serving.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.strip_prefix("listening on ").unwrap().split(' ').next().unwrap();
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(b"QUIT\r\n").unwrap();
    client.read_to_end(&mut Vec::new()).unwrap();
    // The relay waits for that before it tells how the session ended.
    drop(client);
    let bundle = || {
        let output = mailbearer(dir.path(), &["support-bundle"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let told = (0..ASKED_MAX).map(|_| bundle()).find(|bundle| bundle.contains("reason="));
    let told = told.unwrap();
    let version = env!("CARGO_PKG_VERSION");
    for expected in [
        &format!("== relay\nversion {version}, ready\n"),
        "== sessions that ended last: 1\n",
        " submission submission from=127.0.0.1 account=- outcome=no-claim reason=quit side=downstream \
         messages=0 ",
    ] {
        assert!(told.contains(expected), "{expected}\n{told}");
    }
}

#[test]
fn a_bundle_is_made_of_a_file_with_problems_and_of_one_that_is_no_toml() {
    let wrong = printed(&FILE.replace("client-credentials", "nothing"), &["support-bundle"]);
    assert!(wrong.contains("problems of `mailbearer check`: 1\nline 11: grant\n"), "{wrong}");
    let no_toml = printed("hunter2 = = hunter2", &["support-bundle"]);
    assert!(no_toml.contains("it is no TOML") && !no_toml.contains(PLANTED), "{no_toml}");
}

#[test]
fn a_bundle_is_written_to_a_new_file_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("mailbearer.toml"), FILE).unwrap();
    let arguments = ["support-bundle", "--output", "bundle.txt"];
    assert!(mailbearer(dir.path(), &arguments).status.success());
    let bundle = fs::read_to_string(dir.path().join("bundle.txt")).unwrap();
    assert!(bundle.starts_with("mailbearer support bundle\n"));
    assert_eq!(mailbearer(dir.path(), &arguments).status.code(), Some(1));
    assert_eq!(fs::read_to_string(dir.path().join("bundle.txt")).unwrap(), bundle);
}
