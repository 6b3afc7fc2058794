//! Random bytes, and valid conversations with random damage, in random pieces.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::hear;
use crate::names::Username;
use crate::proto::pop3::Pop3Upstream;
use crate::proto::sasl::Credentials;
use crate::proto::{AwaitTls as _, AwaitToken as _};
use crate::proto::{Input, Output, Privacy, Upstream as _, UpstreamStep};
use crate::provider::{MailHost, Mechanism, UpstreamTls};
use crate::secret::AccessToken;

/// What a client might send, or what is close to it.
fn client_bytes() -> impl Strategy<Value = Vec<u8>> {
    let command = select(vec![
        &b"USER alice\r\n"[..],
        b"user m\xfcller \n",
        b"PASS se cret\r\n",
        b"USER alice\r\nPASS secret\r\nSTAT\r\n",
        b"AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n",
        b"AUTH LOGIN\r\nYWxpY2U=\r\nc2VjcmV0\r\n",
        b"AUTH PLAIN\r\n*\r\n",
        b"AUTH\r\n",
        b"CAPA\r\nNOOP\r\n",
        b"APOP alice 0123\r\n",
        b"STLS\r\n",
        b"QUIT\r\n",
        b"\x16\x03\x01\x00\x05",
        b"GET / HTTP/1.1\r\n",
    ]);
    mutated(command, 0..4)
}

/// What a provider might send, or what is close to it.
fn provider_bytes() -> impl Strategy<Value = Vec<u8>> {
    let reply = select(vec![
        &b"+OK hi\r\n"[..],
        b"+OK\r\n",
        b"+ \r\n",
        b"+\r\n",
        b"+ eyJzdGF0dXMiOiI0MDAifQ==\r\n",
        b"-ERR no\r\n",
        b"-ERR [SYS/TEMP] later\r\n",
        b"-ERR [AUTH\r\n",
    ]);
    mutated(reply, 0..2)
}

/// Some `pieces` with up to so many bytes replaced in each, and random bytes between them.
fn mutated(
    piece: impl Strategy<Value = &'static [u8]>,
    damage: std::ops::Range<usize>,
) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![any::<u8>(), select(b"\r\n *=+-[]\0\x16".to_vec())];
    let damaged = (piece, vec((any::<Index>(), byte), damage)).prop_map(|(piece, damage)| {
        let mut piece = piece.to_vec();
        for (at, byte) in damage {
            let at = at.index(piece.len());
            piece[at] = byte;
        }
        piece
    });
    let pieces = vec(prop_oneof![5 => damaged, 1 => vec(any::<u8>(), 0..60)], 0..8);
    pieces.prop_map(|pieces| pieces.concat())
}

fn cut<'a>(bytes: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|range| &bytes[range[0]..range[1]]).collect()
}

/// Feeds `pieces` to a client; gives what it said, how it ended and what it left.
///
/// A handshake that is due takes place once all pieces are there.
fn connect(tls: UpstreamTls, pieces: &[&[u8]]) -> (String, String) {
    let mailbox = Username::parse("alice@example.com").unwrap();
    let token = AccessToken::parse("secret-token").unwrap();
    let host = MailHost { host: "mail.example.com".to_owned(), port: 995, tls };
    let mechanism = Mechanism::Xoauth2;
    let credentials = Credentials { mailbox: &mailbox, token: &token, mechanism, host: &host };
    let (mut input, mut output) = (Input::default(), Output::default());
    let mut step = UpstreamStep::Read(Pop3Upstream::new(tls, mechanism));
    for piece in pieces {
        input.extend(piece);
        while let UpstreamStep::Read(machine) = step {
            step = machine.receive(&mut input, &mut output);
            let UpstreamStep::Ready(awaiting) = step else { break };
            step = UpstreamStep::Read(awaiting.authenticate(&credentials, &mut output));
        }
    }
    if let UpstreamStep::StartTls(awaiting) = step {
        step = match awaiting.started(&input, &mut output) {
            Ok(machine) => machine.receive(&mut input, &mut output),
            Err(fault) => UpstreamStep::Close(fault),
        };
    }
    let end = format!("{step:?} {:?}", input.into_leftover());
    (String::from_utf8(output.take().to_vec()).unwrap(), end)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_client_hears_the_same_at_every_split(
        sent in client_bytes(),
        cuts in vec(any::<Index>(), 0..6),
    ) {
        for privacy in [Privacy::Clear, Privacy::Tls] {
            let whole = hear(privacy, [&sent[..]]);
            prop_assert_eq!(&hear(privacy, cut(&sent, &cuts)), &whole);
            prop_assert_eq!(&hear(privacy, sent.chunks(1)), &whole);
        }
    }

    #[test]
    fn nobody_claims_anything_in_clear_where_tls_is_required(
        sent in client_bytes(),
        cuts in vec(any::<Index>(), 0..6),
    ) {
        prop_assert_eq!(hear(Privacy::Required, cut(&sent, &cuts)).claims_in_clear, 0);
        prop_assert_eq!(hear(Privacy::Required, sent.chunks(1)).claims_in_clear, 0);
    }

    #[test]
    fn a_name_and_a_password_are_claimed_as_they_were_sent(
        username in "[!-~äöü]([ -~äöü]{0,40}[!-~äöü])?",
        password in vec(any::<u8>().prop_filter("no line end", |byte| !b"\0\r\n".contains(byte)), 0..200),
    ) {
        let sent = [b"USER ", username.as_bytes(), b"\r\nPASS ", &password, b"\r\n"].concat();
        let heard = hear(Privacy::Clear, [&sent[..]]);
        prop_assert_eq!(heard.claims, [(username, password)]);
    }

    #[test]
    fn a_provider_hears_the_same_at_every_split(
        sent in provider_bytes(),
        cuts in vec(any::<Index>(), 0..6),
        starttls in any::<bool>(),
    ) {
        let tls = if starttls { UpstreamTls::StartTls } else { UpstreamTls::Implicit };
        let whole = connect(tls, &[&sent]);
        prop_assert_eq!(&connect(tls, &cut(&sent, &cuts)), &whole);
        prop_assert_eq!(&connect(tls, &sent.chunks(1).collect::<Vec<_>>()), &whole);
        prop_assert!(!starttls || !whole.0.contains("AUTH"), "{} before TLS", whole.0);
    }
}
