//! How clients show who they are: by what the account writes, or else its provider.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, date_time_ymd};

use super::*;
use crate::provider::{AssertionAlgorithm, Client, ClientAuth, ClientKey};

/// A directory with RSA keys and certificates.
fn keys() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    put("app.key", &key.serialize_pem());
    put("other.key", &KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap().serialize_pem());
    for (name, year) in [("app.pem", 2999), ("old.pem", 2001)] {
        let mut params = CertificateParams::new(["app.example".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        put(name, &params.self_signed(&key).unwrap().pem());
    }
    put(
        "encrypted.key",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    put("assertion", "a.b.c");
    fs::write(dir.path().join("app.pfx"), b"\x30\x82\x09\xff").unwrap();
    dir
}

fn read(dir: &Path, keys: &str, defaults: &str) -> Result<Config, Vec<Problem>> {
    let end = format!("[providers.microsoft]\n{defaults}");
    Config::parse(&good_with(&[(CLIENT_SECRET, keys), (END, &end)]), dir, &env, Secrets::Verify)
}

fn client(dir: &Path, keys: &str, defaults: &str) -> Client {
    let config = read(dir, keys, defaults)
        .unwrap_or_else(|problems| panic!("{keys} {defaults}: {problems:#?}"));
    config.accounts[0].grant.way.client().unwrap().clone()
}

/// What is told, without the account's name.
fn told(dir: &Path, keys: &str, defaults: &str) -> Vec<String> {
    let problems = read(dir, keys, defaults).expect_err(keys);
    problems.iter().for_each(|problem| assert!(!problem.help.is_empty()));
    problems
        .iter()
        .map(|problem| {
            let key = problem.key.as_deref().unwrap().rsplit_once('.').unwrap().1;
            format!("{key} {}", problem.message)
        })
        .collect()
}

const SECRET_KEY: &str = "client_secret = { env = \"SECRET\" }";
const PAIR: &str = "certificate = \"app.pem\"\nprivate_key = \"app.key\"";

#[test]
fn a_client_shows_what_is_written_and_as_it_is_written() {
    let dir = keys();
    let auth = |keys: &str, defaults: &str| client(dir.path(), keys, defaults).auth;
    assert!(matches!(auth(SECRET_KEY, ""), ClientAuth::SecretPost(_)), "the default");
    let basic = format!("{SECRET_KEY}\nclient_auth = \"secret-basic\"");
    assert!(matches!(auth(&basic, ""), ClientAuth::SecretBasic(_)));
    let post = format!("{SECRET_KEY}\nclient_auth = \"secret-post\"");
    assert!(matches!(auth(&post, "client_auth = \"secret-basic\""), ClientAuth::SecretPost(_)));
    assert!(matches!(
        auth(SECRET_KEY, "client_auth = \"secret-basic\""),
        ClientAuth::SecretBasic(_)
    ));

    let ClientAuth::PrivateKeyJwt(key) = auth(PAIR, "") else { panic!() };
    assert!(matches!((&key.certificate, &key.private_key), (
        Some(SecretSource::File(certificate)),
        SecretSource::File(private_key),
    ) if certificate.ends_with("app.pem") && private_key.ends_with("app.key")));
    assert_eq!((key.key_id, key.algorithm), (None, AssertionAlgorithm::Ps256));
    let rs256 = format!(
        "{PAIR}\nprivate_key_id = \"k1\"\nassertion_algorithm = \"RS256\"\nclient_auth = \"private-key-jwt\""
    );
    let ClientAuth::PrivateKeyJwt(ClientKey { key_id, algorithm, .. }) = auth(&rs256, "") else {
        panic!()
    };
    assert_eq!((key_id.as_deref(), algorithm), (Some("k1"), AssertionAlgorithm::Rs256));

    let ClientAuth::AssertionFile(path) = auth("assertion_file = \"assertion\"", "") else {
        panic!()
    };
    assert_eq!(path, dir.path().join("assertion"));
}

#[test]
fn pem_may_stand_in_the_file_itself() {
    let dir = keys();
    let [key, certificate] =
        ["app.key", "app.pem"].map(|name| fs::read_to_string(dir.path().join(name)).unwrap());
    let written = format!("private_key = '''\n{key}'''\ncertificate = \"\"\"{certificate}\"\"\"");
    let ClientAuth::PrivateKeyJwt(read) = client(dir.path(), &written, "").auth else { panic!() };
    assert!(matches!(read.private_key, SecretSource::Value(_)));
    assert!(matches!(read.certificate, Some(SecretSource::Value(_))));
    // Without its first line it is a path to nobody, and is not told.
    let bare: String = key.lines().filter(|line| !line.starts_with('-')).collect();
    let written = format!("certificate = \"app.pem\"\nprivate_key = {bare:?}");
    let told = told(dir.path(), &written, "");
    assert_eq!(told, ["private_key is neither PEM nor a path"]);
}

#[test]
fn pem_in_the_file_may_have_text_before_it() {
    let dir = keys();
    // What `openssl pkcs12 -nodes` writes, in plain lines and as one.
    let key = fs::read_to_string(dir.path().join("app.key")).unwrap();
    let key = format!("Bag Attributes\n    localKeyID: 01\n{key}");
    for text in [key.clone(), key.replace('\n', r"\n")] {
        let written = format!("certificate = \"app.pem\"\nprivate_key = '''{text}'''");
        let ClientAuth::PrivateKeyJwt(read) = client(dir.path(), &written, "").auth else {
            panic!()
        };
        assert!(matches!(read.private_key, SecretSource::Value(_)));
    }
}

#[test]
fn a_key_in_the_place_of_a_path_is_not_told() {
    let dir = keys();
    // DER of an elliptic curve's key, in base64: SEC1 and PKCS#8, whose first bytes are known.
    let der = |start: &[u8], len: usize| STANDARD.encode([start, &vec![7; len][..]].concat());
    let sec1 = der(b"\x30\x77\x02\x01\x01\x04\x20", 114);
    let pkcs8 = der(b"\x30\x81\x87\x02\x01\x00\x30\x13", 130);
    for key in [&sec1, &pkcs8] {
        let written = format!("certificate = \"app.pem\"\nprivate_key = {key:?}");
        assert_eq!(told(dir.path(), &written, ""), ["private_key is neither PEM nor a path"]);
    }
    let pem = r"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let json = format!(r#"{{"type":"service_account","private_key":"{pem}"}}"#);
    for key in [pem, &json, &sec1, &pkcs8] {
        for name in ["assertion_file = ", "client_secret = { file = "] {
            let end = if name.contains('{') { " }" } else { "" };
            let problems = read(dir.path(), &format!("{name}'{key}'{end}"), "").unwrap_err();
            let told = format!("{problems:?}");
            assert!(told.contains("is no path") && !told.contains(key), "{told}");
        }
    }
    // A path may be long, and begin as base64 does.
    let path = format!("M{}", "y/secrets".repeat(12));
    let problems = read(dir.path(), &format!("assertion_file = {path:?}"), "").unwrap_err();
    assert!(format!("{problems:?}").contains(&path), "{problems:?}");
}

#[test]
fn what_the_account_shows_comes_before_what_its_provider_gives() {
    let dir = keys();
    let auth = |keys: &str, defaults: &str| client(dir.path(), keys, defaults).auth;
    assert!(matches!(auth("", SECRET_KEY), ClientAuth::SecretPost(_)));
    assert!(matches!(auth("", PAIR), ClientAuth::PrivateKeyJwt(_)));
    assert!(matches!(auth(SECRET_KEY, PAIR), ClientAuth::SecretPost(_)));
    assert!(matches!(auth(PAIR, SECRET_KEY), ClientAuth::PrivateKeyJwt(_)));
    let both = format!("{SECRET_KEY}\n{PAIR}");
    let jwt = "client_auth = \"private-key-jwt\"";
    assert!(matches!(auth(jwt, &both), ClientAuth::PrivateKeyJwt(_)), "it decides among defaults");
    assert!(matches!(auth("", &format!("{both}\n{jwt}")), ClientAuth::PrivateKeyJwt(_)));
    let basic = "client_auth = \"secret-basic\"";
    assert!(matches!(auth(PAIR, basic), ClientAuth::PrivateKeyJwt(_)), "it does not fit");
    assert_eq!(
        told(dir.path(), "", &both),
        ["private_key stands beside `client_secret`, and a client shows one thing"]
    );
}

#[test]
fn none_lets_a_person_go_without_the_secret_of_the_provider() {
    let text = good_with(&[
        (GRANT, "grant = \"authorization-code\""),
        (CLIENT_SECRET, "client_auth = \"none\""),
        (END, &format!("[providers.microsoft]\n{SECRET_KEY}")),
    ]);
    let config = parse(&text).unwrap();
    let client = config.accounts[0].grant.way.client().unwrap();
    assert!(matches!(client.auth, ClientAuth::None));
}

#[test]
fn what_a_client_shows_is_refused_where_it_contradicts_itself() {
    let dir = keys();
    for (written, sentence) in [
        (
            "client_secret = { env = \"SECRET\" }\nclient_auth = \"none\"",
            "client_secret has no use with client_auth = \"none\"",
        ),
        (
            "client_secret = { env = \"SECRET\" }\nclient_auth = \"private-key-jwt\"",
            "client_secret has no use with client_auth = \"private-key-jwt\"",
        ),
        (
            "private_key = \"app.key\"\nclient_auth = \"secret-post\"",
            "private_key has no use with client_auth = \"secret-post\"",
        ),
        (
            "client_secret = { env = \"SECRET\" }\nassertion_file = \"assertion\"",
            "assertion_file stands beside `client_secret`, and a client shows one thing",
        ),
        (
            "client_secret = { env = \"SECRET\" }\nassertion_algorithm = \"PS256\"",
            "assertion_algorithm stands beside `client_secret`, and a client shows one thing",
        ),
        ("client_auth = \"secret-basic\"", "com\"` lacks `client_secret`"),
        ("client_auth = \"private-key-jwt\"", "com\"` lacks `private_key`"),
        (
            "client_auth = \"none\"",
            "com\"` has client_auth = \"none\", but an application has to show that it is the one",
        ),
        ("certificate = \"app.pem\"", "com\"` lacks `private_key`"),
        ("private_key = \"app.key\"", "com\"` lacks `certificate`"),
        (
            "assertion_algorithm = \"ES256\"",
            "assertion_algorithm is \"ES256\", which mailbearer does not know",
        ),
        ("client_auth = \"basic\"", "client_auth is \"basic\", which mailbearer does not know"),
        ("private_key_id = \"\"", "private_key_id is no name of a key"),
        (
            "assertion_file = \"missing\"",
            "assertion_file names DIR/missing, which cannot be read (no such file)",
        ),
        (
            "certificate = \"app.pem\"\nprivate_key = \"app.key\"\nclient_secret_expires = 2030-01-01",
            "client_secret_expires has no use without `client_secret`",
        ),
    ] {
        let told = told(dir.path(), written, "");
        let shown = dir.path().display().to_string();
        let told: Vec<_> = told
            .iter()
            .map(|told| told.replace(&shown, "DIR").replace("com\" ", "com\"` "))
            .collect();
        assert_eq!(told, [sentence], "{written}");
    }
}

#[test]
fn a_key_that_cannot_sign_is_refused_with_what_to_do() {
    let dir = keys();
    for (certificate, private_key, key, said, help) in [
        ("app.pem", "other.key", "private_key", "does not belong to `certificate`", ""),
        ("old.pem", "app.key", "certificate", "ended at 2001-01-01T00:00:00Z", "openssl req"),
        ("app.pem", "encrypted.key", "private_key", "is encrypted", "openssl pkey -in"),
        ("app.pfx", "app.key", "certificate", "is DER", "openssl x509 -inform der"),
        ("app.pem", "missing.key", "private_key", "cannot be read", "readable"),
    ] {
        let written = format!("certificate = {certificate:?}\nprivate_key = {private_key:?}");
        let [problem] = read(dir.path(), &written, "").unwrap_err().try_into().unwrap();
        assert!(problem.key.as_deref().unwrap().ends_with(key), "{problem:?}");
        assert!(problem.message.contains(said), "{problem:?}");
        assert!(problem.help.contains(help), "{problem:?}");
        let end = format!("[providers.microsoft]\n{written}");
        let text = good_with(&[(CLIENT_SECRET, ""), (END, &end)]);
        let left = Config::parse(&text, dir.path(), &env, Secrets::Leave);
        assert!(left.is_ok(), "nothing was looked at: {left:?}");
    }
}

/// What is told at `now`, seconds since 1970.
fn warned_at(dir: &Path, keys: &str, now: u64) -> Vec<String> {
    let text = good_with(&[(CLIENT_SECRET, keys)]);
    let file = File::new(&text, dir, &env, Secrets::Verify).at(Duration::from_secs(now));
    let config = Config::parse_file(file, &text).unwrap();
    warnings(&config)
}

#[test]
fn a_secret_is_warned_of_30_days_before_its_end() {
    let dir = keys();
    let ends: u64 = 1_825_027_200; // 2027-11-01T00:00:00Z, by `date -u -d 2027-11-01 +%s`
    for date in ["\"2027-11-01\"", "2027-11-01"] {
        let written = format!("{SECRET_KEY}\nclient_secret_expires = {date}");
        let client = client(dir.path(), &written, "");
        assert_eq!(client.secret_ends_at, Some(Duration::from_secs(ends)));
        let month = 30 * 24 * 60 * 60;
        assert!(warned_at(dir.path(), &written, ends - month - 1).is_empty());
        for (now, when) in [(ends - month, "near"), (ends, "past")] {
            assert_eq!(
                warned_at(dir.path(), &written, now),
                [format!(
                    "10: `accounts.\"alice@contoso.com\".client_secret_expires` is {when}: the \
                     client secret ends on 2027-11-01"
                )]
            );
        }
    }
    for (date, said) in [
        ("\"2027-13-01\"", "is \"2027-13-01\", which is no date"),
        ("\"2027-02-29\"", "is \"2027-02-29\", which is no date"),
        ("\"1.11.2027\"", "is \"1.11.2027\", which is no date"),
        ("2027-11-01T00:00:00Z", "is \"2027-11-01T00:00:00Z\", which is no date"),
        ("20271101", "is no date"),
    ] {
        let written = format!("{SECRET_KEY}\nclient_secret_expires = {date}");
        assert_eq!(told(dir.path(), &written, ""), [format!("client_secret_expires {said}")]);
    }
}

#[test]
fn a_certificate_is_warned_of_30_days_before_its_end() {
    let dir = keys();
    let ends = 32_472_144_000; // 2999-01-01T00:00:00Z, by `date -u -d 2999-01-01 +%s`
    let month = 30 * 24 * 60 * 60;
    assert!(warned_at(dir.path(), PAIR, ends - month - 1).is_empty());
    assert_eq!(
        warned_at(dir.path(), PAIR, ends - month),
        ["9: `accounts.\"alice@contoso.com\".certificate` names a certificate that ends on \
             2999-01-01"]
    );
}

#[test]
fn an_end_in_the_providers_table_is_that_of_the_secret_there() {
    let dir = keys();
    let defaults = format!("{SECRET_KEY}\nclient_secret_expires = \"2999-01-01\"");
    assert!(client(dir.path(), "", &defaults).secret_ends_at.is_some());
    assert_eq!(
        client(dir.path(), "client_secret = \"tell-nobody\"", &defaults).secret_ends_at,
        None
    );
    assert_eq!(client(dir.path(), PAIR, &defaults).secret_ends_at, None);
}
