//! The command line as a script sees it: what is printed where, and the exit code.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordVerifier as _};

const CONFIG: &str = r#"
[listeners.submission]
protocol = "submission"
address = "localhost:1587"

[listeners.imap]
protocol = "imap"
address = "localhost:1143"

[accounts."alice@contoso.com"]
provider = "microsoft"
tenant = "contoso.com"
client_id = "app"
client_secret = { env = "TEST_SECRET" }
grant = "client-credentials"
"#;

/// Runs mailbearer in `dir` with nothing in its environment but a secret and a home.
fn mailbearer(dir: &Path, args: &[&str], stdin: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mailbearer"))
        .args(args)
        .current_dir(dir)
        .env_clear()
        .env("TEST_SECRET", "tell-nobody")
        .env("HOME", dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that refuses its arguments reads nothing.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Checks the file `content` in an empty directory.
fn check(content: &str) -> Output {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("mailbearer.toml"), content).unwrap();
    mailbearer(dir.path(), &["check"], b"")
}

#[test]
fn check_counts_what_is_there_and_prints_warnings() {
    let output =
        check(&CONFIG.replace("localhost:1143\"", "192.0.2.1:1143\"\nrequire_tls = false"));
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        text(&output.stdout),
        "mailbearer.toml: no problems (2 listeners, 1 account)\n\
         warning: mailbearer.toml:6: `listeners.imap` lacks `allow`, so none but this machine may \
         connect\n  write the networks of its clients: allow = [\"192.168.20.0/24\"]\n"
    );
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn check_counts_devices_where_there_are_some() {
    let device = |name: &str, ip: &str| {
        format!("[devices.{name}]\naccount = \"alice@contoso.com\"\nnetworks = [\"{ip}\"]\n")
    };
    let served = CONFIG.replace("\"submission\"", "\"submission\"\ndevices = true");
    let told = |devices: &str| {
        let output = check(&format!("{served}{devices}"));
        text(&output.stdout).lines().next().unwrap_or_default().to_owned()
    };
    let one = device("fax", "127.0.0.1");
    assert_eq!(told(&one), "mailbearer.toml: no problems (2 listeners, 1 account, 1 device)");
    let two = one + &device("scan", "127.0.0.2");
    assert_eq!(told(&two), "mailbearer.toml: no problems (2 listeners, 1 account, 2 devices)");
}

#[test]
fn check_tells_every_problem_and_exits_78() {
    let output = check(&CONFIG.replace("submission\"", "smtp\"").replace("1143", "imap"));
    assert_eq!(output.status.code(), Some(78));
    assert_eq!(text(&output.stdout), "");
    let told: Vec<&str> =
        text(&output.stderr).lines().filter(|line| !line.starts_with("  ")).collect();
    assert_eq!(
        told,
        [
            "mailbearer.toml:3: `listeners.submission.protocol` is \"smtp\", which mailbearer does \
             not know",
            "mailbearer.toml:8: `listeners.imap.address` is \"localhost:imap\", which is no \
             address with a port"
        ]
    );
}

#[test]
fn a_missing_file_exits_78_and_names_every_place_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let output = mailbearer(dir.path(), &["-c", "missing.toml", "check"], b"");
    assert_eq!(output.status.code(), Some(78));
    assert!(text(&output.stderr).contains("looked for missing.toml\n"));
    // Without -c the last place is outside of the test; it may exist on a machine in use.
    if !Path::new("/etc/mailbearer/mailbearer.toml").exists() {
        let output = mailbearer(dir.path(), &["check"], b"");
        assert_eq!(output.status.code(), Some(78));
        let user = dir.path().join(".config/mailbearer/mailbearer.toml");
        for place in ["mailbearer.toml", user.to_str().unwrap(), "/etc/mailbearer/mailbearer.toml"]
        {
            assert!(text(&output.stderr).contains(place), "{place}");
        }
    }
}

