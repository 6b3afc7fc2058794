//! A client at the limits before its sign-in, and beyond: lines, commands, failures.

use super::server::{LongLine, Server, behind, end_of, hear, lines, reply, script, session};
use crate::proto::preauth::SKIP_MAX;
use crate::proto::sasl::LINE_LEN_MAX;
use crate::proto::{
    COMMANDS_MAX, CloseReason, Downstream as _, FAILURES_MAX, Farewell, Input, Output, Privacy,
    Step,
};

pub(crate) fn a_line_is_taken_up_to_its_limit_and_refused_beyond<S: Server>() {
    let (noop, noop_reply) = S::REPLIES.noop;
    for LongLine { before, begin, len_max, too_long } in S::REPLIES.long_lines {
        let (before, mut said): (Vec<_>, Vec<_>) = before.iter().copied().unzip();
        let sent = |len: usize| {
            let line = format!("{begin}{}", "A".repeat(len - begin.len()));
            lines(&before) + &lines(&[&line, noop])
        };
        let taken = reply::<S>(sent(*len_max));
        assert!(!taken.contains("too long"), "{begin}: {taken}");
        said.extend([too_long, noop_reply]);
        assert_eq!(reply::<S>(sent(len_max + 1)), lines(&said), "{begin}");
    }
}

pub(crate) fn a_line_without_end_closes<S: Server>() {
    let (noop, noop_reply) = S::REPLIES.noop;
    let begins = S::REPLIES.long_lines.iter().map(|line| (line.before, line.begin));
    for (before, begin) in begins.chain([(&[][..], "")]) {
        let before: Vec<_> = before.iter().map(|said| said.0).collect();
        let end_of = |len: usize| {
            let line = format!("{begin}{}", "x".repeat(len - begin.len()));
            end_of::<S>(Privacy::Clear, lines(&before) + &lines(&[&line, noop]))
        };
        // The CR counts, for until LF comes it may be one of many.
        let (said, closed) = end_of(SKIP_MAX - 1);
        assert_eq!(closed, None, "{begin}");
        assert!(said.ends_with(&lines(&[noop_reply])), "{begin}: {said}");
        for len in [SKIP_MAX, 100_000] {
            let (said, closed) = end_of(len);
            assert_eq!(closed, Some(CloseReason::EndlessLine), "{begin}");
            assert!(said.ends_with(&lines(&[S::REPLIES.endless])), "{begin}: {said}");
        }
    }
}

pub(crate) fn a_line_of_64_kib_is_answered_before_it_ends<S: Server>() {
    for end in ["", "\r\n"] {
        let sent = format!("{}{end}", "x".repeat(65_536 - end.len()));
        assert_eq!(reply::<S>(sent), lines(&[S::REPLIES.too_long]));
    }
}

pub(crate) fn a_browser_is_sent_away_at_its_first_line_however_long_that_is<S: Server>() {
    let behind = lines(&["Host: localhost", "", S::REPLIES.sign_in.0]);
    let last_words = lines(&[S::REPLIES.browser]);
    let end_of = |line: &str| end_of::<S>(Privacy::Clear, lines(&[line]) + &behind);
    for line in ["GET / HTTP/1.0", "POST /x HTTP/1.1", "PRI * HTTP/2.0", "NOOP HTTP/1.1"] {
        let end = (last_words.clone(), Some(CloseReason::Browser));
        assert_eq!(end_of(line), end, "{line}");
    }
    for len in [1_000, LINE_LEN_MAX, 30_000] {
        let line = format!("GET /{} HTTP/1.1", "a".repeat(len));
        let (said, closed) = end_of(&line);
        assert_eq!(closed, Some(CloseReason::Browser), "{len} bytes");
        let before = said.strip_suffix(&last_words).expect("the last words");
        // A line that is too long is told of before its end is seen.
        let told = usize::from(line.len() > LINE_LEN_MAX);
        assert_eq!(before.matches("too long\r\n").count(), told, "{said}");
        assert_eq!(before.lines().count(), told, "{said}");
    }
    // It is no browser that says less, or more behind it.
    for line in ["GET / HTTP/3", "GET / HTTP/1.1 x", "GET /HTTP/1.1", "HTTP/1.1"] {
        assert_eq!(hear::<S>(Privacy::Clear, lines(&[line])).closed, None, "{line}");
    }
}

