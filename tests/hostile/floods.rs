//! Too much of something before the sign-in: lines, literals, commands.

use mailbearer::proto::imap::{ImapDownstream, NonSyncLiterals};
use mailbearer::proto::pop3::Pop3Downstream;
use mailbearer::proto::smtp::{Extensions, SmtpDownstream};
use mailbearer::proto::{
    COMMANDS_MAX, CloseReason, Downstream, FAILURES_MAX, Input, Output, Privacy, Step,
};
use mailbearer::provider::Protocol;

use crate::support::stage::{Stage, Tls, words};

/// What an endless line may cost, in bytes: the promise is "less than 64 KiB".
const COST_MAX: usize = 65_535;

/// Pieces in which it comes.
const PIECE: [u8; 1_024] = [b'x'; 1_024];

/// Feeds an endless line that begins with `start` to `machine` and gives the most that it ever held,
/// received and to be sent, and how much it took before it gave up.
fn endless_line<M: Downstream>(machine: M, start: &[u8]) -> (usize, usize) {
    let (mut input, mut output) = (Input::default(), Output::default());
    input.extend(start);
    let (mut most, mut taken, mut step) = (0, start.len(), Step::Read(machine));
    while let Step::Read(machine) = step {
        assert!(taken < 1_000_000, "the line is never given up");
        step = machine.receive(&mut input, &mut output);
        most = most.max(input.len() + output.take().len());
        input.extend(&PIECE);
        taken += PIECE.len();
    }
    assert!(matches!(step, Step::Close(CloseReason::EndlessLine)), "it ends otherwise");
    (most, taken)
}

#[test]
fn an_endless_line_costs_less_than_64_kib_and_is_given_up() {
    let smtp = || SmtpDownstream::new(Extensions::declared(&[]), Privacy::Clear);
    let imap = || ImapDownstream::new(NonSyncLiterals::Offered, Privacy::Clear);
    let pop3 = || Pop3Downstream::new(Privacy::Clear);
    for (case, (most, taken)) in [
        ("SMTP", endless_line(smtp(), b"")),
        ("SMTP, base64", endless_line(smtp(), b"AUTH PLAIN\r\n")),
        ("SMTP, a long name", endless_line(smtp(), b"EHLO ")),
        ("IMAP", endless_line(imap(), b"")),
        ("IMAP, an argument", endless_line(imap(), b"a LOGIN alice ")),
        ("IMAP, base64", endless_line(imap(), b"a AUTHENTICATE PLAIN\r\n")),
        ("IMAP, behind a literal", endless_line(imap(), b"a LOGIN {1+}\r\nx")),
        ("POP3", endless_line(pop3(), b"")),
        ("POP3, base64", endless_line(pop3(), b"AUTH PLAIN\r\n")),
    ] {
        assert!(most <= COST_MAX, "{case}: {most} bytes were held");
        assert!(taken <= 2 * COST_MAX, "{case}: {taken} bytes were taken");
    }
}

#[tokio::test]
async fn an_endless_line_is_cut_with_last_words_and_64_kib_in_one_line_are_answered() {
    let stage = Stage::set(Tls::None).await;
    for protocol in Protocol::ALL {
        let words = words(protocol);
        let mut client = stage.greeted(protocol).await;
        // RFC 5321 section 4.5.3.2: the client waits for this reply before it goes on.
        client.send_bytes(&[&b"x".repeat(65_534)[..], b"\r\n"].concat()).await;
        let told = client.line().await;
        assert!(!told.is_empty() && !told.starts_with(words.greeting), "{protocol:?}: {told}");
        client.ask(words.noop, words.done).await;

        let mut client = stage.greeted(protocol).await;
        // It may close before it was sent all of this.
        client.try_send(&b"x".repeat(200_000)).await;
        let heard = String::from_utf8(client.rest_until_it_breaks().await).unwrap();
        let last = heard.lines().last().unwrap_or_default();
        assert!(last.starts_with(words.farewell), "{protocol:?}: {heard}");
    }
}

#[tokio::test]
async fn thousands_of_commands_are_cut_with_last_words() {
    let stage = Stage::set(Tls::None).await;
    for protocol in Protocol::ALL {
        let words = words(protocol);
        let mut client = stage.greeted(protocol).await;
        client.try_send(format!("{}\r\n", words.noop).repeat(5_000).as_bytes()).await;
        let heard = String::from_utf8(client.rest_until_it_breaks().await).unwrap();
        let done = heard.lines().filter(|line| line.starts_with(words.done)).count();
        assert_eq!(done, usize::from(COMMANDS_MAX) - 1, "{protocol:?}");
        assert!(heard.lines().last().unwrap().starts_with(words.farewell), "{protocol:?}: {heard}");
    }
}

#[tokio::test]
async fn literals_of_4_gb_are_refused_without_room_for_them() {
    let stage = Stage::set(Tls::None).await;
    // One that would be waited for is refused, and the session goes on.
    let mut client = stage.greeted(Protocol::Imap).await;
    for command in ["a LOGIN {4294967295}", "a LOGIN alice {4294967296}", "a ID ({9999999999}"] {
        let told = client.ask(command, "a ").await;
        assert!(told.starts_with("a BAD ") || told.starts_with("a NO "), "{told}");
        client.ask("n NOOP", "n OK ").await;
    }
    // One that comes without waiting cannot be told from commands, so nothing behind it is read.
    for command in ["a LOGIN {4294967295+}", "a SELECT {18446744073709551616+}", "a ID ({9999999+}"]
    {
        let mut client = stage.greeted(Protocol::Imap).await;
        client.send(&format!("{command}\r\nx LOGOUT\r\ny NOOP")).await;
        let heard = String::from_utf8(client.rest_until_it_breaks().await).unwrap();
        assert!(heard.starts_with("* BYE ") && heard.lines().count() == 1, "{command}: {heard}");
    }
}

#[tokio::test]
async fn five_failures_end_a_session_whatever_they_are() {
    let stage = Stage::set(Tls::None).await;
    for protocol in Protocol::ALL {
        let farewell = words(protocol).farewell;
        for bad in ["", "\0", "\u{1b}[2J", "FOO", "AUTH PLAIN !", "a b c", "+", "*"] {
            let mut client = stage.greeted(protocol).await;
            client.try_send(format!("{bad}\r\n").repeat(60).as_bytes()).await;
            let heard = String::from_utf8(client.rest_until_it_breaks().await).unwrap();
            // One reply a failure; the last one is the farewell.
            let replies: Vec<&str> = heard.lines().collect();
            assert_eq!(replies.len(), usize::from(FAILURES_MAX), "{protocol:?} {bad:?}: {heard}");
            let last = replies.last().unwrap();
            assert!(last.starts_with(farewell), "{protocol:?} {bad:?}: {heard}");
            assert!(last.contains("too many failures"), "{protocol:?} {bad:?}: {heard}");
            let shown = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
            assert!(heard.lines().flat_map(str::bytes).all(shown), "{protocol:?}: {heard:?}");
        }
    }
}
