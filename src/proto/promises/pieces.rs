//! Whatever a client sends, and in whatever pieces: lines that clients say, damaged, with random
//! bytes between them. Nothing of it makes a machine panic.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::server::{Server, client, lines, verdicts};
use crate::proto::transcript::Player;
use crate::proto::{CloseReason, FAILURES_MAX, Privacy};

pub(crate) fn a_client_hears_the_same_at_every_split<S: Server>() {
    let privacy = select(vec![Privacy::Clear, Privacy::Offered, Privacy::Required, Privacy::Tls]);
    proptest!(config(), |(
        privacy in privacy,
        sent in bytes(S::SENT),
        cuts in vec(any::<Index>(), 0..8),
        accepted in 0_usize..4,
    )| {
        let whole = client::<S>(privacy, &[&sent], accepted);
        prop_assert_eq!(&client::<S>(privacy, &cut(&sent, &cuts), accepted), &whole);
        let single: Vec<&[u8]> = sent.chunks(1).collect();
        prop_assert_eq!(&client::<S>(privacy, &single, accepted), &whole);
    });
}

pub(crate) fn a_client_makes_no_claim_in_clear_where_tls_is_required<S: Server>() {
    let prompts: Vec<&str> = S::REPLIES.prompted.iter().map(|said| said.1).collect();
    let prompts: Vec<&str> = prompts.iter().filter_map(|said| said.split("\r\n").last()).collect();
    proptest!(config(), |(
        sent in bytes(S::SENT),
        cuts in vec(any::<Index>(), 0..8),
        starttls in any::<bool>(),
    )| {
        let starttls = if starttls { format!("\n{}", lines(&[S::REPLIES.starttls.0])) } else { String::new() };
        let sent = [&sent[..], starttls.as_bytes()].concat();
        let welcome = S::welcome();
        let mut player = Player::new(S::machine(Privacy::Required), verdicts(1), &welcome);
        cut(&sent, &cuts).iter().for_each(|piece| player.feed(piece));
        let is_due = player.awaits_tls();
        player.start_tls();
        // Under TLS the next line is a command, whatever was begun before.
        player.feed(lines(&[S::REPLIES.sign_in.0]).as_bytes());
        let heard = player.end();
        let injected = heard.closed == Some(CloseReason::CleartextBehindStartTls);
        prop_assert_eq!(heard.claims.len(), usize::from(is_due && !injected));
        // Nobody is asked for credentials either.
        let said = heard.text();
        prop_assert!(!said.lines().any(|line| prompts.contains(&line)), "{}", said);
    });
}

pub(crate) fn a_session_ends_after_the_fifth_failure_whatever_it_hears<S: Server>() {
    let greeting = lines(&[&S::greeting(Privacy::Clear)]);
    proptest!(config(), |(sent in bytes(S::SENT))| {
        let heard = client::<S>(Privacy::Clear, &[&sent], 0);
        let said = heard.text();
        let said = said.strip_prefix(&greeting).unwrap();
        let ended = said.strip_suffix(&lines(&[S::REPLIES.too_many_failures]));
        prop_assert_eq!(ended.is_some(), heard.closed == Some(CloseReason::TooManyFailures));
        // The last words of another end are no failure.
        let has_last_words = !matches!(heard.closed, None | Some(CloseReason::ClientHello));
        let lines = said.lines().take(said.lines().count() - usize::from(has_last_words));
        let failures = lines.filter(|line| S::is_failure(line)).count() + usize::from(ended.is_some());
        prop_assert!(failures <= usize::from(FAILURES_MAX), "{}", said);
        prop_assert_eq!(failures == usize::from(FAILURES_MAX), ended.is_some(), "{}", said);
    });
}

/// Some of `known` with up to four bytes of each replaced, and random bytes and long lines between
/// them.
pub(super) fn bytes(known: &'static [&'static [u8]]) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![any::<u8>(), select(b"{}+-\"\\\r\n *()[]=0123459\0\x16".to_vec())];
    let damaged = (select(known), vec((any::<Index>(), byte), 0..4)).prop_map(|(known, damage)| {
        let mut piece = known.to_vec();
        for (at, byte) in damage {
            let at = at.index(piece.len());
            piece[at] = byte;
        }
        piece
    });
    let piece = prop_oneof![
        6 => damaged,
        8 => select(known).prop_map(<[u8]>::to_vec),
        2 => vec(any::<u8>(), 0..60),
        1 => (0_usize..14_000).prop_map(|len| vec![b'x'; len]),
    ];
    vec(piece, 0..16).prop_map(|pieces| pieces.concat())
}

/// `sent`, cut at `cuts`.
pub(super) fn cut<'a>(sent: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(sent.len() + 1)).collect();
    cuts.extend([0, sent.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|range| &sent[range[0]..range[1]]).collect()
}

/// As many cases as ever, and no file of those that failed.
pub(super) fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}
