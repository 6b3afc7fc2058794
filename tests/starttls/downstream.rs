//! TLS towards clients: mailbearer is the server, and somebody on the path to it is the attacker.

use std::sync::Arc;

use mailbearer::provider::Protocol;
use rustls::ClientConnection;
use rustls::pki_types::ServerName;

use crate::support::PASSWORD;
use crate::support::certificates::HERE;
use crate::support::client::Client;
use crate::support::log::Log;
use crate::support::stage::{Stage, Tls, Words, sign_in, words};
use crate::support::upstream::Act;

/// What an attacker would have taken as said under TLS.
fn injected(protocol: Protocol) -> [Vec<u8>; 7] {
    let Words { noop, sign_in, start_tls, .. } = words(protocol);
    [
        format!("{noop}\r\n").into(),
        format!("{noop}\n").into(),
        format!("{sign_in}\r\n").into(),
        format!("{start_tls}\r\n").into(),
        b"half a comm".to_vec(),
        b"\r\n".to_vec(),
        // A ClientHello that came too early cannot be told from one that was put there.
        b"\x16\x03\x01".to_vec(),
    ]
}

/// Whether anything but the answer to STARTTLS was said.
fn is_answer_alone(heard: &[u8], started: &str) -> bool {
    let heard = String::from_utf8_lossy(heard);
    heard.is_empty() || (heard.starts_with(started) && heard.lines().count() == 1)
}

/// CVE-2011-0411, the command injection of the study: commands in one piece with STARTTLS.
#[tokio::test]
async fn commands_injected_behind_starttls_end_the_session_unanswered() {
    for tls in [Tls::Required, Tls::Offered] {
        let mut stage = Stage::set(tls).await;
        for protocol in Protocol::ALL {
            let Words { start_tls, started, .. } = words(protocol);
            for injected in injected(protocol) {
                let mut client = stage.greeted(protocol).await;
                let sent = [start_tls.as_bytes(), b"\r\n", &injected].concat();
                client.send_bytes(&sent).await;
                let heard = client.rest_until_it_breaks().await;
                let case = format!("{protocol:?} {tls:?} {}", injected.escape_ascii());
                let told = String::from_utf8_lossy(&heard);
                assert!(is_answer_alone(&heard, started), "{case}: {told}");
            }
            assert!(stage.upstream(protocol).heard_nobody().await, "{protocol:?}");
        }
    }
}

/// The same, but for the attacker's packet to come between STARTTLS and the handshake.
#[tokio::test]
async fn clear_text_where_a_handshake_is_due_ends_the_session_unanswered() {
    let mut stage = Stage::set(Tls::Required).await;
    for protocol in Protocol::ALL {
        let Words { start_tls, started, .. } = words(protocol);
        for injected in injected(protocol) {
            let mut client = stage.greeted(protocol).await;
            client.ask(start_tls, started).await;
            client.send_bytes(&injected).await;
            client.close().await;
            let heard = client.rest_until_it_breaks().await;
            // rustls may say why, in an alert (RFC 8446 section 6), which is no mail protocol.
            assert!(matches!(heard.first(), None | Some(0x15)), "{}", heard.escape_ascii());
        }
        assert!(stage.upstream(protocol).heard_nobody().await, "{protocol:?}");
    }
}

#[tokio::test]
async fn a_client_that_starts_tls_in_order_is_signed_in() {
    let mut stage = Stage::set(Tls::Required).await;
    for protocol in Protocol::ALL {
        let Words { sign_in: command, accepted, .. } = words(protocol);
        stage.upstream(protocol).plays(sign_in(protocol).then(Act::Take(4)).then(Act::Close));
        let mut client = stage.started(protocol).await;
        client.send(command).await;
        client.expect_after(accepted).await;
        client.send_bytes(b"BYE\n").await;
        assert_eq!(client.rest().await, b"");
        let heard = stage.upstream(protocol).heard().await;
        assert!(heard.private.ends_with(b"BYE\n"), "{heard:?}");
    }
}

/// LOGIN and AUTH before TLS are refused, whether the password is right or wrong, and nothing is
/// asked of anybody.
#[tokio::test]
async fn credentials_before_tls_are_refused_where_it_is_required() {
    let mut stage = Stage::set(Tls::Required).await;
    for protocol in Protocol::ALL {
        let Words { tls_first, sign_in, .. } = words(protocol);
        let mut client = stage.greeted(protocol).await;
        client.ask(sign_in, tls_first).await;
        assert!(stage.upstream(protocol).heard_nobody().await, "{protocol:?}");
        let more: &[&str] = match protocol {
            Protocol::Submission => &["AUTH LOGIN", "AUTH PLAIN"],
            Protocol::Imap => &["a AUTHENTICATE PLAIN", "a LOGIN {5}"],
            Protocol::Pop3 => &["USER alice@example.com", "AUTH PLAIN"],
        };
        for command in more {
            let told = client.ask(command, tls_first).await;
            // No challenge, which would have a client send its password.
            assert!(!told.starts_with('+') && !told.starts_with("334"), "{told}");
        }
    }
}