#[test]
fn wrong_usage_exits_64_and_help_exits_0() {
    let dir = tempfile::tempdir().unwrap();
    for args in [
        &[][..],
        &["chek"],
        &["check", "--wrong"],
        &["password"],
        &["password", "alice@contoso.com", "--hash"],
        &["password", "alice@contoso.com", "--protocol", "nntp"],
        &["password", "alice@contoso.com", "--list", "--label", "scanner"],
        &["password", "alice@contoso.com", "--list", "--revoke", "scanner"],
        &["password", "alice@contoso.com", "--json"],
        &["token"],
        &["token", "alice@contoso.com", "--protocol", "smtp"],
        &["authorize"],
        &["authorize", "alice@contoso.com", "--as"],
        &["authorize", "alice@contoso.com", "--revoke", "--as", "bob@contoso.com"],
        &["authorize", "alice@contoso.com", "--revoke", "--refresh-token-stdin"],
        &["authorize", "alice@contoso.com", "--paste", "--device"],
        &["authorize", "alice@contoso.com", "--device", "--revoke"],
        &["authorize", "alice@contoso.com", "--paste", "--refresh-token-stdin"],
        &["accounts", "alice@contoso.com"],
        &["demo", "--once", "--provider-only"],
        &["-c"],
    ] {
        let output = mailbearer(dir.path(), args, b"");
        assert_eq!(output.status.code(), Some(64), "{args:?}");
        assert_eq!(text(&output.stdout), "", "{args:?}");
    }
    for args in [&["--help"][..], &["--version"]] {
        assert_eq!(mailbearer(dir.path(), args, b"").status.code(), Some(0));
    }
    for command in [
        "demo",
        "serve",
        "check",
        "accounts",
        "password",
        "token",
        "authorize",
        "reload",
        "healthcheck",
    ] {
        let output = mailbearer(dir.path(), &[command, "--help"], b"");
        assert_eq!(output.status.code(), Some(0));
        assert!(text(&output.stdout).contains("Example: "), "{command}");
    }
}

#[test]
fn password_hash_prints_an_argon2id_hash_of_the_line() {
    let dir = tempfile::tempdir().unwrap();
    let hash = |password: &[u8]| {
        let output = mailbearer(dir.path(), &["password", "--hash"], password);
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(text(&output.stderr), "");
        text(&output.stdout).trim_end().to_owned()
    };
    let [one, other] = [hash(b"correct horse\n"), hash(b"correct horse\r\n")];
    assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{one}");
    assert_ne!(one, other, "the salt is drawn each time");
    for hash in [&one, &other] {
        let parsed = PasswordHash::new(hash).unwrap();
        assert!(Argon2::default().verify_password(b"correct horse", &parsed).is_ok());
        assert!(Argon2::default().verify_password(b"correct horse\n", &parsed).is_err());
    }
    let output = check(&format!("{CONFIG}local_password = \"{one}\""));
    assert_eq!(text(&output.stdout), "mailbearer.toml: no problems (2 listeners, 1 account)\n");
}

#[test]
#[cfg(target_os = "linux")]
fn a_result_that_cannot_be_printed_is_a_failure_with_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("mailbearer.toml"), CONFIG).unwrap();
    let told = |args: &[&str]| {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_mailbearer"))
            .args(args)
            .current_dir(dir.path())
            .env("TEST_SECRET", "tell-nobody")
            .env("XDG_STATE_HOME", dir.path())
            .stdout(full)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        text(&output.stderr).to_owned()
    };
    for args in [&["check"][..], &["accounts"]] {
        assert!(told(args).starts_with("standard output cannot be written ("));
    }
    for (args, revoke) in [
        (&["password", "alice@contoso.com"][..], "password alice@contoso.com --revoke`"),
        (
            &["password", "alice@contoso.com", "--label", "2nd floor"],
            "password alice@contoso.com --revoke '2nd floor'`",
        ),
    ] {
        let told = told(args);
        assert!(told.contains("nobody has seen") && told.contains(revoke), "{told}");
        assert!(!told.contains("told this once"), "{told}");
    }
}

#[test]
fn the_file_of_the_readme_has_no_problems() {
    let readme = include_str!("../README.md");
    let (_, behind) = readme.split_once("```toml\n").unwrap();
    let (file, _) = behind.split_once("```").unwrap();
    let output = check(&file.replace("CONTOSO_SECRET", "TEST_SECRET"));
    assert_eq!(text(&output.stdout), "mailbearer.toml: no problems (2 listeners, 1 account)\n");
}

