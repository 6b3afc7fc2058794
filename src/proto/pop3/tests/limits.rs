//! The downstream side at its limits, and beyond.

use super::{GREETING, Heard, hear};
use crate::proto::pop3::Pop3Downstream;
use crate::proto::{CloseReason, Downstream as _, Input, Output, Privacy, Step};

/// Hears `sent` whole, split at some places, and in pieces as a slow client sends them.
fn hear_all_ways(sent: &[u8]) -> Heard {
    let whole = hear(Privacy::Clear, [sent]);
    for len in [1, 7, 1000, 4096] {
        assert_eq!(hear(Privacy::Clear, sent.chunks(len)), whole, "in pieces of {len} bytes");
    }
    whole
}

/// What is said to `sent` behind the greeting.
fn reply(sent: &[u8]) -> String {
    let said = hear_all_ways(sent).said;
    said.strip_prefix(&format!("{GREETING}\r\n")).expect("the greeting comes first").to_owned()
}

fn line(begin: &str, len: usize) -> Vec<u8> {
    let mut line = begin.as_bytes().to_vec();
    line.resize(len, b'A');
    line.extend_from_slice(b"\r\n");
    line
}

#[test]
fn a_command_line_is_taken_up_to_255_bytes() {
    let sign_in = |len| [b"USER alice\r\n".to_vec(), line("PASS ", len)].concat();
    let heard = hear_all_ways(&sign_in(255));
    assert_eq!(heard.claims[0].1.len(), 255 - "PASS ".len());
    assert_eq!(reply(&sign_in(256)), "+OK send PASS\r\n-ERR line too long\r\n");
    assert_eq!(reply(&line("USER ", 255)), "+OK send PASS\r\n");
    assert_eq!(reply(&line("USER ", 256)), "-ERR line too long\r\n");
}

#[test]
fn an_auth_line_is_taken_up_to_12288_bytes() {
    for begin in ["AUTH PLAIN ", "AUTH PLAIN\r\n"] {
        let before = if begin.ends_with('\n') { begin.len() } else { 0 };
        let prompt = if before > 0 { "+ \r\n" } else { "" };
        let fits = reply(&line(begin, before + 12_288));
        assert!(!fits.contains("too long"), "{begin}: {fits}");
        let too_long = [line(begin, before + 12_289), b"NOOP\r\n".to_vec()].concat();
        assert_eq!(reply(&too_long), format!("{prompt}-ERR line too long\r\n+OK\r\n"));
    }
}

#[test]
fn an_endless_line_closes() {
    for begin in ["", "PASS ", "AUTH PLAIN\r\n"] {
        let heard = hear_all_ways(&line(begin, 100_000));
        assert_eq!(heard.closed, Some(CloseReason::EndlessLine), "{begin}");
        assert!(heard.said.ends_with("-ERR this line does not end, closing\r\n"));
    }
}

#[test]
fn a_browsers_line_closes_however_long_it_is() {
    let request = |len: usize| format!("GET /{} HTTP/1.1\r\nNOOP\r\n", "a".repeat(len));
    let close = "-ERR this is no web server, closing\r\n";
    assert_eq!(reply(request(1_000).as_bytes()), close);
    let replies = format!("-ERR line too long\r\n{close}");
    assert_eq!(reply(request(30_000).as_bytes()), replies);
}

#[test]
fn the_two_hundredth_command_closes_and_tls_brings_no_new_ones() {
    // The last of them may be any.
    for last in ["NOOP", "QUIT", "USER alice"] {
        let sent = format!("{}{last}\r\n", "NOOP\r\n".repeat(199));
        let heard = hear_all_ways(sent.as_bytes());
        assert_eq!(heard.closed, Some(CloseReason::TooManyCommands), "{last}");
        assert!(heard.said.ends_with("-ERR too many commands before a sign-in, closing\r\n"));
        assert_eq!(heard.said.matches("+OK\r\n").count(), 199);
    }
    assert_eq!(hear_all_ways("NOOP\r\n".repeat(199).as_bytes()).closed, None);

    let (before, behind) = ("NOOP\r\n".repeat(100) + "STLS\r\n", "NOOP\r\n".repeat(99));
    let heard = hear(Privacy::Offered, [before.as_bytes(), behind.as_bytes()]);
    assert_eq!(heard.closed, Some(CloseReason::TooManyCommands));
}

#[test]
fn a_flood_of_commands_is_answered_in_portions() {
    let (mut input, mut output) = (Input::default(), Output::default());
    input.extend("CAPA\r\n".repeat(150).as_bytes());
    output.bytes(&[b'x'; 60_000]);
    let machine = Pop3Downstream::new(Privacy::Clear);
    let Step::Read(machine) = machine.receive(&mut input, &mut output) else { panic!("it ends") };
    let portion = output.take();
    assert!(portion.len() < 65_536 + 200, "{} bytes at once", portion.len());
    assert!(!input.is_empty());
    let Step::Read(_) = machine.receive(&mut input, &mut output) else { panic!("it ends") };
    assert!(input.is_empty());
}