#[tokio::test]
async fn no_way_to_sign_in_is_shown_before_tls_and_no_starttls_under_it() {
    let stage = Stage::set(Tls::Required).await;
    let [smtp, imap, pop3] = [Protocol::Submission, Protocol::Imap, Protocol::Pop3];

    let mut client = stage.greeted(smtp).await;
    client.send("EHLO client.example").await;
    let clear = client.expect_after("250 ").await;
    assert!(clear.iter().any(|line| line[4..] == *"STARTTLS"), "{clear:?}");
    assert!(!clear.iter().any(|line| line.contains("AUTH")), "{clear:?}");
    let mut client = stage.started(smtp).await;
    client.send("EHLO client.example").await;
    let private = client.expect_after("250 ").await;
    assert!(!private.iter().any(|line| line.contains("STARTTLS")), "{private:?}");
    assert_eq!(private.iter().filter(|line| line[4..] == *"AUTH PLAIN LOGIN").count(), 1);

    let mut client = Client::connect(stage.address(imap)).await;
    let greeting = client.expect("* OK [CAPABILITY ").await;
    client.send("c CAPABILITY").await;
    let clear = client.expect_after("c OK").await;
    for told in [&greeting, &clear[0]] {
        assert!(told.contains(" STARTTLS") && told.contains(" LOGINDISABLED"), "{told}");
        assert!(!told.contains("AUTH="), "{told}");
    }
    let mut client = stage.started(imap).await;
    client.send("c CAPABILITY").await;
    let private = client.expect_after("c OK").await;
    assert!(private[0].contains(" AUTH=PLAIN AUTH=LOGIN"), "{private:?}");
    for word in ["STARTTLS", "LOGINDISABLED"] {
        assert!(!private[0].contains(word), "{private:?}");
    }

    let mut client = stage.greeted(pop3).await;
    client.send("CAPA").await;
    let clear = client.expect_after(".").await;
    assert!(clear.iter().any(|line| line == "STLS"), "{clear:?}");
    assert!(!clear.iter().any(|line| line.starts_with("SASL") || line == "USER"), "{clear:?}");
    let mut client = stage.started(pop3).await;
    client.send("CAPA").await;
    let private = client.expect_after(".").await;
    assert!(private.iter().any(|line| line == "SASL PLAIN LOGIN"), "{private:?}");
    assert!(private.iter().any(|line| line == "USER"), "{private:?}");
    assert!(!private.iter().any(|line| line == "STLS"), "{private:?}");
}

/// Session fixation: what the attacker began in clear is not what the client goes on with.
#[tokio::test]
async fn what_was_begun_in_clear_is_forgotten_under_tls() {
    let mut stage = Stage::set(Tls::Offered).await;

    // A user name in clear, the password under TLS. The two fit, so that nothing else is wrong.
    let mut client = stage.greeted(Protocol::Pop3).await;
    client.ask("USER alice@example.com", "+OK").await;
    client.ask("STLS", "+OK").await;
    let mut client = client.start_tls(&stage.connector()).await;
    client.ask("PASS local-password", "-ERR").await;

    // STARTTLS within an exchange is no STARTTLS: it is a response, and a bad one.
    let mut client = stage.greeted(Protocol::Submission).await;
    client.ask("AUTH LOGIN", "334 ").await;
    client.ask("YXR0YWNrZXI=", "334 ").await;
    client.send("*").await;
    client.expect("501 5.7.0 ").await;
    client.ask("STARTTLS", "220 ").await;
    let mut client = client.start_tls(&stage.connector()).await;
    client.ask("bG9jYWwtcGFzc3dvcmQ=", "500 ").await;

    let mut client = stage.greeted(Protocol::Submission).await;
    client.ask("AUTH PLAIN", "334 ").await;
    client.ask("STARTTLS", "501 ").await;

    for protocol in Protocol::ALL {
        assert!(stage.upstream(protocol).heard_nobody().await, "{protocol:?}");
    }
}

/// Session fixation the other way: an attacker's session that is signed in before TLS is the
/// provider's from there on, and STARTTLS is not ours to answer.
#[tokio::test]
async fn starttls_after_a_sign_in_in_clear_is_the_providers_to_refuse() {
    let mut stage = Stage::set(Tls::Offered).await;
    for protocol in Protocol::ALL {
        let Words { sign_in: command, accepted, start_tls, .. } = words(protocol);
        let script = sign_in(protocol)
            .then(Act::Hear(start_tls.to_owned()))
            .then(Act::Say(b"no TLS in TLS\r\n".to_vec()))
            .then(Act::Close);
        stage.upstream(protocol).plays(script);
        let mut client = stage.greeted(protocol).await;
        client.send(command).await;
        client.expect_after(accepted).await;
        client.ask(start_tls, "no TLS in TLS").await;
        client.expect_end().await;
        assert_eq!(stage.upstream(protocol).heard().await.broke, None);
    }
}

