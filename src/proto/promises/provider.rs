//! Whatever a provider sends: the token goes where it may, and nothing makes a machine wait, grow or
//! panic.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::client::{Client, Provider};
use super::pieces::{bytes, config, cut};
use crate::proto::transcript::{Ended, UpstreamPlayer, play_upstream};
use crate::proto::{Lasting, Upstream, UpstreamFault};
use crate::provider::{Mechanism, UpstreamTls};

/// `user=alice@example.com^Aauth=Bearer secret-token^A^A`.
const XOAUTH2: &str = "dXNlcj1hbGljZUBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciBzZWNyZXQtdG9rZW4BAQ==";

/// RFC 7628 section 3.1: the name, the host and port that the token is for, and the token.
const OAUTHBEARER: &str = "n,a=alice@example.com,\x01host=mail.example.com\x01port=587\x01\
                           auth=Bearer secret-token\x01\x01";

/// `{"status":"400"}`.
const ERROR: &str = "eyJzdGF0dXMiOiI0MDAifQ==";

type Welcome<C> = <<C as Client>::Machine as Upstream>::Welcome;

pub(crate) fn a_provider_hears_the_same_at_every_split<C: Client>() {
    proptest!(config(), |(
        sent in sent::<C>(),
        cuts in vec(any::<Index>(), 0..8),
        tls in select(vec![UpstreamTls::Implicit, UpstreamTls::StartTls]),
        mechanism in select(vec![Mechanism::Xoauth2, Mechanism::OauthBearer]),
    )| {
        let heard = |pieces: &[&[u8]]| {
            let mut player = player::<C>(tls, mechanism, "secret-token");
            pieces.iter().for_each(|piece| player.feed(piece));
            player.start_tls();
            if let Some(held) = player.held() {
                assert!(held <= C::PROVIDER.held_len_max, "{held} bytes are held back");
            }
            (player.said.clone(), format!("{:?}", player.end()))
        };
        let whole = heard(&[&sent]);
        prop_assert!(!whole.1.contains("secret-token") && !whole.1.contains(XOAUTH2));
        prop_assert_eq!(&heard(&cut(&sent, &cuts)), &whole);
        prop_assert_eq!(&heard(&sent.chunks(1).collect::<Vec<_>>()), &whole);
    });
}

pub(crate) fn a_provider_is_shown_nothing_before_tls_where_tls_is_due<C: Client>() {
    proptest!(config(), |(sent in sent::<C>())| {
        let mut player = player::<C>(UpstreamTls::StartTls, Mechanism::Xoauth2, "secret-token");
        player.feed(&sent);
        let said = String::from_utf8(player.said.clone()).unwrap();
        prop_assert!(!said.contains("AUTH") && !said.contains(XOAUTH2), "{}", said);
        prop_assert!(!matches!(player.end(), Ended::Authenticated(..) | Ended::Refused(_)));
    });
}

pub(crate) fn bytes_in_clear_behind_starttls_are_a_fault<C: Client>() {
    let Provider { starttls, accept, challenge, .. } = C::PROVIDER;
    let again = starttls.trim_end().lines().next_back().unwrap();
    for injected in [again, "S| \\n", "S| x", &format!("S: {accept}"), &format!("S: {challenge}")] {
        let script = format!("{starttls}\n{injected}\nTLS");
        let ended = play::<C>(UpstreamTls::StartTls, Mechanism::Xoauth2, &script);
        assert_eq!(ended.fault(), UpstreamFault::CleartextBehindStartTls, "{injected}");
    }
}

pub(crate) fn a_token_of_16_kib_is_sent_whole_in_a_line_of_its_own<C: Client>() {
    let text = "t".repeat(16_384);
    let mut player = awaiting_leave::<C>(&text);
    player.said.clear();
    player.feed(format!("{}\r\n", C::PROVIDER.challenge).as_bytes());
    let message = format!("user=alice@example.com\x01auth=Bearer {text}\x01\x01");
    assert_eq!(player.said, format!("{}\r\n", STANDARD.encode(message)).as_bytes());
}

pub(crate) fn the_token_is_not_printed_while_it_is_held<C: Client>() {
    let printed = awaiting_leave::<C>("secret-token").printed();
    assert!(printed.contains("REDACTED"), "{printed}");
    assert!(!printed.contains("secret") && !printed.contains(XOAUTH2), "{printed}");
}

pub(crate) fn a_sign_in_accepted_before_the_token_was_sent_is_a_fault<C: Client>() {
    begun::<C>(Mechanism::Xoauth2, &format!("S: {}", C::PROVIDER.accept)).problem();
}

pub(crate) fn a_sign_in_is_accepted_by_either_mechanism<C: Client>() {
    let Provider { challenge, accept, .. } = C::PROVIDER;
    for (mechanism, message, _) in mechanisms() {
        let script = format!("S: {challenge}\nC: {message}\nS: {accept}\nS| behind");
        let (_, left) = begun::<C>(mechanism, &script).welcome();
        assert_eq!(left, "behind");
    }
}

pub(crate) fn an_error_challenge_is_acknowledged_once_and_the_refusal_awaited<C: Client>() {
    let Provider { challenge, refuse, .. } = C::PROVIDER;
    for (mechanism, message, acknowledgement) in mechanisms() {
        for (error, status) in [(ERROR, Some("400")), ("bm8=", None), ("!", None), ("", None)] {
            let challenged = format!(
                "S: {challenge}\nC: {message}\nS: {challenge}{error}\nC: {acknowledgement}\n"
            );
            let reply = format!("{refuse}no");
            let ended = begun::<C>(mechanism, &format!("{challenged}S: {reply}"));
            let refusal = (told(&reply).to_owned(), Lasting::Permanent, status.map(str::to_owned));
            assert_eq!(ended.refusal(), refusal);
            begun::<C>(mechanism, &format!("{challenged}S: {challenge}{error}")).problem();
        }
    }
}

