//! What a load balancer that speaks for itself hears, by each protocol.

use super::*;
use crate::proto::Privacy;
use crate::proto::imap::{ImapDownstream, NonSyncLiterals};
use crate::proto::pop3::Pop3Downstream;
use crate::proto::smtp::{DeviceMail, Extensions, SmtpDownstream};

fn smtp() -> Probe<SmtpDownstream> {
    let machine = SmtpDownstream::new(Extensions::default(), Privacy::Offered);
    Probe::new(machine.with_devices(DeviceMail::Heard))
}

fn imap() -> Probe<ImapDownstream> {
    Probe::new(ImapDownstream::new(NonSyncLiterals::NotOffered, Privacy::Offered))
}

fn pop3() -> Probe<Pop3Downstream> {
    Probe::new(Pop3Downstream::new(Privacy::Offered))
}

/// What `said` is answered, and why it ends if it does; the same in every two pieces.
fn heard<M: Downstream>(probe: impl Fn() -> Probe<M>, said: &str) -> (String, Option<CloseReason>) {
    let of_pieces = |pieces: [&str; 2]| {
        let (mut input, mut output) = (Input::default(), Output::default());
        let mut machine = probe();
        machine.greet(&mut output);
        let mut end = None;
        for piece in pieces {
            input.extend(piece.as_bytes());
            match machine.receive(&mut input, &mut output) {
                Step::Read(next) => machine = next,
                Step::Close(reason) => {
                    end = Some(reason);
                    break;
                }
                Step::Verify(..) | Step::StartTls(_) => panic!("a sign-in, or STARTTLS"),
            }
        }
        (String::from_utf8(output.take().to_vec()).unwrap(), end)
    };
    let whole = of_pieces([said, ""]);
    for at in 1..said.len() {
        assert_eq!(of_pieces([&said[..at], &said[at..]]), whole, "{at} of {said:?}");
    }
    whole
}

#[test]
fn a_probe_is_greeted_and_may_say_noop_and_quit() {
    let (text, end) = heard(smtp, "NOOP\r\nnoop\nQUIT\r\nAUTH\r\n");
    let codes: Vec<_> = text.lines().map(|line| &line[..4]).collect();
    assert_eq!((codes, end), (vec!["220 ", "250 ", "250 ", "221 "], Some(CloseReason::Quit)));
    let (text, end) = heard(pop3, "NOOP\r\nQUIT\r\n");
    assert!(text.starts_with("+OK") && text.lines().count() == 3, "{text}");
    assert_eq!(end, Some(CloseReason::Quit));
    let (text, end) = heard(imap, "a NOOP\r\nb LOGOUT\r\n");
    assert!(text.contains("a OK") && text.contains("* BYE") && text.contains("b OK"), "{text}");
    assert_eq!(end, Some(CloseReason::Quit));
}

#[test]
fn a_probe_that_says_anything_else_is_told_why_and_ended() {
    let long = format!("NOOP {}\r\n", "x".repeat(251));
    for said in [
        "EHLO balancer\r\n",
        "AUTH PLAIN AGEAYg==\r\n",
        "MAIL FROM:<a@x.example>\r\n",
        "STARTTLS\r\n",
        "NOOP\r\nRCPT TO:<a@x.example>\r\n",
        "\r\n",
        &long,
    ] {
        let (text, end) = heard(smtp, said);
        let last = text.lines().last().unwrap();
        assert!(last.starts_with("421 4.7.0 ") && last.contains("no client address"), "{text}");
        assert_eq!(end, Some(CloseReason::NoAddress), "{said:?}");
    }
    for said in ["a LOGIN b c\r\n", "a AUTHENTICATE PLAIN\r\n", "a STARTTLS\r\n", "a ID NIL\r\n"] {
        let (text, end) = heard(imap, said);
        assert!(text.lines().last().unwrap().starts_with("* BYE "), "{text}");
        assert_eq!(end, Some(CloseReason::NoAddress), "{said:?}");
    }
    for said in ["USER a\r\n", "STLS\r\n", "CAPA\r\n"] {
        let (text, end) = heard(pop3, said);
        assert!(text.lines().last().unwrap().starts_with("-ERR [SYS/TEMP] "), "{text}");
        assert_eq!(end, Some(CloseReason::NoAddress), "{said:?}");
    }
}

#[test]
fn a_literal_behind_a_probe_s_command_brings_no_other_command_in() {
    let (text, end) = heard(imap, "a NOOP {9+}\r\nb LOGIN c d\r\n");
    assert!(text.lines().last().unwrap().starts_with("* BYE ") && !text.contains("b "), "{text}");
    assert_eq!(end, Some(CloseReason::NoAddress));
}