#[tokio::test]
async fn starttls_is_refused_under_tls_and_where_there_is_none() {
    for tls in [Tls::Required, Tls::Implicit] {
        let stage = Stage::set(tls).await;
        for protocol in Protocol::ALL {
            let refused = match protocol {
                Protocol::Submission => "50",
                Protocol::Imap => "s BAD ",
                Protocol::Pop3 => "-ERR ",
            };
            let mut client = match tls {
                Tls::Implicit => stage.implicit(protocol).await,
                Tls::None | Tls::Offered | Tls::Required => stage.started(protocol).await,
            };
            client.ask(words(protocol).start_tls, refused).await;
            client.ask(words(protocol).noop, words(protocol).done).await;
        }
    }
    let stage = Stage::set(Tls::None).await;
    for (protocol, refused) in
        [(Protocol::Submission, "502 "), (Protocol::Imap, "s BAD "), (Protocol::Pop3, "-ERR ")]
    {
        let mut client = stage.greeted(protocol).await;
        client.ask(words(protocol).start_tls, refused).await;
        client.ask(words(protocol).noop, words(protocol).done).await;
    }
}

/// TLS brings no new tries: five failures are five, wherever they happen.
#[tokio::test]
async fn failures_in_clear_count_under_tls() {
    let stage = Stage::set(Tls::Required).await;
    for protocol in Protocol::ALL {
        let Words { start_tls, started, farewell, .. } = words(protocol);
        let bad = if protocol == Protocol::Imap { "b FOO" } else { "FOO" };
        let mut client = stage.greeted(protocol).await;
        for _ in 0..4 {
            client.ask(bad, "").await;
        }
        client.ask(start_tls, started).await;
        let mut client = client.start_tls(&stage.connector()).await;
        client.ask(bad, farewell).await;
        assert_eq!(client.rest().await, b"");
    }
}

/// The first bytes of a client that begins with TLS.
fn client_hello(stage: &Stage) -> Vec<u8> {
    let name = ServerName::try_from(HERE).unwrap();
    let config = Arc::clone(stage.connector().config());
    let mut connection = ClientConnection::new(config, name).unwrap();
    let mut hello = Vec::new();
    connection.write_tls(&mut hello).unwrap();
    hello
}

#[tokio::test]
async fn tls_where_none_is_spoken_is_closed_without_a_reply_and_the_log_names_the_key() {
    let log = Log::keep();
    for (tls, advice) in [
        (Tls::None, "does not offer: set it to"),
        (Tls::Offered, "choose STARTTLS there instead of SSL/TLS"),
        (Tls::Required, "choose STARTTLS there instead of SSL/TLS"),
    ] {
        let mut stage = Stage::set(tls).await;
        let hello = client_hello(&stage);
        for protocol in Protocol::ALL {
            // Half a hello is one, and so is its first byte.
            for hello in [&hello[..], &hello[..hello.len() / 2], &hello[..1]] {
                let mut client = stage.greeted(protocol).await;
                client.send_bytes(hello).await;
                client.expect_end().await;
                // The relay waits for a moment to be closed on, and logs then.
                drop(client);
                let logged = log.take_until("closed reason=\"client-hello\"").await;
                let closed = logged.lines().last().unwrap();
                let key = format!("`listeners.{}.tls`", protocol.name());
                for part in ["WARN", &key, advice] {
                    assert!(closed.contains(part), "{protocol:?} {tls:?}: no {part:?} in {closed}");
                }
            }
            assert!(stage.upstream(protocol).heard_nobody().await);
        }
    }
}

#[tokio::test]
async fn clear_text_where_tls_is_due_is_closed_without_a_reply_and_the_log_names_the_key() {
    let log = Log::keep();
    let mut stage = Stage::set(Tls::Implicit).await;
    for protocol in Protocol::ALL {
        let mut client = Client::connect(stage.address(protocol)).await;
        client.send(words(protocol).sign_in).await;
        client.expect_end().await;
        drop(client);
        let logged = log.take_until("closed reason=\"no-tls\"").await;
        let closed = logged.lines().last().unwrap();
        let key = format!("`listeners.{}.tls` to", protocol.name());
        for part in ["WARN", "the client speaks in clear where TLS is expected", &key] {
            assert!(closed.contains(part), "{protocol:?}: no {part:?} in {closed}");
        }
        assert!(!logged.contains(PASSWORD), "{logged}");
        assert!(stage.upstream(protocol).heard_nobody().await);
    }
}

/// The client ends the handshake and goes on; there is no way back to clear text.
#[tokio::test]
async fn a_client_that_trusts_somebody_else_is_not_served_in_clear() {
    let stage = Stage::set(Tls::Required).await;
    let stranger = crate::support::certificates::Authority::new().connector();
    for protocol in Protocol::ALL {
        let Words { start_tls, started, noop, .. } = words(protocol);
        let mut client = stage.greeted(protocol).await;
        client.ask(start_tls, started).await;
        let mut client = client.fail_to_start_tls(&stranger).await;
        client.try_send(format!("{noop}\r\n").as_bytes()).await;
        let heard = client.rest_until_it_breaks().await;
        // At most a record of TLS (RFC 8446 section 5.1), which is no reply of a mail protocol.
        let is_record = |byte: &u8| (0x14..=0x17).contains(byte);
        assert!(heard.first().is_none_or(is_record), "{protocol:?}: {}", heard.escape_ascii());
    }
}
