//! Secrets of the file: what is taken, what is refused, and what is looked at.

use super::*;
use crate::provider::ClientAuth;
use crate::secret::{ExposeSecret as _, SecretCommand};

fn parse_in(dir: &Path, text: &str) -> Result<Config, Vec<Problem>> {
    Config::parse(text, dir, &env, Secrets::Verify)
}

fn client_secret(config: &Config) -> &SecretSource {
    let auth = &config.accounts[0].grant.way.client().unwrap().auth;
    let ClientAuth::SecretPost(secret) = auth else { panic!("{auth:?}") };
    secret
}

#[test]
fn a_path_is_relative_to_the_file() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("secret"), SECRET).unwrap();
    let path = dir.path().join("mailbearer.toml");
    let secret = [(LOCAL_PASSWORD, ""), (CLIENT_SECRET, r#"client_secret = { file = "secret" }"#)];
    fs::write(&path, good_with(&secret)).unwrap();
    let config = Config::load(&path, Secrets::Verify).unwrap();
    let SecretSource::File(secret) = client_secret(&config) else {
        panic!("the secret stands in a file")
    };
    assert_eq!(*secret, dir.path().join("secret"));
}

#[test]
fn a_program_is_searched_in_path_or_relative_to_the_file() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("bin")).unwrap();
    std::os::unix::fs::symlink("/bin/sh", dir.path().join("bin/secret")).unwrap();
    for (written, program) in [
        ("sh", "sh".into()),
        ("/bin/sh", "/bin/sh".into()),
        ("bin/secret", dir.path().join("bin/secret")),
    ] {
        let line = format!(r#"client_secret = {{ command = ["{written}", "-c", "echo ok", ""] }}"#);
        let config = parse_in(dir.path(), &good_with(&[(CLIENT_SECRET, &line)])).unwrap();
        let SecretSource::Command(command) = client_secret(&config) else { panic!("{config:?}") };
        let arguments = ["-c", "echo ok", ""].map(str::to_owned).to_vec();
        assert_eq!(*command, SecretCommand::new(program, arguments));
        assert_eq!(client_secret(&config).read().unwrap().expose_secret(), "ok");
    }
}

#[test]
fn a_file_that_may_not_be_run_is_no_program() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("secret"), "#!/bin/sh\n").unwrap();
    let line = "client_secret = { command = [\"./secret\", \"tell-nobody\"] }";
    let problems = parse_in(dir.path(), &good_with(&[(CLIENT_SECRET, line)])).unwrap_err();
    assert_eq!(problems.len(), 1);
    let told = "/secret, which cannot be run (it is no executable file)";
    assert!(problems[0].message.ends_with(told), "{problems:?}");
    assert!(!format!("{problems:?}").contains(SECRET));
}

#[test]
fn a_program_is_not_run_while_the_file_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let line = "client_secret = { command = [\"sh\", \"-c\", \"echo > RAN\"] }";
    let line = line.replace("RAN", &dir.path().join("ran").display().to_string());
    parse_in(dir.path(), &good_with(&[(CLIENT_SECRET, &line)])).unwrap();
    assert!(!dir.path().join("ran").exists());
}

#[test]
fn secrets_that_are_left_are_missed_when_they_are_used() {
    let dir = tempfile::tempdir().unwrap();
    for (written, told) in [
        ("{ env = \"NOWHERE\" }", "the secret's variable NOWHERE is not set"),
        ("{ env = \"EMPTY\" }", "the secret's variable EMPTY is empty"),
        ("{ env = \"BINARY\" }", "the secret's variable BINARY is not UTF-8 text"),
        ("{ file = \"/nowhere/file\" }", "the secret file \"/nowhere/file\" cannot be read"),
        ("{ file = \"/\" }", "the secret file \"/\" is no regular file"),
        (
            "{ command = [\"/nowhere/program\"] }",
            "the secret's command \"/nowhere/program\" cannot be",
        ),
        (
            "{ command = [\"no-such-program\"] }",
            "the secret's command \"no-such-program\" cannot be",
        ),
    ] {
        let text = good_with(&[(CLIENT_SECRET, &format!("client_secret = {written}"))]);
        assert!(parse_in(dir.path(), &text).is_err(), "{written}");
        let config = Config::parse(&text, dir.path(), &env, Secrets::Leave).unwrap();
        let error = client_secret(&config).read().unwrap_err().to_string();
        assert!(error.starts_with(told), "{error}");
    }
}

#[test]
fn secrets_that_are_left_are_still_written_rightly() {
    for (line, told) in [
        ("client_secret = { env = \"tell-nobody\" }", "is no name of an environment variable"),
        ("client_secret = { command = [] }", "is an empty list"),
        ("client_secret = \"\"", "is empty"),
    ] {
        let text = good_with(&[(CLIENT_SECRET, line)]);
        let problems = Config::parse(&text, Path::new("/nowhere"), &env, Secrets::Leave);
        assert_eq!(problems.unwrap_err()[0].message, told);
    }
}

