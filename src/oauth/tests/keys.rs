//! Keys for tests, and what `check` says of good and bad ones.

use std::path::PathBuf;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256};
use serde_json::Value;

use super::*;
use crate::oauth::client_key::certificate_end;
use crate::provider::{AssertionAlgorithm, ClientKey, ServiceAccount, ServiceAccountKey};
use crate::secret::SecretString;

/// When the certificate of [`Keys`] ends: 2100-01-01.
const END: Duration = Duration::from_secs(4_102_444_800);

/// A directory with an RSA key of 2048 bits (`app.key`) and its certificate (`app.pem`).
pub(super) struct Keys {
    dir: tempfile::TempDir,
}

impl Keys {
    pub(super) fn new() -> Self {
        let keys = Self { dir: tempfile::tempdir().unwrap() };
        let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
        keys.certify("app.pem", &key, 2100);
        keys.write("app.key", &key.serialize_pem());
        keys
    }

    /// Writes a certificate of `key` that ends with the beginning of `year`.
    fn certify(&self, name: &str, key: &KeyPair, year: i32) {
        let mut params = CertificateParams::new(["app.example".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        self.write(name, &params.self_signed(key).unwrap().pem());
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub(super) fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// A line of the private key that nobody may see.
    pub(super) fn secret_line(&self) -> String {
        self.text("app.key").lines().nth(3).unwrap().to_owned()
    }

    /// Runs openssl, an independent judge, with the words of `line`; gives what it prints.
    pub(super) fn openssl(&self, line: &str) -> Result<String, String> {
        let output = Command::new("openssl")
            .args(line.split(' '))
            .current_dir(self.dir.path())
            .output()
            .expect("openssl judges what is signed here: install it (tests/interop/install)");
        let told = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(told(&output.stdout)) } else { Err(told(&output.stderr)) }
    }

    /// What authenticates by `app.key`, whose certificate the server knows.
    pub(super) fn client_key(&self, algorithm: AssertionAlgorithm) -> ClientKey {
        ClientKey {
            certificate: Some(SecretSource::File(self.path("app.pem"))),
            private_key: SecretSource::File(self.path("app.key")),
            key_id: None,
            algorithm,
        }
    }

    /// Google's key file with `app.key`, as its console writes it, for the endpoint `token_uri`.
    pub(super) fn write_key_file(&self, token_uri: &str) -> PathBuf {
        let file = serde_json::json!({
            "type": "service_account",
            "project_id": "relay",
            "private_key_id": "k3y-1d",
            "private_key": self.text("app.key"),
            "client_email": "relay@relay.iam.gserviceaccount.com",
            "client_id": "123456789012345678901",
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": token_uri,
            "universe_domain": "googleapis.com",
        });
        self.write("key.json", &serde_json::to_string_pretty(&file).unwrap());
        self.path("key.json")
    }

    /// Whether openssl holds `jwt` for signed by `app.key`.
    pub(super) fn verify(&self, jwt: &Jwt, algorithm: AssertionAlgorithm) -> bool {
        // RFC 7518 section 3.5: the salt is as long as the hash.
        let padding = match algorithm {
            AssertionAlgorithm::Ps256 => {
                "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32 -sigopt rsa_mgf1_md:sha256 "
            }
            AssertionAlgorithm::Rs256 => "",
        };
        self.openssl("x509 -in app.pem -pubkey -noout -out app.pub").unwrap();
        std::fs::write(self.path("signature"), &jwt.signature).unwrap();
        self.write("signed", &jwt.signed);
        let line = format!("dgst -sha256 -verify app.pub -signature signature {padding}signed");
        self.openssl(&line).is_ok_and(|told| told.trim() == "Verified OK")
    }
}

/// A JWT taken apart (RFC 7515 section 7.1).
pub(super) struct Jwt {
    pub(super) header: Value,
    pub(super) claims: Value,
    pub(super) signed: String,
    pub(super) signature: Vec<u8>,
}

impl Jwt {
    pub(super) fn parse(text: &str) -> Self {
        let part = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
        let (signed, signature) = text.rsplit_once('.').unwrap();
        let (header, claims) = signed.split_once('.').unwrap();
        Self {
            header: serde_json::from_slice(&part(header)).unwrap(),
            claims: serde_json::from_slice(&part(claims)).unwrap(),
            signed: signed.to_owned(),
            signature: part(signature),
        }
    }
}

fn value(text: &str) -> SecretSource {
    SecretSource::Value(SecretString::from(text))
}

/// What is told of `key`: which part, the problem and the fix; nothing where it is good.
fn told(key: &ClientKey) -> Option<(&'static str, String, String)> {
    let problem = check_client_key(key).err()?;
    Some((problem.part().name(), problem.to_string(), problem.fix().to_owned()))
}

/// A client's key of these two texts.
fn pair(certificate: &str, private_key: &str) -> ClientKey {
    ClientKey {
        certificate: Some(value(certificate)),
        private_key: value(private_key),
        key_id: None,
        algorithm: AssertionAlgorithm::Ps256,
    }
}

#[test]
fn key_is_good_in_every_form_of_pem() {
    let keys = Keys::new();
    keys.openssl("rsa -in app.key -traditional -out pkcs1.key").unwrap();
    let (key, certificate) = (keys.text("app.key"), keys.text("app.pem"));
    let pkcs1 = keys.text("pkcs1.key");
    assert!(pkcs1.starts_with("-----BEGIN RSA PRIVATE KEY-----"), "{pkcs1}");
    let both = format!("{key}Bag Attributes\n  localKeyID: 01\nsubject=CN = app\n{certificate}");
    for (certificate, key) in [
        (&certificate, &key),
        (&certificate, &pkcs1),
        (&both, &both),
        (&certificate.replace('\n', "\r\n"), &key.replace('\n', "\r\n")),
        (&certificate.replace('\n', "\n    "), &key.replace('\n', "\n\t")),
        (&certificate.replace('\n', r"\n"), &key.replace('\n', r"\n")),
        (&format!("\u{feff}{certificate}"), &format!("\u{feff}{key}")),
    ] {
        let facts = check_client_key(&pair(certificate, key)).unwrap();
        assert_eq!(facts.certificate.map(|it| it.ends_at), Some(END));
    }
    let files = keys.client_key(AssertionAlgorithm::Rs256);
    assert_eq!(check_client_key(&files).unwrap().certificate.unwrap().ends_at, END);
    assert_eq!(certificate_end(&files), Some(END));
    let bare = ClientKey { certificate: None, ..files };
    assert_eq!(check_client_key(&bare), Ok(KeyFacts { certificate: None }));
    assert_eq!(certificate_end(&bare), None);
}

#[test]
fn certificate_that_stands_first_is_the_one() {
    let keys = Keys::new();
    let other = Keys::new();
    let (own, foreign) = (keys.text("app.pem"), other.text("app.pem"));
    let key = keys.text("app.key");
    assert_eq!(told(&pair(&format!("{own}{foreign}"), &key)), None);
    let (part, problem, fix) = told(&pair(&format!("{foreign}{own}"), &key)).unwrap();
    assert_eq!((part, problem.as_str()), ("private_key", "does not belong to `certificate`"));
    assert!(fix.ends_with("of several certificates in a file the first one counts"), "{fix}");
}

#[test]
fn certificate_is_refused_once_it_has_ended() {
    let keys = Keys::new();
    let key = KeyPair::from_pem(&keys.text("app.key")).unwrap();
    keys.certify("app.pem", &key, 2020);
    let files = keys.client_key(AssertionAlgorithm::Ps256);
    let (part, problem, fix) = told(&files).unwrap();
    assert_eq!((part, problem.as_str()), ("certificate", "ended at 2020-01-01T00:00:00Z"));
    assert!(fix.starts_with("make an RSA key with a certificate: openssl req -x509"), "{fix}");
    assert_eq!(certificate_end(&files), Some(Duration::from_secs(1_577_836_800)));
}

#[test]
fn private_key_that_cannot_sign_is_told_with_the_command_that_mends_it() {
    let keys = Keys::new();
    keys.openssl("genrsa -out small.key 1024").unwrap();
    keys.openssl("pkcs8 -topk8 -in app.key -passout pass:x -out encrypted.key").unwrap();
    keys.openssl("rsa -in app.key -traditional -aes256 -passout pass:x -out old.key").unwrap();
    keys.openssl("ecparam -name prime256v1 -genkey -out sec1.key").unwrap();
    keys.openssl("genpkey -algorithm ed25519 -out ed.key").unwrap();
    keys.openssl("pkey -in app.key -pubout -out public.key").unwrap();
    keys.openssl("pkey -in app.key -outform der -out der.key").unwrap();
    keys.openssl("pkcs12 -export -inkey app.key -in app.pem -passout pass: -out app.pfx").unwrap();
    keys.openssl("base64 -A -in app.pfx -out vault.key").unwrap();
    keys.write("ec.key", &KeyPair::generate().unwrap().serialize_pem());
    keys.write(
        "ssh.key",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nMAAA\n-----END OPENSSH PRIVATE \
                           KEY-----\n",
    );
    keys.write("cut.key", &keys.text("app.key")[..900]);
    keys.write("one-line.key", &keys.text("app.key").replace('\n', " "));
    keys.write("no.key", "nothing");
    keys.write("not-der.key", "-----BEGIN PRIVATE KEY-----\nMAAA\n-----END PRIVATE KEY-----\n");

    let pkey = "openssl pkey -in enc.key -out app.key";
    let pkcs12 = "openssl pkcs12 -in app.pfx -out app.pem -nodes";
    let make = "openssl req -x509 -newkey rsa:3072";
    for (name, problem, fix) in [
        ("small.key", "has 1024 bits, and RSA keys of 2048 to 8192 are taken", make),
        ("encrypted.key", "is encrypted, and there is nobody to ask for its passphrase", pkey),
        ("old.key", "is encrypted, and there is nobody to ask for its passphrase", pkey),
        ("ec.key", "is an EC key, and PS256 and RS256 are signed by RSA alone", make),
        ("sec1.key", "is an EC key, and PS256 and RS256 are signed by RSA alone", make),
        ("ed.key", "is no RSA key, and PS256 and RS256 are signed by RSA alone", make),
        ("app.pfx", "is a PKCS#12 file", pkcs12),
        ("vault.key", "is base64 without PEM's first and last line", pkcs12),
        ("der.key", "is DER", "openssl pkey -inform der"),
        ("ssh.key", "is an OpenSSH key", "ssh-keygen -p -m PKCS8"),
        ("public.key", "is a public key", "name the private key"),
        ("app.pem", "holds a certificate and no private key", "name the private key"),
        ("cut.key", "is damaged PEM", "keep its line ends"),
        ("one-line.key", "is damaged PEM", "keep its line ends"),
        ("not-der.key", "is damaged", "export the key again"),
        ("no.key", "holds no private key", "-----BEGIN PRIVATE KEY-----"),
    ] {
        let private_key = SecretSource::File(keys.path(name));
        let files = keys.client_key(AssertionAlgorithm::Ps256);
        let told = told(&ClientKey { private_key, ..files }).unwrap();
        assert_eq!((told.0, told.1.as_str()), ("private_key", problem), "{name}");
        assert!(told.2.contains(fix), "{name}: {}", told.2);
    }
}

#[test]
fn certificate_that_cannot_be_read_is_told_with_the_command_that_mends_it() {
    let keys = Keys::new();
    keys.openssl("x509 -in app.pem -outform der -out app.cer").unwrap();
    keys.openssl("pkcs12 -export -inkey app.key -in app.pem -passout pass: -out app.pfx").unwrap();
    keys.openssl("crl2pkcs7 -nocrl -certfile app.pem -out app.p7b").unwrap();
    keys.openssl("req -new -key app.key -subj /CN=app -out app.csr").unwrap();
    keys.openssl("pkey -in app.key -pubout -out app.pub").unwrap();
    keys.write("cut.pem", &keys.text("app.pem")[..600]);
    keys.write("no.pem", "nothing");
    keys.write("not-der.pem", "-----BEGIN CERTIFICATE-----\nMAAA\n-----END CERTIFICATE-----\n");
    for (name, problem, fix) in [
        ("app.cer", "is DER", "openssl x509 -inform der"),
        ("app.pfx", "is a PKCS#12 file", "openssl pkcs12 -in app.pfx -out app.pem -nodes"),
        ("app.p7b", "is a PKCS#7 file", "openssl pkcs7"),
        ("app.csr", "is a request for a certificate", "made from it"),
        ("app.key", "holds a private key and no certificate", "name the certificate"),
        ("app.pub", "is a bare public key", "`private_key_id`"),
        ("cut.pem", "is damaged PEM", "keep its line ends"),
        ("not-der.pem", "is damaged", "export the certificate again"),
        ("no.pem", "holds no certificate", "-----BEGIN CERTIFICATE-----"),
    ] {
        let certificate = Some(SecretSource::File(keys.path(name)));
        let files = ClientKey { certificate, ..keys.client_key(AssertionAlgorithm::Ps256) };
        let told = told(&files).unwrap();
        assert_eq!((told.0, told.1.as_str()), ("certificate", problem), "{name}");
        assert!(told.2.contains(fix), "{name}: {}", told.2);
        assert_eq!(certificate_end(&files), None, "{name}");
    }
}

#[test]
fn key_problem_may_pass_only_where_a_file_may_be_being_replaced() {
    let keys = Keys::new();
    let files = keys.client_key(AssertionAlgorithm::Ps256);
    let kind = |private_key: SecretSource| {
        let problem = check_client_key(&ClientKey { private_key, ..files.clone() }).unwrap_err();
        TokenError::from(problem).kind
    };
    keys.openssl("pkcs8 -topk8 -in app.key -passout pass:x -out encrypted.key").unwrap();
    let cut = keys.text("app.key")[..900].to_owned();
    keys.write("cut.key", &cut);
    keys.write("empty.key", "");
    let other = Keys::new();
    for name in ["cut.key", "empty.key", "missing.key"] {
        assert_eq!(kind(SecretSource::File(keys.path(name))), ErrorKind::Temporary, "{name}");
    }
    let stranger = SecretSource::File(other.path("app.key"));
    assert_eq!(kind(stranger), ErrorKind::Temporary, "one of the two is not replaced yet");
    let unset = SecretSource::env("KEY", Err(std::env::VarError::NotPresent));
    let encrypted = SecretSource::File(keys.path("encrypted.key"));
    for lasting in [value(&cut), unset, encrypted, value(&other.text("app.key"))] {
        assert_eq!(kind(lasting), ErrorKind::Configuration);
    }
    let missing = TokenError::from(
        check_client_key(&ClientKey {
            private_key: SecretSource::File("/nowhere/app.key".into()),
            ..files
        })
        .unwrap_err(),
    );
    assert!(missing.cause.starts_with("private_key cannot be had: the secret file"), "{missing}");
    assert_eq!(missing.fix, "make it readable for the user that mailbearer runs as");
}

#[test]
fn service_account_key_is_checked_like_any_other() {
    let keys = Keys::new();
    let path = keys.write_key_file("https://oauth2.googleapis.com/token");
    let good = keys.text("key.json");
    let key = || ServiceAccount { key: ServiceAccountKey::File(path.clone()) };
    assert_eq!(check_service_account(&key()), Ok(KeyFacts { certificate: None }));
    let desktop = r#"{"installed":{"client_id":"x","client_secret":"tell-nobody"}}"#;
    for (text, problem) in [
        ("", "cannot be had: the secret file"),
        ("tell-nobody", "is no JSON of a service account's key"),
        (&good[..900], "is no JSON of a service account's key"),
        ("[7]", "is no JSON of a service account's key"),
        (desktop, "is another kind of file: its `type` is not service_account"),
        (&good.replace("service_account", "authorized_user"), "is another kind of file"),
        (&good.replace("private_key_id", "x"), "lacks `client_email`, `private_key_id` or"),
        (&good.replace("client_email", "x"), "lacks `client_email`, `private_key_id` or"),
        (&good.replace("private_key\"", "x\""), "lacks `client_email`, `private_key_id` or"),
        (&good.replace("BEGIN PRIVATE", "BEGIN"), "has a `private_key` that is damaged PEM"),
    ] {
        keys.write("key.json", text);
        let told = check_service_account(&key()).unwrap_err();
        assert_eq!(told.part(), KeyPart::KeyFile);
        assert!(told.to_string().starts_with(problem), "{told}");
        assert!(!format!("{told:?}").contains("tell-nobody"), "{told:?}");
    }
    keys.openssl("pkcs12 -export -inkey app.key -in app.pem -passout pass: -out key.json").unwrap();
    let told = check_service_account(&key()).unwrap_err();
    assert_eq!(told.to_string(), "is no JSON file");
    assert!(told.fix().contains("JSON"), "{told:?}");

    let written = |private_key: &str| ServiceAccount {
        key: ServiceAccountKey::Written {
            client_email: "relay@relay.iam.gserviceaccount.com".into(),
            private_key_id: "k3y-1d".into(),
            private_key: value(private_key),
        },
    };
    assert!(check_service_account(&written(&keys.text("app.key"))).is_ok());
    let told = check_service_account(&written("nothing")).unwrap_err();
    assert_eq!(
        (told.part(), told.to_string().as_str()),
        (KeyPart::PrivateKey, "holds no private key")
    );
}
