//! `[egress]`.

use super::*;

fn egress(keys: &str) -> Egress {
    config(&[(END, &format!("[egress]\n{keys}"))]).egress
}

#[test]
fn connections_leave_directly_when_nothing_is_said() {
    for read in [config(&[]).egress, egress("")] {
        assert!(read.http_proxy.is_none() && read.mail_proxy.is_none() && read.bind.is_none());
    }
}

#[test]
fn proxies_are_taken_as_secrets_and_never_printed() {
    let read = egress(
        r#"
        http_proxy = "http://user:tell-nobody@proxy.example:3128"
        mail_proxy = "socks5://user:tell-nobody@proxy.example"
        bind = "192.0.2.10"
        "#,
    );
    let proxy = read.http_proxy().unwrap().unwrap();
    assert_eq!(proxy.url(), "http://proxy.example:3128");
    assert!(proxy.basic().is_some());
    assert_eq!(read.bind, Some("192.0.2.10".parse().unwrap()));
    assert!(!format!("{read:?}").contains(SECRET), "{read:?}");
    // What a program prints is looked at when it is used.
    let command = egress("mail_proxy = { command = [\"sh\", \"-c\", \"echo no proxy\"] }");
    assert!(matches!(command.mail_proxy, Some(SecretSource::Command(_))));
    assert_eq!(egress("bind = \"::\"").bind, Some("::".parse().unwrap()));
}

#[test]
fn proxy_that_cannot_be_used_is_refused_and_not_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("proxy");
    fs::write(&file, "socks5://user:tell-nobody@proxy:0\n").unwrap();
    let file = format!("{{ file = {file:?} }}");
    let no_url = "is no URL of a proxy that mailbearer can use";
    for (line, problem) in [
        ("http_proxy = \"socks5://u:tell-nobody@proxy\"", no_url),
        ("http_proxy = \"https://u:tell-nobody@proxy\"", no_url),
        ("http_proxy = \"tell-nobody\"", no_url),
        // The variable holds it.
        ("http_proxy = { env = \"SECRET\" }", no_url),
        ("mail_proxy = \"ftp://u:tell-nobody@proxy\"", no_url),
        (
            "mail_proxy = \"socks5://tell-nobody@proxy\"",
            "has a user name or a password that such a proxy cannot be shown",
        ),
        (&format!("mail_proxy = {file}"), "names no port from 1 to 65535"),
        ("mail_proxy = \"\"", "is empty"),
        (
            "mail_proxy = 1080",
            "is an integer, not a string, { env = \"NAME\" }, { file = \"PATH\" } or { command = [\"PROGRAM\", \"ARGUMENT\"] }",
        ),
        ("bind = \"[::1]\"", "is \"[::1]\", which is no IP address"),
        ("bind = \"10.0.0.0/8\"", "is \"10.0.0.0/8\", which is no IP address"),
        ("bind = \"eth0\"", "is \"eth0\", which is no IP address"),
    ] {
        let key = line.split_once(" =").unwrap().0;
        let told = problems(&good_with(&[(END, &format!("[egress]\n{line}"))]));
        assert_eq!(told, [format!("13: `egress.{key}` {problem}")], "{line}");
    }
    let unknown = problems(&good_with(&[(END, "[egress]\nmail_prox = \"x\"")]));
    assert_eq!(
        unknown,
        ["13: `egress.mail_prox` is no key that mailbearer knows; the nearest is `mail_proxy`"]
    );
}