#[test]
fn a_local_password_by_a_command_is_refused() {
    let line = "local_password = { command = [\"sh\", \"-c\", \"echo tell-nobody\"] }";
    assert_eq!(
        problems(&good_with(&[(LOCAL_PASSWORD, line)])),
        [
            "11: `accounts.\"alice@contoso.com\".local_password` is a { command }, which whoever can \
          connect could make run, by every sign-in"
        ]
    );
}

#[test]
fn a_hash_where_a_plain_password_belongs_is_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    let env = |name: &str| if name == "HASH" { Ok(HASH.to_owned()) } else { env(name) };
    for (at, hash) in [("password", HASH), ("plain", SECRET)] {
        fs::write(dir.path().join(at), format!("{hash}\n")).unwrap();
    }
    let warned = |line: &str, secrets| {
        let text = good_with(&[(LOCAL_PASSWORD, line)]);
        let config = Config::parse(&text, dir.path(), &env, secrets).unwrap();
        assert!(matches!(config.accounts[0].local_password, LocalPassword::Plain(_)));
        warnings(&config)
    };
    for line in ["local_password = { env = \"HASH\" }", "local_password = { file = \"password\" }"]
    {
        assert_eq!(
            warned(line, Secrets::Verify),
            ["11: `accounts.\"alice@contoso.com\".local_password` names a plain password, and an \
              Argon2 hash stands there, which no client will show"]
        );
        assert!(warned(line, Secrets::Leave).is_empty(), "nothing was looked at");
    }
    assert!(warned("local_password = { file = \"plain\" }", Secrets::Verify).is_empty());
}

#[test]
fn a_secret_that_cannot_be_had_is_refused() {
    refused(
        r#"accounts."alice@contoso.com""#,
        r#"
        9 client_secret = ""
        client_secret is empty
        9 client_secret = 12345
        client_secret is an integer, not a string, { env = "NAME" }, { file = "PATH" } or { command = ["PROGRAM", "ARGUMENT"] }
        9 client_secret = {}
        client_secret names no secret
        9 client_secret = { env = "SECRET", file = "secret" }
        client_secret names two places of one secret
        9 client_secret = { var = "SECRET" }
        client_secret.var is no key that mailbearer knows
        9 client_secret = { env = "tell-nobody" }
        client_secret.env is no name of an environment variable
        9 client_secret = { env = "EMPTY" }
        client_secret.env names the environment variable EMPTY, which is empty
        9 client_secret = { env = "BINARY" }
        client_secret.env names the environment variable BINARY, which is not UTF-8 text
        9 client_secret = { file = "missing" }
        client_secret.file names /nowhere/missing, which cannot be read (no such file)
        9 client_secret = { file = "/" }
        client_secret.file names /, which is no regular file
        9 client_secret = { command = ["sh"], env = "SECRET" }
        client_secret names two places of one secret
        9 client_secret = { command = "pass show tell-nobody" }
        client_secret.command is a string, not a list, and no shell takes it apart
        9 client_secret = { command = [] }
        client_secret.command is an empty list
        9 client_secret = { command = ["", "tell-nobody"] }
        client_secret.command names no program
        9 client_secret = { command = ["sh\u001b"] }
        client_secret.command names no program
        9 client_secret = { command = ["sh", 1] }
        client_secret.command is an integer, not a string
        9 client_secret = { command = ["sh", "tell-nobody\u0000"] }
        client_secret.command holds a NUL
        9 client_secret = { command = ["no-such-program", "tell-nobody"] }
        client_secret.command names the program "no-such-program", which is in no directory of $PATH
        9 client_secret = { command = ["bin/missing", "tell-nobody"] }
        client_secret.command names /nowhere/bin/missing, which cannot be run (no such file)
        9 client_secret = { command = ["/"] }
        client_secret.command names /, which cannot be run (it is no executable file)
        11 local_password = { env = "NOWHERE" }
        local_password.env names the environment variable NOWHERE, which is not set
        "#,
    );
}

#[test]
fn a_pipe_in_place_of_a_file_is_refused_and_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let made = std::process::Command::new("mkfifo").arg(dir.path().join("pipe")).status();
    assert!(made.unwrap().success());
    for change in [
        (CLIENT_SECRET, "client_secret = { file = \"pipe\" }"),
        (LOCAL_PASSWORD, "local_password = { file = \"pipe\" }"),
        (END, "[providers.microsoft]\nca_file = \"pipe\""),
    ] {
        let problems = parse_in(dir.path(), &good_with(&[change])).unwrap_err();
        assert!(problems[0].message.contains("is no regular file"), "{problems:?}");
    }
}

#[test]
fn a_configuration_shows_none_of_its_secrets() {
    let secret = format!("client_secret = {SECRET:?}");
    // As long as a good one has to be.
    let admin_token = SECRET.repeat(3);
    let page = format!("[web]\naddress = \"127.0.0.1:0\"\nadmin_token = {admin_token:?}");
    let config = config(&[(CLIENT_SECRET, &secret), (END, &page)]);
    assert!(!format!("{config:?}").contains(SECRET));
}
