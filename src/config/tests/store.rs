//! `[store]`, and what a reload cannot change.

use super::*;
use crate::store::KeySource;

/// Reads [`GOOD`] and `[store]` with `keys`, as a file in `dir` with these variables alone.
fn store_in(
    dir: &str,
    variables: &[(&str, &str)],
    keys: &str,
) -> Result<StoreSettings, Vec<Problem>> {
    let text = good_with(&[(END, &format!("[store]\n{keys}"))]);
    let env = |name: &str| {
        let found = variables.iter().find(|(variable, _)| *variable == name);
        found.map(|(_, value)| (*value).to_owned()).ok_or(VarError::NotPresent)
    };
    Config::parse(&text, Path::new(dir), &env, Secrets::Leave).map(|config| config.store)
}

#[test]
fn a_store_lies_in_the_state_directory_of_its_user_or_of_the_system() {
    let [xdg, home] = [("XDG_STATE_HOME", "/xdg"), ("HOME", "/home/alice")];
    let relative = ("XDG_STATE_HOME", "relative");
    for (dir, variables, expected) in [
        ("/etc/mailbearer", &[][..], "/var/lib/mailbearer"),
        ("/etc/mailbearer/", &[xdg, home], "/var/lib/mailbearer"),
        ("/etc", &[xdg, home], "/xdg/mailbearer"),
        ("", &[home], "/home/alice/.local/state/mailbearer"),
        ("/srv", &[], "/var/lib/mailbearer"),
        ("/srv", &[("HOME", "relative"), ("XDG_STATE_HOME", "")], "/var/lib/mailbearer"),
        ("config", &[relative, home], "/home/alice/.local/state/mailbearer"),
        (
            "/etc/mailbearer/more",
            &[("XDG_STATE_HOME", ""), home],
            "/home/alice/.local/state/mailbearer",
        ),
    ] {
        let store = store_in(dir, variables, "").unwrap();
        assert_eq!(store.path, Path::new(expected).join("mailbearer.redb"), "{dir} {variables:?}");
        let KeySource::Made(key) = store.key else { panic!("{:?}", store.key) };
        assert_eq!(key, Path::new(expected).join("store.key"));
    }
}

#[test]
fn a_store_lies_where_the_file_says_and_its_key_beside_it() {
    let store = store_in("/srv", &[("HOME", "/home/alice")], "path = \"state/grants.redb\"");
    let store = store.unwrap();
    assert_eq!(store.path, Path::new("/srv/state/grants.redb"));
    let KeySource::Made(key) = store.key else { panic!("{:?}", store.key) };
    assert_eq!(key, Path::new("/srv/state/store.key"));
}

#[test]
fn a_key_of_the_store_is_a_secret_like_any_other() {
    for (key, debug) in [
        ("{ env = \"KEY\" }", "Env(\"KEY\")"),
        ("{ file = \"store.key\" }", "File(\"/srv/store.key\")"),
        ("{ command = [\"pass\", \"show\"] }", "Command(\"pass\", 1 arguments)"),
        ("\"tell-nobody\"", "Value([REDACTED])"),
    ] {
        let store = store_in("/srv", &[("HOME", "/home/alice")], &format!("key = {key}")).unwrap();
        let KeySource::Given(source) = store.key else { panic!("{:?}", store.key) };
        assert_eq!(format!("{source:?}"), debug);
    }
    refused(
        "store",
        r#"
        + key = { env = "NOWHERE" }
        key.env names the environment variable NOWHERE, which is not set
        + key = { file = "missing" }
        key.file names /nowhere/missing, which cannot be read (no such file)
        "#,
    );
}

#[test]
fn a_key_that_could_be_guessed_is_a_problem_of_the_file_for_whoever_looks_at_secrets() {
    let parse = |key: &str, secrets| {
        let env = |name: &str| match name {
            "KEY" => Ok(key.to_owned()),
            "HOME" => Ok("/home/alice".to_owned()),
            _ => Ok("secret".to_owned()),
        };
        let text = good_with(&[(END, "[store]\nkey = { env = \"KEY\" }")]);
        Config::parse(&text, Path::new("/srv"), &env, secrets).map(drop)
    };
    let (short, long) = ("x".repeat(31), "x".repeat(32));
    let [problem] = &*parse(&short, Secrets::Verify).unwrap_err() else { panic!() };
    assert_eq!(problem.message, "has fewer than 32 characters, so that it could be guessed");
    assert_eq!(problem.help, "make one with `openssl rand -base64 32`");
    assert_eq!(parse(&long, Secrets::Verify), Ok(()));
    assert_eq!(parse(&short, Secrets::Leave), Ok(()), "told when it is used");
}

#[test]
fn a_store_that_is_wrong_is_refused() {
    refused(
        "store",
        r#"
        + path = ""
        path is no path
        + path = 1
        path is an integer, not a string
        + path = "/var/lib/mailbearer/"
        path is /var/lib/mailbearer/, which names no file
        + path = "/"
        path is /, which names no file
        + path = ".."
        path is /nowhere/.., which names no file
        + path = "state/store.key"
        path is /nowhere/state/store.key, a name for something else beside the store
        + path = "control.sock"
        path is /nowhere/control.sock, a name for something else beside the store
        + path = "state/lock"
        path is /nowhere/state/lock, a name for something else beside the store
        + pth = "x"
        pth is no key that mailbearer knows; the nearest is `path`
        12 store = "x"
        12: `accounts."alice@contoso.com".store` is no key that mailbearer knows
        "#,
    );
}

#[test]
fn what_a_reload_cannot_change_is_named() {
    let with = |end: &str| config(&[(END, end)]);
    let old = with("[store]\npath = \"/a/b\"");
    for (new, expected) in [
        ("[store]\npath = \"/a/b\"\n[log]\nlevel = \"debug\"", &[][..]),
        ("[store]\npath = \"/a/c\"", &["store.path"]),
        ("[store]\npath = \"/a/b\"\nkey = { command = [\"/bin/sh\"] }", &["store.key"]),
        ("[log]\nformat = \"json\"", &["store.path", "log.format"]),
    ] {
        let told = old.unreloadable_changes(&with(new));
        let expected: Vec<String> =
            expected.iter().map(|key| format!("restart to change `{key}`")).collect();
        assert_eq!(told, expected, "{new}");
    }
    let keyed = |key: &str| with(&format!("[store]\nkey = {key}"));
    let secret = "{ command = [\"/bin/sh\"] }";
    assert!(keyed(secret).unreloadable_changes(&keyed(secret)).is_empty());
    let told =
        keyed(secret).unreloadable_changes(&keyed("\"tell-nobody-tell-nobody-tell-nobody\""));
    assert_eq!(told, ["restart to change `store.key`"]);
}
