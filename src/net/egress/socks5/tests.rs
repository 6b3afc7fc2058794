//! SOCKS5 on the wire: what is sent, and what comes of every answer, whole and in pieces.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::*;
use crate::provider::UpstreamTls;

/// How a proxy answers that accepts the method and connects from 127.0.0.1:1 (RFC 1928).
const ACCEPTED: &[u8] = b"\x05\x00\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x01";

fn host(name: &str) -> MailHost {
    MailHost { host: name.into(), port: 993, tls: UpstreamTls::Implicit }
}

fn credentials() -> Credentials {
    let secret = SecretString::from;
    Credentials { user: secret("alice"), password: secret("tell-nobody") }
}

/// What comes of asking a proxy that answers so, in pieces of `piece` bytes, and then closes; what
/// it was told; and what is left of its bytes.
async fn play(
    answers: &[u8],
    name: &str,
    credentials: Option<&Credentials>,
    piece: usize,
) -> (Result<(), ProxyProblem>, Vec<u8>, Vec<u8>) {
    let (mut near, far) = duplex(4096);
    let (mut heard, mut answering) = tokio::io::split(far);
    let answers = answers.to_vec();
    let speaking = tokio::spawn(async move {
        for piece in answers.chunks(piece) {
            answering.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        answering.shutdown().await.unwrap();
    });
    let outcome = ask(&mut near, &host(name), credentials).await;
    speaking.await.unwrap();
    let left = all(&mut near).await;
    near.shutdown().await.unwrap();
    drop(near);
    let mut told = Vec::new();
    heard.read_to_end(&mut told).await.unwrap();
    (outcome, told, left)
}

async fn all(stream: &mut DuplexStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    bytes
}

async fn told(answers: &[u8], credentials: Option<&Credentials>) -> String {
    let (outcome, _, _) = play(answers, "imap.example", credentials, 4096).await;
    outcome.unwrap_err().to_string()
}

#[tokio::test]
async fn proxy_is_asked_in_the_form_of_the_rfc() {
    // RFC 1928 sections 3 and 4: version, one method, none; then CONNECT to a name.
    let (outcome, told, _) = play(ACCEPTED, "imap.example", None, 4096).await;
    outcome.unwrap();
    assert_eq!(told, b"\x05\x01\x00\x05\x01\x00\x03\x0cimap.example\x03\xe1");
    // An address goes as such (section 5).
    let (outcome, told, _) = play(ACCEPTED, "192.0.2.1", None, 4096).await;
    outcome.unwrap();
    assert_eq!(told[3..], *b"\x05\x01\x00\x01\xc0\x00\x02\x01\x03\xe1");
    let (outcome, told, _) = play(ACCEPTED, "2001:db8::1", None, 4096).await;
    outcome.unwrap();
    assert_eq!(told[3..8], *b"\x05\x01\x00\x04\x20");
    assert_eq!(told.len(), 3 + 22);
    // RFC 1929 section 2, where the proxy wants it.
    let answers = [b"\x05\x02\x01\x00", &ACCEPTED[2..]].concat();
    let (outcome, told, _) = play(&answers, "imap.example", Some(&credentials()), 4096).await;
    outcome.unwrap();
    assert!(told.starts_with(b"\x05\x02\x00\x02\x01\x05alice\x0btell-nobody\x05\x01\x00\x03"));
    // And not where it does not.
    let (outcome, told, _) = play(ACCEPTED, "imap.example", Some(&credentials()), 4096).await;
    outcome.unwrap();
    assert!(told.starts_with(b"\x05\x02\x00\x02\x05\x01\x00\x03"), "{told:?}");
}

#[tokio::test]
async fn what_follows_the_answer_is_left_whatever_address_stands_in_it_and_however_it_is_split() {
    for address in [
        &b"\x01\x7f\x00\x00\x01\x00\x01"[..],
        b"\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x01",
        b"\x03\x05proxy\x00\x01",
        b"\x03\x00\x00\x01",
    ] {
        let answers = [b"\x05\x00\x05\x00\x00", address, b"* OK ready\r\n"].concat();
        for piece in 1..=answers.len() {
            let (outcome, _, left) = play(&answers, "imap.example", None, piece).await;
            outcome.unwrap();
            assert_eq!(left, b"* OK ready\r\n", "{address:?} in pieces of {piece}");
        }
    }
}

#[tokio::test]
async fn every_reply_code_is_told_in_words() {
    for (code, words, may_pass) in [
        (1, "cannot connect (general failure)", true),
        (2, "does not allow that (not allowed by its rules)", false),
        (3, "cannot connect (network unreachable)", true),
        (4, "cannot connect (host unreachable)", true),
        (5, "cannot connect (connection refused)", true),
        (6, "cannot connect (TTL expired)", true),
        (7, "does not allow that (command not supported)", false),
        (8, "does not allow that (address type not supported)", false),
        (9, "cannot connect (reply code 9)", true),
        (255, "cannot connect (reply code 255)", true),
    ] {
        let answers = [5, 0, 5, code, 0, 1, 0, 0, 0, 0, 0, 0];
        let (outcome, _, _) = play(&answers, "imap.example", None, 4096).await;
        let problem = outcome.unwrap_err();
        assert!(problem.to_string().starts_with(words), "{code}: {problem}");
        assert_eq!(problem.may_pass(), may_pass, "{code}");
    }
}

#[tokio::test]
async fn proxy_that_wants_or_refuses_credentials_is_told_so() {
    assert!(told(b"\x05\xff", None).await.starts_with("wants a user name and a password"));
    assert!(told(b"\x05\x02", None).await.starts_with("wants a user name and a password"));
    let credentials = credentials();
    let refused = "refuses the user name or the password";
    assert!(told(b"\x05\xff", Some(&credentials)).await.starts_with(refused));
    assert!(told(b"\x05\x02\x01\x01", Some(&credentials)).await.starts_with(refused));
}

#[tokio::test]
async fn what_is_no_socks5_is_told_so() {
    assert!(told(b"HTTP/1.1 400 Bad Request\r\n", None).await.contains("does not speak SOCKS5"));
    assert!(told(b"\x04\x00", None).await.contains("does not speak SOCKS5"));
    assert!(told(b"\x05\x01", None).await.contains("a method that it was not offered"));
    assert!(told(b"\x05\x00\x04\x00\x00\x01", None).await.contains("does not speak SOCKS5"));
    assert!(told(b"\x05\x00\x05\x00\x00\x02", None).await.contains("no known type"));
}

#[tokio::test]
async fn answer_that_ends_early_is_a_broken_connection_at_every_byte() {
    for len in 0..ACCEPTED.len() {
        let (outcome, _, _) = play(&ACCEPTED[..len], "imap.example", None, 4096).await;
        assert!(matches!(outcome, Err(ProxyProblem::Broke(_))), "{len}: {outcome:?}");
    }
}

#[tokio::test]
async fn name_that_does_not_fit_is_not_asked_for() {
    let (outcome, _, _) = play(ACCEPTED, &"x".repeat(255), None, 4096).await;
    outcome.unwrap();
    let (outcome, _, _) = play(ACCEPTED, &"x".repeat(256), None, 4096).await;
    assert!(matches!(outcome, Err(ProxyProblem::Forbidden(_))), "{outcome:?}");
}
