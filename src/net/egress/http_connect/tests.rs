//! CONNECT on the wire: what is sent, and what comes of every answer, whole and in pieces.

use tokio::net::TcpListener;

use super::*;
use crate::provider::UpstreamTls;

const GREETING: &[u8] = b"220 mail.example ESMTP\r\n";

fn host(name: &str) -> MailHost {
    MailHost { host: name.into(), port: 587, tls: UpstreamTls::StartTls }
}

/// What comes of asking a proxy that answers with `pieces`, each once the one before was sent, and
/// then closes; what it was told; and what is left of its bytes.
async fn play(
    pieces: &[&[u8]],
    name: &str,
    authorization: Option<&str>,
) -> (Result<(), ProxyProblem>, String, Vec<u8>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (mut far, _) = listener.accept().await.unwrap();
    far.set_nodelay(true).unwrap();
    let pieces: Vec<Vec<u8>> = pieces.iter().map(|piece| piece.to_vec()).collect();
    let proxy = tokio::spawn(async move {
        let mut told = Vec::new();
        while end_of_header(&told).is_none() {
            let len = far.read_buf(&mut told).await.unwrap();
            assert_ne!(len, 0, "{told:?}");
        }
        for piece in pieces {
            // Whoever asks may have given up.
            if far.write_all(&piece).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        String::from_utf8(told).unwrap()
    });
    let authorization = authorization.map(SecretString::from);
    let outcome = ask(&mut near, &host(name), authorization.as_ref()).await;
    let mut left = Vec::new();
    if outcome.is_ok() {
        near.read_to_end(&mut left).await.unwrap();
    }
    drop(near);
    (outcome, proxy.await.unwrap(), left)
}

async fn told(answer: &str, authorization: Option<&str>) -> ProxyProblem {
    play(&[answer.as_bytes()], "smtp.example", authorization).await.0.unwrap_err()
}

#[tokio::test]
async fn proxy_is_asked_in_the_form_of_the_rfc() {
    let yes: &[&[u8]] = &[b"HTTP/1.1 200 Connection established\r\n\r\n"];
    // RFC 9110 section 9.3.6: host and port, and both in Host (section 7.2).
    let (outcome, told, _) = play(yes, "smtp.example", None).await;
    outcome.unwrap();
    assert_eq!(told, "CONNECT smtp.example:587 HTTP/1.1\r\nHost: smtp.example:587\r\n\r\n");
    // RFC 9110 section 11.7.2.
    let (outcome, told, _) = play(yes, "2001:db8::1", Some("Basic YTpi")).await;
    outcome.unwrap();
    assert_eq!(
        told,
        "CONNECT [2001:db8::1]:587 HTTP/1.1\r\nHost: [2001:db8::1]:587\r\n\
         Proxy-Authorization: Basic YTpi\r\n\r\n"
    );
}

#[tokio::test]
async fn what_follows_the_header_is_left_wherever_it_is_split() {
    for header in [
        &b"HTTP/1.1 200 Connection established\r\nVia: 1.1 proxy\r\n\r\n"[..],
        b"HTTP/1.0 204 OK\n\n",
    ] {
        let answer = [header, GREETING].concat();
        for at in 0..=answer.len() {
            let (first, second) = answer.split_at(at);
            let (outcome, _, left) = play(&[first, second], "smtp.example", None).await;
            outcome.unwrap();
            assert_eq!(left, GREETING, "split at {at}");
        }
        let bytes: Vec<&[u8]> = answer.chunks(1).collect();
        let (outcome, _, left) = play(&bytes, "smtp.example", None).await;
        outcome.unwrap();
        assert_eq!(left, GREETING);
    }
}

#[tokio::test]
async fn header_is_taken_up_to_8_kib_and_no_further() {
    let header = |len: usize| {
        let (begin, end) = ("HTTP/1.1 200 OK\r\nX: ", "\r\n\r\n");
        format!("{begin}{}{end}", "x".repeat(len - begin.len() - end.len())).into_bytes()
    };
    let answer = |len| [&header(len), GREETING].concat();
    // In one piece, and so that no piece ends where what is looked at at once does.
    for first in [0, 100, PEEK_LEN - 1] {
        let (longest, longer) = (answer(HEADER_LEN_MAX), answer(HEADER_LEN_MAX + 1));
        let (begun, rest) = longest.split_at(first);
        let (outcome, _, left) = play(&[begun, rest], "smtp.example", None).await;
        outcome.unwrap();
        assert_eq!(left, GREETING);
        let (begun, rest) = longer.split_at(first);
        let (outcome, _, _) = play(&[begun, rest], "smtp.example", None).await;
        let problem = outcome.unwrap_err();
        assert!(problem.to_string().contains("over 8 KiB"), "{problem}");
    }
    let endless = [b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'x'; 2 * HEADER_LEN_MAX]].concat();
    let (outcome, _, _) = play(&[&endless], "smtp.example", None).await;
    let problem = outcome.unwrap_err();
    assert!(problem.to_string().contains("over 8 KiB") && !problem.may_pass(), "{problem}");
}

#[tokio::test]
async fn every_answer_but_yes_is_told_in_words() {
    for (answer, words, may_pass) in [
        ("HTTP/1.1 403 Filtered\r\n\r\n", "does not allow that (HTTP 403 Filtered)", false),
        ("HTTP/1.0 502 Bad Gateway\r\n\r\n", "cannot connect (HTTP 502 Bad Gateway)", true),
        ("HTTP/1.1 504\r\n\r\n", "cannot connect (HTTP 504)", true),
        ("HTTP/1.1 407 Denied\r\n\r\n", "wants a user name and a password", false),
        ("HTTP/1.1 302 Found\r\n\r\n", "answers CONNECT with neither yes nor no", false),
        ("HTTP/1.1 20 OK\r\n\r\n", "answers CONNECT with neither yes nor no", false),
        ("HTTP/2 200\r\n\r\n", "does not speak HTTP", false),
        ("\r\n\r\n", "does not speak HTTP", false),
        ("220 mail.example ESMTP\r\n\r\n", "does not speak HTTP", false),
        ("HTTP/1.1 503 \x1b[31m\u{e9}\r\n\r\n", "cannot connect (HTTP 503 ?[31m??)", true),
    ] {
        let problem = told(answer, None).await;
        assert!(problem.to_string().starts_with(words), "{answer:?}: {problem}");
        assert_eq!(problem.may_pass(), may_pass, "{answer:?}");
    }
    let refused = told("HTTP/1.0 401 Unauthorized\r\n\r\n", Some("Basic YTpi")).await;
    assert!(matches!(refused, ProxyProblem::CredentialsRefused), "{refused}");
    let refused = told("HTTP/1.1 407 Denied\r\n\r\n", Some("Basic dGVsbC1ub2JvZHk=")).await;
    let told = format!("{refused} {refused:?}");
    assert!(told.starts_with("refuses the user name or the password"), "{told}");
    assert!(!told.contains("dGVsbC1ub2JvZHk"), "{told}");
}

#[tokio::test]
async fn header_that_ends_early_is_a_broken_connection() {
    for pieces in [&[][..], &[&b"HTTP/1.1 200 OK\r\n"[..]]] {
        let (outcome, _, _) = play(pieces, "smtp.example", None).await;
        assert!(matches!(outcome, Err(ProxyProblem::Broke(_))), "{outcome:?}");
    }
}
