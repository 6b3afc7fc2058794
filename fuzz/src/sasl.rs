//! What holds for SASL: messages of clients as they are decoded, and ours as they are written.
//!
//! In: lines. The first is read as a response of PLAIN and as a user name of LOGIN, the second as
//! its password; both as an error challenge, and in the clear as a mailbox and a token.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mailbearer::names::{AccountPattern, Username};
use mailbearer::proto::LocalCredentials;
use mailbearer::proto::sasl::{Credentials, SaslError, challenge, login, plain};
use mailbearer::provider::{MailHost, Mechanism, UpstreamTls};
use mailbearer::secret::{AccessToken, ExposeSecret as _};

/// Longest status of a challenge, in bytes.
const STATUS_LEN_MAX: usize = 64;

/// Looks at what `input` says.
pub fn check(input: &[u8]) {
    let mut lines = input.split(|&byte| byte == b'\n');
    let (first, second) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    check_plain(first);
    check_login(first, second);
    for line in [first, second] {
        check_status(line);
    }
    check_ours(first, second);
    for mechanism_message in [first, second] {
        round_trip(mechanism_message);
    }
}

fn check_plain(line: &[u8]) {
    let claim = plain::read(line);
    check_lenience(line, |line| shown(plain::read(line)));
    let Ok(message) = STANDARD.decode(line) else { return };
    let fields: Vec<_> = message.split(|&byte| byte == 0).collect();
    let [authzid, name, password] = fields[..] else {
        assert_eq!(claim.unwrap_err(), SaslError::Malformed);
        return;
    };
    let fits = Username::from_wire(name).is_ok();
    if authzid.is_empty() || !fits {
        assert_eq!(claim.is_ok(), fits);
    }
    // Nobody acts for another.
    if let (Ok(claim), false) = (&claim, authzid.is_empty()) {
        let authzid = Username::from_wire(authzid).expect("it is that name in another case");
        assert_eq!(authzid.folded(), claim.username.folded());
    }
    if let Ok(claim) = claim {
        assert_eq!(Username::from_wire(name), Ok(claim.username));
        assert_eq!(claim.password.expose_secret(), password);
    }
}

fn check_login(first: &[u8], second: &[u8]) {
    let read = |first: &[u8], second: &[u8]| login::read_username(first)?.read_password(second);
    check_lenience(first, |line| shown(read(line, second)));
    check_lenience(second, |line| shown(read(first, line)));
    if let Ok(claim) = read(first, second) {
        assert!(!claim.password.expose_secret().contains(&0));
        let password = STANDARD.encode(claim.password.expose_secret());
        let again = read(STANDARD.encode(claim.username.as_str()).as_bytes(), password.as_bytes());
        assert_eq!(shown(again), shown(Ok(claim)));
    }
}

/// Blanks in and around a line mean nothing, and neither does how much padding it has.
fn check_lenience<T: PartialEq + std::fmt::Debug>(line: &[u8], read: impl Fn(&[u8]) -> T) {
    let whole = read(line);
    assert_eq!(read(&[b" \t", line, b" \r"].concat()), whole);
    let (left, right) = line.split_at(line.len() / 2);
    assert_eq!(read(&[left, b"\t ", right].concat()), whole);
    if STANDARD.decode(line).is_ok() {
        let unpadded = line.iter().rposition(|&byte| byte != b'=').map_or(0, |last| last + 1);
        assert_eq!(read(&line[..unpadded]), whole);
        assert_eq!(read(&[line, b"=="].concat()), whole);
    }
}

fn check_status(line: &[u8]) {
    if let Some(status) = challenge::status(line) {
        assert!(status.len() <= STATUS_LEN_MAX, "a status of {}", status.len());
        assert!(status.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{status:?}");
    }
}

/// No mailbox and no token that are taken forge a field of the response.
fn check_ours(mailbox: &[u8], token: &[u8]) {
    let (Ok(mailbox), Ok(token)) = (Username::from_wire(mailbox), str::from_utf8(token)) else {
        return;
    };
    let Some(access_token) = AccessToken::parse(token) else { return };
    for mechanism in [Mechanism::Xoauth2, Mechanism::OauthBearer] {
        let host =
            MailHost { host: "mail.example".to_owned(), port: 993, tls: UpstreamTls::Implicit };
        let response =
            Credentials { mailbox: &mailbox, token: &access_token, mechanism, host: &host }
                .initial_response();
        let message = STANDARD.decode(response.expose_secret()).expect("it is base64");
        let message = String::from_utf8(message).expect("it is UTF-8");
        let fields: Vec<_> = message.split('\x01').collect();
        let bearer = format!("auth=Bearer {token}");
        match mechanism {
            // developers.google.com/workspace/gmail/imap/xoauth2-protocol, "The SASL XOAUTH2
            // mechanism".
            Mechanism::Xoauth2 => {
                assert_eq!(fields, [&format!("user={mailbox}"), bearer.as_str(), "", ""]);
            }
            // RFC 7628 section 3.1, with the header of RFC 5801 section 4.
            Mechanism::OauthBearer => {
                let [header, rest @ ..] = &fields[..] else { panic!("{fields:?}") };
                assert_eq!(rest, ["host=mail.example", "port=993", bearer.as_str(), "", ""]);
                let name = header.strip_prefix("n,a=").and_then(|name| name.strip_suffix(','));
                let name = name.expect("a GS2 header");
                assert!(!name.contains(','), "{header}");
                let unescaped = name.replace("=2C", ",").replace("=3D", "=");
                assert_eq!(unescaped, mailbox.as_str());
            }
        }
    }
}

/// A name that is taken is taken again as it is shown, and is covered by itself.
fn round_trip(name: &[u8]) {
    let Ok(name) = Username::from_wire(name) else { return };
    assert_eq!(Username::from_wire(name.as_str().as_bytes()), Ok(name.clone()));
    if let Ok(pattern @ AccountPattern::Exact(_)) = AccountPattern::parse(name.as_str()) {
        assert!(pattern.covers(&name) && pattern.covers(&name.folded()), "{name:?}");
    }
    if let Ok(pattern @ AccountPattern::Domain(_)) = AccountPattern::parse(name.as_str()) {
        assert!(!pattern.covers(&Username::parse("a@b@c.example").expect("a name")), "{name:?}");
    }
}

fn shown(claim: Result<LocalCredentials, SaslError>) -> Result<(Username, Vec<u8>), SaslError> {
    claim.map(|claim| (claim.username, claim.password.expose_secret().to_vec()))
}