#[test]
fn a_port_that_is_taken_is_a_failure_with_a_sentence() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let dir = tempfile::tempdir().unwrap();
    // The machine may have no authorities of its own.
    let ca = rcgen::generate_simple_self_signed(["ca.example".to_owned()]).unwrap();
    std::fs::write(dir.path().join("ca.pem"), ca.cert.pem()).unwrap();
    let file = CONFIG.replace("localhost:1587", &address);
    let file = format!("{file}[providers.microsoft]\nca_file = \"ca.pem\"\n");
    std::fs::write(dir.path().join("mailbearer.toml"), file).unwrap();
    let output = mailbearer(dir.path(), &["serve"], b"");
    assert_eq!(output.status.code(), Some(1));
    let told = format!("listeners.submission.address: {address} cannot be listened on (");
    let stderr = text(&output.stderr);
    assert!(stderr.contains(&told) && stderr.contains("choose another `address`"), "{stderr}");
}

#[test]
fn password_hash_of_nothing_or_of_too_much_exits_64() {
    let dir = tempfile::tempdir().unwrap();
    for password in [&b""[..], b"\n", &[b'x'; 1025]] {
        let output = mailbearer(dir.path(), &["password", "--hash"], password);
        assert_eq!(output.status.code(), Some(64));
        assert_eq!(text(&output.stdout), "");
        assert!(!text(&output.stderr).contains("xx"));
    }
}

#[test]
fn reload_and_healthcheck_without_a_relay_are_failures_with_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let file = format!("{CONFIG}[store]\npath = \"mailbearer.redb\"\n");
    std::fs::write(dir.path().join("mailbearer.toml"), file).unwrap();
    // Left behind by a relay that was killed.
    drop(std::os::unix::net::UnixListener::bind(dir.path().join("control.sock")).unwrap());
    for command in ["reload", "healthcheck"] {
        let output = mailbearer(dir.path(), &[command], b"");
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(text(&output.stdout), "");
        let stderr = text(&output.stderr);
        assert!(stderr.starts_with("no running relay answers at "), "{stderr}");
        assert!(stderr.contains("\n  start `mailbearer serve`"), "{stderr}");
    }
}

#[test]
fn password_tells_where_it_is_entered_or_that_no_listener_takes_it() {
    let dir = tempfile::tempdir().unwrap();
    let (submission_alone, _) = CONFIG.split_once("[listeners.imap]").unwrap();
    let (_, account) = CONFIG.split_once("[accounts.").unwrap();
    let file = format!("{submission_alone}[accounts.{account}");
    std::fs::write(dir.path().join("mailbearer.toml"), file).unwrap();
    for (label, protocol, told) in [
        (
            "one",
            "submission",
            "  user name   alice@contoso.com\n  submission  localhost, port 1587,",
        ),
        ("two", "imap", "no listener of the file serves imap to alice@contoso.com: write one"),
    ] {
        let args = ["password", "alice@contoso.com", "--label", label, "--protocol", protocol];
        let output = mailbearer(dir.path(), &args, b"");
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(text(&output.stdout).trim_end().len(), 20);
        let stderr = text(&output.stderr);
        assert!(stderr.contains(told), "{stderr}");
    }
}

#[test]
fn a_store_that_cannot_be_used_exits_78_whoever_opens_it() {
    let dir = tempfile::tempdir().unwrap();
    // The machine may have no authorities of its own.
    let ca = rcgen::generate_simple_self_signed(["ca.example".to_owned()]).unwrap();
    std::fs::write(dir.path().join("ca.pem"), ca.cert.pem()).unwrap();
    let file = format!(
        "{CONFIG}[providers.microsoft]\nca_file = \"ca.pem\"\n\
         [store]\npath = \"state/mailbearer.redb\"\n"
    );
    std::fs::write(dir.path().join("mailbearer.toml"), file).unwrap();
    let made = mailbearer(dir.path(), &["password", "alice@contoso.com"], b"");
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
    let key = dir.path().join("state/store.key");
    std::fs::rename(&key, key.with_extension("elsewhere")).unwrap();
    for args in [
        &["serve"][..],
        &["accounts"],
        &["token", "alice@contoso.com"],
        &["password", "alice@contoso.com"],
    ] {
        let output = mailbearer(dir.path(), args, b"");
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{args:?}: {stderr}");
        assert!(stderr.contains("restore it from a backup, or run `mv "), "{stderr}");
    }
}