/// RFC 7628 section 3.2.2: behind an error challenge the server has to refuse.
pub(crate) fn a_yes_behind_an_error_challenge_is_a_fault<C: Client>() {
    let Provider { challenge, accept, .. } = C::PROVIDER;
    for (mechanism, message, acknowledgement) in mechanisms() {
        for error in [ERROR, "!", ""] {
            let script = format!(
                "S: {challenge}\nC: {message}\nS: {challenge}{error}\nC: {acknowledgement}\n\
                 S: {accept}"
            );
            let problem = begun::<C>(mechanism, &script).problem();
            assert_eq!(problem, "it accepts a sign-in that it has refused");
        }
    }
}

pub(crate) fn a_refusal_is_kept_printable_and_at_most_400_bytes_long<C: Client>() {
    let Provider { challenge, refuse, .. } = C::PROVIDER;
    let refused =
        format!("S: {challenge}\nC: {XOAUTH2}\nS: {refuse}\\x1b[31m\\xff{}", "x".repeat(500));
    let (reply, ..) = begun::<C>(Mechanism::Xoauth2, &refused).refusal();
    assert!(reply.starts_with(&format!("{}?[31m?xxx", told(refuse))), "{reply}");
    assert_eq!(reply.len(), 400);
}

pub(crate) fn a_provider_that_never_ends_is_given_up<C: Client>() {
    let Provider { starttls, token, challenge, .. } = C::PROVIDER;
    let (clear, private) = (along(starttls), along(&format!("{token}\nS: {challenge}")));
    // Where the leave to begin TLS is said, nothing may follow.
    let before_tls = (UpstreamTls::StartTls, &clear[..clear.len() - 1]);
    for (tls, lines) in [before_tls, (UpstreamTls::Implicit, &private[..])] {
        for endless in C::PROVIDER.endless.iter().chain(&["x", "\0"]) {
            for said in 0..=lines.len() {
                let mut player = player::<C>(tls, Mechanism::Xoauth2, "secret-token");
                player.feed(lines[..said].concat().as_bytes());
                send_on::<C>(&mut player, endless);
                player.end().problem();
            }
        }
    }
}

/// Sends `piece` over and over until the machine ends, or has taken 500 KB.
fn send_on<C: Client>(player: &mut UpstreamPlayer<C::Machine>, piece: &str) {
    let piece = piece.repeat(1_000_usize.div_ceil(piece.len()));
    for _ in 0..500 {
        player.feed(piece.as_bytes());
        let Some(held) = player.held() else { return };
        assert!(held <= C::PROVIDER.held_len_max, "{held} bytes are held back");
    }
}

/// A machine that awaits the leave to send `token`.
fn awaiting_leave<C: Client>(token: &str) -> UpstreamPlayer<C::Machine> {
    let mut player = player::<C>(UpstreamTls::Implicit, Mechanism::Xoauth2, token);
    player.feed(along(C::PROVIDER.token).concat().as_bytes());
    let begun = format!("{} XOAUTH2\r\n", C::PROVIDER.begin);
    assert!(player.said.ends_with(begun.as_bytes()), "the sign-in is begun");
    player
}

/// Each mechanism, its message, and what acknowledges its error challenge: on Google's page an empty
/// line, in RFC 7628 section 3.2.3 base64 of a single ^A.
fn mechanisms() -> [(Mechanism, String, &'static str); 2] {
    [
        (Mechanism::Xoauth2, XOAUTH2.to_owned(), ""),
        (Mechanism::OauthBearer, STANDARD.encode(OAUTHBEARER), "AQ=="),
    ]
}

/// A reply as it is kept: without the tag of IMAP.
fn told(reply: &str) -> &str {
    reply.strip_prefix("m1 ").unwrap_or(reply)
}

fn player<C: Client>(
    tls: UpstreamTls,
    mechanism: Mechanism,
    token: &str,
) -> UpstreamPlayer<C::Machine> {
    UpstreamPlayer::new(C::machine(tls, mechanism), mechanism, token)
}

/// Plays `script` behind the command that begins a sign-in.
#[track_caller]
fn begun<C: Client>(mechanism: Mechanism, script: &str) -> Ended<Welcome<C>> {
    let Provider { token, begin, .. } = C::PROVIDER;
    let script = format!("{token}\nTOKEN\nC: {begin} {}\n{script}", mechanism.name());
    play::<C>(UpstreamTls::Implicit, mechanism, &script)
}

#[track_caller]
fn play<C: Client>(tls: UpstreamTls, mechanism: Mechanism, script: &str) -> Ended<Welcome<C>> {
    play_upstream(|| C::machine(tls, mechanism), mechanism, script)
}

/// The lines that a provider says in `script`, each with its end.
fn along(script: &str) -> Vec<String> {
    let lines = script.lines().filter_map(|line| line.trim_start().strip_prefix("S: "));
    lines.map(|line| format!("{line}\r\n")).collect()
}

/// A provider that plays along for a while, then says what comes to its mind.
fn sent<C: Client>() -> impl Strategy<Value = Vec<u8>> {
    let Provider { starttls, token, challenge, .. } = C::PROVIDER;
    let asked = format!("{token}\nS: {challenge}");
    let refused = format!("{asked}\nS: {challenge}{ERROR}");
    let begun = ["", starttls, token, &asked, &refused].map(|script| along(script).concat());
    (select(begun.to_vec()), bytes(C::SENT))
        .prop_map(|(begun, sent)| [begun.into_bytes(), sent].concat())
}
