//! A client before TLS, where it begins, and under it.

use super::server::{Server, behind, checked, end_of, lines, reply, script, session, verdicts};
use crate::proto::transcript::{Heard, Player};
use crate::proto::{COMMANDS_MAX, CloseReason, FAILURES_MAX, Privacy};

/// How a TLS 1.3 client begins.
const CLIENT_HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n";

/// How a client begins that would still take SSL 2.0 (RFC 5246 appendix E.2).
const SSL2_HELLO: &[u8] = b"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10";

const ALL: [Privacy; 4] = [Privacy::Clear, Privacy::Offered, Privacy::Required, Privacy::Tls];

pub(crate) fn sign_in_is_refused_before_tls_and_asks_for_nothing<S: Server>() {
    let noop = script(S::REPLIES.noop);
    for &refused in S::REPLIES.before_tls {
        session::<S>(Privacy::Required, &format!("{}{noop}", script(refused)));
    }
}

pub(crate) fn sign_in_is_served_under_tls_and_in_clear_where_tls_is_not_required<S: Server>() {
    let claim = format!("C: {}\n?: alice secret\n", S::REPLIES.sign_in.0);
    for privacy in [Privacy::Clear, Privacy::Offered, Privacy::Tls] {
        session::<S>(privacy, &claim);
    }
    let begin_tls = script(S::REPLIES.starttls);
    for privacy in [Privacy::Offered, Privacy::Required] {
        session::<S>(privacy, &format!("{begin_tls}TLS\n{claim}"));
    }
}

pub(crate) fn starttls_is_refused_where_it_is_not_offered_or_has_arguments<S: Server>() {
    let (begin_tls, noop) = (script(S::REPLIES.starttls), script(S::REPLIES.noop));
    for &(privacy, refused) in S::REPLIES.no_starttls {
        let refused = script(refused);
        session::<S>(privacy, &format!("{refused}{noop}"));
        if privacy == Privacy::Tls {
            // TLS that was begun by STARTTLS is no other.
            session::<S>(Privacy::Required, &format!("{begin_tls}TLS\n{refused}{noop}"));
        }
    }
}

pub(crate) fn bytes_in_clear_behind_starttls_end_the_session_and_are_never_read<S: Server>() {
    // CVE-2011-0411: said by somebody on the path, to be taken as said under TLS.
    let (starttls, ready) = S::REPLIES.starttls;
    let (noop, sign_in) = (lines(&[S::REPLIES.noop.0]), lines(&[S::REPLIES.sign_in.0]));
    // One byte will do, be it half of a line end.
    for injected in [noop.as_bytes(), sign_in.as_bytes(), b"\n", b"x", CLIENT_HELLO] {
        for privacy in [Privacy::Offered, Privacy::Required] {
            let begun = lines(&[starttls]);
            for sent in
                [&[begun.as_bytes(), injected][..], &[&[begun.as_bytes(), injected].concat()]]
            {
                let heard = under_tls::<S>(privacy, sent, &[]);
                assert_eq!(heard.closed, Some(CloseReason::CleartextBehindStartTls));
                assert_eq!(behind::<S>(privacy, &heard), lines(&[ready]));
                assert_eq!(heard.claims, []);
            }
        }
    }
}

pub(crate) fn what_was_begun_in_clear_is_forgotten_under_tls<S: Server>() {
    let (starttls, noop) = (script(S::REPLIES.starttls), script(S::REPLIES.noop));
    for &prompted in S::REPLIES.prompted {
        let cancelled = script(("*", S::REPLIES.cancelled));
        let begun = format!("{}{cancelled}{starttls}TLS\n{noop}", script(prompted));
        session::<S>(Privacy::Offered, &begun);
        let begun = lines(&[prompted.0, "*", S::REPLIES.starttls.0]);
        let heard = under_tls::<S>(Privacy::Offered, &[begun.as_bytes()], b"c2VjcmV0\r\n");
        assert_eq!(heard.claims, [], "{begun}");
        let last = heard.text();
        assert!(S::is_failure(last.lines().next_back().unwrap()), "{last}");
    }
}