#[test]
fn accounts_without_a_relay_shows_what_the_file_says() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("mailbearer.toml"), CONFIG).unwrap();
    let output = mailbearer(dir.path(), &["accounts"], b"");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let lines: Vec<_> = text(&output.stdout).lines().collect();
    assert!(lines[0].starts_with("ACCOUNT            PROVIDER   GRANT               TOKEN"));
    assert!(lines[1].starts_with("alice@contoso.com  microsoft  client-credentials  "));
    let output = mailbearer(dir.path(), &["accounts", "--json"], b"");
    let rows: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(rows[0]["account"], "alice@contoso.com");
    assert_eq!(rows[0]["access_token_ends_at"], serde_json::Value::Null);
}

#[test]
fn an_account_that_the_file_lacks_exits_64_and_the_nearest_is_told() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("mailbearer.toml"), CONFIG).unwrap();
    for args in [
        &["password", "alcie@contoso.com"][..],
        &["password", "alcie@contoso.com", "--list"],
        &["token", "alcie@contoso.com"],
        &["authorize", "alcie@contoso.com", "--revoke"],
        &["authorize", "alcie@contoso.com", "--refresh-token-stdin"],
    ] {
        let output = mailbearer(dir.path(), args, b"planted-token\n");
        assert_eq!(output.status.code(), Some(64), "{args:?}");
        assert_eq!(text(&output.stdout), "");
        let stderr = text(&output.stderr);
        let told = "no such account: alcie@contoso.com; the nearest is alice@contoso.com\n";
        assert!(stderr.starts_with(told) && !stderr.contains("planted"), "{stderr}");
    }
}

#[test]
fn password_lists_none_of_a_device_that_has_none_and_exits_64_for_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let device = "[devices.scanner]\naccount = \"alice@contoso.com\"\nusername = \"scan2\"\n";
    std::fs::write(dir.path().join("mailbearer.toml"), format!("{CONFIG}{device}")).unwrap();
    for (name, code, told) in [("scanner", 0, "no local password was made\n"), ("scaner", 64, "")] {
        let output = mailbearer(dir.path(), &["password", name, "--list"], b"");
        assert_eq!(output.status.code(), Some(code), "{}", text(&output.stderr));
        assert_eq!(text(&output.stdout), told);
    }
}

#[test]
fn authorize_exits_64_when_nobody_has_to_consent_or_the_token_is_none() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("mailbearer.toml"), CONFIG).unwrap();
    for (token, told) in [
        (&b"planted-token\n"[..], "alice@contoso.com needs no consent: its grant is"),
        (b"\n", "standard input holds no refresh token"),
        (b"planted\ttoken\n", "the refresh token holds other than printable ASCII"),
    ] {
        let args = ["authorize", "alice@contoso.com", "--refresh-token-stdin"];
        let output = mailbearer(dir.path(), &args, token);
        assert_eq!(output.status.code(), Some(64));
        let stderr = text(&output.stderr);
        assert!(stderr.starts_with(told) && !stderr.contains("planted"), "{stderr}");
    }
}

#[test]
fn serve_exits_78_when_the_store_cannot_be_opened_and_leaves_it_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let file = format!("{CONFIG}[store]\npath = \"state/mailbearer.redb\"\n");
    std::fs::write(dir.path().join("mailbearer.toml"), file).unwrap();
    let made = mailbearer(dir.path(), &["password", "alice@contoso.com"], b"");
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
    let [store, key] = ["mailbearer.redb", "store.key"].map(|it| dir.path().join("state").join(it));
    let [kept, right] = [&store, &key].map(|it| std::fs::read(it).unwrap());
    let another = vec![b'k'; right.len()];
    let short = kept.get(..1_000).unwrap().to_vec();
    for (stored, sealed_by, told) in [
        (&kept, Some(&another), "another key"),
        (&short, Some(&right), "is damaged"),
        (&kept, None, "is missing"),
    ] {
        std::fs::write(&store, stored).unwrap();
        match sealed_by {
            Some(bytes) => std::fs::write(&key, bytes).unwrap(),
            None => std::fs::remove_file(&key).unwrap(),
        }
        let output = mailbearer(dir.path(), &["serve"], b"");
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{stderr}");
        assert!(stderr.contains(told), "{told} is not told: {stderr}");
        assert_eq!(&std::fs::read(&store).unwrap(), stored, "{told}");
    }
}