pub(crate) fn the_two_hundredth_command_closes_whatever_it_is<S: Server>() {
    let (noop, noop_reply) = S::REPLIES.noop;
    let before = usize::from(COMMANDS_MAX) - 1;
    let (sent, answered) = (lines(&vec![noop; before]), lines(&vec![noop_reply; before]));
    assert_eq!(reply::<S>(&sent), answered);
    for last in S::REPLIES.last {
        let heard = hear::<S>(Privacy::Offered, sent.clone() + &lines(&[last, noop]));
        assert_eq!(heard.closed, Some(CloseReason::TooManyCommands), "{last}");
        assert_eq!(heard.claims, [], "{last}");
        let expected = answered.clone() + &lines(&[S::REPLIES.too_many_commands]);
        assert_eq!(behind::<S>(Privacy::Offered, &heard), expected, "{last}");
    }
}

pub(crate) fn the_fifth_failure_closes_whatever_the_failures_were<S: Server>() {
    let (noop, sign_in, unknown) = (S::REPLIES.noop, S::REPLIES.sign_in, S::REPLIES.unknown);
    let failures = usize::from(FAILURES_MAX);
    for wrong_passwords in 0..=failures {
        let mut said = vec![unknown; failures - wrong_passwords];
        said.extend(vec![sign_in; wrong_passwords]);
        for _ in 0..2 {
            said.reverse();
            // A command that is no failure sets nothing back.
            let with_noops: Vec<_> = said.iter().flat_map(|&said| [noop, said]).collect();
            let (sent, replies): (Vec<_>, Vec<_>) = with_noops.into_iter().unzip();
            let (last, before) = replies.split_last().unwrap();
            assert_eq!(reply::<S>(lines(&sent[..sent.len() - 1])), lines(before));
            let expected = lines(before) + &lines(&[S::REPLIES.too_many_failures]);
            let end = end_of::<S>(Privacy::Clear, lines(&sent) + &lines(&[noop.0]));
            assert_eq!(end, (expected, Some(CloseReason::TooManyFailures)), "{last}");
        }
    }
}

pub(crate) fn a_flood_of_commands_is_answered_in_portions<S: Server>() {
    const FULL: usize = 65_536;
    let (command, answer) = S::REPLIES.long;
    let answer = lines(&[answer]);
    let (mut input, mut output) = (Input::default(), Output::default());
    input.extend(lines(&[command; 150]).as_bytes());
    // As if as many long replies as fit, but for a few, were still to be sent.
    output.bytes(&vec![b'x'; FULL - 10 * answer.len()]);
    let Step::Read(machine) = S::machine(Privacy::Clear).receive(&mut input, &mut output) else {
        panic!("it goes on");
    };
    assert_eq!(output.take().len(), FULL, "nothing is answered to what is full");
    assert_eq!(input.len(), 140 * (command.len() + 2));
    let Step::Read(_) = machine.receive(&mut input, &mut output) else { panic!("it goes on") };
    assert_eq!(output.take(), answer.repeat(140));
    assert!(input.is_empty());
}

pub(crate) fn a_star_cancels_at_every_prompt<S: Server>() {
    let noop = script(S::REPLIES.noop);
    for &prompted in S::REPLIES.prompted {
        let begun = script(prompted);
        let cancelled = script(("*", S::REPLIES.cancelled));
        // The next sign-in begins anew, and four cancelled ones are four failures.
        let four = format!("{begun}{cancelled}{noop}").repeat(4);
        let fifth = script(("*", S::REPLIES.too_many_failures));
        session::<S>(Privacy::Clear, &format!("{four}{begun}{fifth}X: TooManyFailures"));
    }
}

pub(crate) fn a_farewell_is_one_line_with_its_reason<S: Server>() {
    let farewells = [
        Farewell::Draining,
        Farewell::SignInTimeout,
        Farewell::TooManySessions,
        Farewell::TooManyFromPeer,
    ];
    for (farewell, line) in farewells.into_iter().zip(S::REPLIES.farewells) {
        let mut output = Output::default();
        S::Machine::farewell(farewell, &mut output);
        assert_eq!(output.take(), lines(&[line]));
    }
}