pub(crate) fn failures_from_before_tls_are_counted_under_it<S: Server>() {
    let (sign_in, wrong) = S::REPLIES.sign_in;
    let (begin_tls, begun) = S::REPLIES.starttls;
    let (unknown, unknown_reply) = S::REPLIES.unknown;
    for before in 0..FAILURES_MAX.into() {
        let sent = lines(&vec![unknown; before]) + &lines(&[begin_tls]);
        let left = usize::from(FAILURES_MAX) - before;
        let tries = lines(&vec![sign_in; left + 1]);
        let heard = under_tls::<S>(Privacy::Required, &[sent.as_bytes()], tries.as_bytes());
        assert_eq!(heard.closed, Some(CloseReason::TooManyFailures));
        assert_eq!(heard.claims.len(), left);
        let mut said = vec![unknown_reply; before];
        said.push(begun);
        said.extend(vec![wrong; left - 1]);
        said.push(S::REPLIES.too_many_failures);
        assert_eq!(behind::<S>(Privacy::Required, &heard), lines(&said));
    }
}

pub(crate) fn commands_from_before_tls_are_counted_under_it<S: Server>() {
    let ((noop, _), (starttls, _)) = (S::REPLIES.noop, S::REPLIES.starttls);
    for before in [0, 9, 190] {
        let sent = lines(&vec![noop; before]) + &lines(&[starttls]);
        // STARTTLS is a command as well.
        let left = usize::from(COMMANDS_MAX) - before - 1;
        let heard = |count: usize| {
            let behind = lines(&vec![noop; count]);
            under_tls::<S>(Privacy::Offered, &[sent.as_bytes()], behind.as_bytes()).closed
        };
        assert_eq!(heard(left - 1), None);
        assert_eq!(heard(left), Some(CloseReason::TooManyCommands));
    }
}

pub(crate) fn a_client_that_begins_tls_unasked_is_closed_on_without_a_word<S: Server>() {
    for privacy in ALL {
        for hello in [CLIENT_HELLO, &CLIENT_HELLO[..1], SSL2_HELLO, &SSL2_HELLO[..1]] {
            let end = end_of::<S>(privacy, hello);
            assert_eq!(end, (String::new(), Some(CloseReason::ClientHello)));
        }
    }
    // Later as well, and where STARTTLS was refused.
    let refused = S::REPLIES.no_starttls.iter().filter(|(privacy, _)| *privacy == Privacy::Clear);
    for (before, replies) in refused.map(|&(_, said)| said).chain([S::REPLIES.noop]) {
        let sent = [lines(&[before]).as_bytes(), CLIENT_HELLO].concat();
        let end = (lines(&[replies]), Some(CloseReason::ClientHello));
        assert_eq!(end_of::<S>(Privacy::Clear, sent), end);
    }
}

pub(crate) fn a_tls_handshake_is_no_response<S: Server>() {
    let (noop, noop_reply) = S::REPLIES.noop;
    for (sent, prompt) in S::REPLIES.prompted {
        let sent = lines(&[sent, "\x16\x03", noop]);
        let said = reply::<S>(sent);
        assert!(said.starts_with(prompt) && said.ends_with(&lines(&[noop_reply])), "{said}");
    }
}

/// Hears `before`, then `behind` under TLS where a handshake is due.
fn under_tls<S: Server>(privacy: Privacy, before: &[&[u8]], behind: &[u8]) -> Heard {
    let welcome = S::welcome();
    let mut player = Player::new(S::machine(privacy), verdicts(0), &welcome);
    before.iter().for_each(|piece| player.feed(piece));
    assert!(player.awaits_tls(), "a handshake is due");
    player.start_tls();
    player.feed(behind);
    checked::<S>(player.end(), 0)
}
