//! `support-bundle`, `completions` and `man`: what they print can be pasted, sourced and read.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// In every value that may be secret.
const PLANTED: &str = "hunter2";

/// A file in whose every key, known and unknown, something is planted that may be secret there.
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
upstream = { host = "mail.example/hunter2", port = "hunter2", tls = "hunter2", password = "hunter2" }

[devices.scanner]
networks = ["hunter2", "192.0.2.7"]
messages_per_hour = "hunter2"

[providers.corp]
issuer = "https://user:hunter2@id.corp.example/path?hunter2#hunter2"
token_endpoint = "https://hunter2@id.corp.example/token?key=hunter2"
authorization_endpoint = "hunter2"
authorization_params = { prompt = "hunter2" }
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
private_key = { command = ["/usr/bin/pass", "hunter2"] }
assertion_algorithm = "hunter2"
password = { env = "hunter2 is no name" }
local_password = "$argon2id$hunter2"
grant = "hunter2"
command = ["/usr/bin/token", "--password=hunter2"]
sender = "hunter2"

[accounts."bob@contoso.com"]
client_secret = { env = "CONTOSO_SECRET" }
password = { file = "bob.password" }
local_password = ["hunter2"]

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
http_proxy = "http://user:hunter2@proxy:3128"
mail_proxy = "http://user:8080/hunter2@proxy:3128"
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
    let bundle = printed(PLANTED_FILE, &["support-bundle"]);
    let leaks: Vec<&str> = bundle.lines().filter(|line| line.contains(PLANTED)).collect();
    // What is written at the wrong place is told as a key that is wrong, by its name alone.
    assert_eq!(leaks, Vec::<&str>::new(), "{bundle}");
    for shown in [
        "provider = \"microsoft\"",
        "client_id = \"the-client\"",
        "client_secret = { env = \"CONTOSO_SECRET\" }",
        "password = { file = \"bob.password\" }",
        "command = [\"/usr/bin/token\"] and 1 arguments (not shown)",
        "token_endpoint = \"https://id.corp.example/token\" and more (not shown)",
        "http_proxy = \"http://proxy:3128/\" and more (not shown)",
        "\"192.0.2.7\"",
    ] {
        assert!(bundle.contains(shown), "{shown}\n{bundle}");
    }
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
        " submission submission from=127.0.0.1 account=- reason=quit side=downstream messages=0 ",
    ] {
        assert!(told.contains(expected), "{expected}\n{told}");
    }
}

#[test]
fn a_bundle_hides_names_where_it_is_told_to() {
    let bundle = printed(FILE, &["support-bundle", "--hide-names"]);
    for name in ["alice", "contoso", "the-client"] {
        assert!(!bundle.contains(name), "{name}\n{bundle}");
    }
    assert!(bundle.contains("[accounts.name-1]"), "{bundle}");
    assert!(bundle.contains("{\"account\":\"name-1\""), "{bundle}");
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

#[test]
fn bash_completes_commands_and_options() {
    let script = printed(FILE, &["completions", "bash"]);
    let complete = |words: &str, count: usize| {
        let ask = format!(
            "{script}\nCOMP_WORDS=({words}); COMP_CWORD={count}; \
             _mailbearer mailbearer \"${{COMP_WORDS[$COMP_CWORD]}}\" \"\"; echo \"${{COMPREPLY[@]}}\""
        );
        let output = Command::new("bash").args(["--norc", "-c", &ask]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(complete("mailbearer supp", 1), "support-bundle");
    assert_eq!(complete("mailbearer import --for", 2), "--force");
    assert_eq!(complete("mailbearer completions z", 2), "zsh");
}

#[test]
fn every_shell_has_completions() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        assert!(printed(FILE, &["completions", shell]).contains("healthcheck"), "{shell}");
    }
}

#[test]
fn man_makes_a_page_for_the_program_and_for_each_command() {
    let dir = tempfile::tempdir().unwrap();
    assert!(mailbearer(dir.path(), &["man", "--out", "pages/man1"]).status.success());
    let page = |name: &str| fs::read_to_string(dir.path().join("pages/man1").join(name)).unwrap();
    assert!(page("mailbearer.1").contains(".TH MAILBEARER 1"), "{}", page("mailbearer.1"));
    let serve = page("mailbearer-serve.1");
    assert!(serve.contains("SIGTERM") && serve.contains("mailbearer \\-c mailbearer.toml serve"));
    // All of them on standard output.
    let all = printed(FILE, &["man"]);
    let pages = fs::read_dir(dir.path().join("pages/man1")).unwrap().count();
    assert_eq!(all.matches(".TH ").count(), pages);
    // groff is on every machine that shows manual pages.
    let Ok(shown) = Command::new("man")
        .args(["-l", "-Tascii"])
        .arg(dir.path().join("pages/man1/mailbearer-serve.1"))
        .output()
    else {
        return;
    };
    if shown.status.success() {
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        assert!(shown.starts_with("MAILBEARER-SERVE(1)"), "{shown}");
    }
}
