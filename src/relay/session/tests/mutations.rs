//! Valid sessions, damaged and cut into pieces at random: whatever comes of them, each ends in
//! replies or a clean close, in time, and nothing panics.

use std::ops::RangeInclusive;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tokio::runtime::{Builder, Runtime};
use tokio::task::yield_now;

use super::*;
use crate::relay::protocol::Pop3;

/// Sessions of each protocol: 10,200 in all.
const SESSIONS: u32 = 3_400;

/// What a session may last: the client's own minute, a second for each of five refused sign-ins,
/// and twice two seconds for its end.
const LASTS_MAX: Duration = Duration::from_secs(60 + 5 + 4);

/// How many bytes a piece has at most. Longer ones are several.
const PIECE_LEN: RangeInclusive<usize> = 1..=40;

/// A change to what a client says.
#[derive(Debug, Clone)]
enum Damage {
    Replace(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    /// So many bytes from the first place once more at the second.
    Repeat(Index, usize, Index),
    Truncate(Index),
}

impl Damage {
    fn any() -> impl Strategy<Value = Self> {
        let telling = select(b"\0\r\n {}+*\"\\=.()[]<>:\x16\x80\xff019AZaz".to_vec());
        let byte = prop_oneof![telling, any::<u8>()];
        let long = select(vec![600_usize, 9_000, 13_000, 66_000, 70_000]);
        let bytes = prop_oneof![
            8 => vec(byte.clone(), 1..6),
            1 => (byte.clone(), long).prop_map(|(byte, len)| vec![byte; len]),
            1 => Just(b"\r\n".repeat(300)),
            1 => Just(b"{4294967295+}\r\n".to_vec()),
            1 => Just(b" HTTP/1.1\r\n".to_vec()),
        ];
        prop_oneof![
            4 => (any::<Index>(), byte).prop_map(|(at, byte)| Self::Replace(at, byte)),
            3 => (any::<Index>(), bytes).prop_map(|(at, bytes)| Self::Insert(at, bytes)),
            2 => (any::<Index>(), 1..20_usize).prop_map(|(at, len)| Self::Remove(at, len)),
            2 => (any::<Index>(), 1..60_usize, any::<Index>())
                .prop_map(|(from, len, to)| Self::Repeat(from, len, to)),
            1 => any::<Index>().prop_map(Self::Truncate),
        ]
    }

    fn apply(&self, said: &mut Vec<u8>) {
        let place = |at: &Index, said: &[u8]| at.index(said.len() + 1);
        match self {
            Self::Replace(at, byte) => {
                let at = place(at, said);
                said.get_mut(at).into_iter().for_each(|old| *old = *byte);
            }
            Self::Insert(at, bytes) => {
                let at = place(at, said);
                said.splice(at..at, bytes.iter().copied());
            }
            Self::Remove(at, len) => {
                let at = place(at, said);
                said.drain(at..(at + len).min(said.len()));
            }
            Self::Repeat(from, len, to) => {
                let (from, to) = (place(from, said), place(to, said));
                let again = said[from..(from + len).min(said.len())].to_vec();
                said.splice(to..to, again);
            }
            Self::Truncate(at) => said.truncate(place(at, said)),
        }
    }
}

/// What a client does when it has said everything.
#[derive(Debug, Clone, Copy)]
enum Then {
    /// Closes its side and listens.
    Close,
    /// Waits for what comes.
    Wait,
    /// Is gone without having listened.
    Vanish,
}

/// What a client does.
#[derive(Debug, Clone)]
struct Play {
    pieces: Vec<Vec<u8>>,
    then: Then,
}

fn plays(sessions: &[&str]) -> impl Strategy<Value = Play> {
    let sessions: Vec<Vec<u8>> = sessions.iter().map(|said| said.as_bytes().to_vec()).collect();
    let damaged = (select(sessions), vec(Damage::any(), 0..5)).prop_map(|(mut said, damage)| {
        damage.iter().for_each(|damage| damage.apply(&mut said));
        said
    });
    let then = select(vec![Then::Close, Then::Wait, Then::Wait, Then::Vanish]);
    (damaged, vec(PIECE_LEN, 1..40), any::<bool>(), then).prop_map(|(said, lens, whole, then)| {
        let mut rest = said.as_slice();
        let mut pieces = Vec::new();
        if !whole {
            for len in lens {
                let (piece, behind) = rest.split_at(len.min(rest.len()));
                pieces.push(piece.to_vec());
                rest = behind;
            }
        }
        pieces.push(rest.to_vec());
        Play { pieces, then }
    })
}

/// Has `play` in a session of `listener`; gives what the client heard, if it listened.
async fn perform<P: MailProtocol>(listener: Arc<Listener>, play: &Play) -> Option<Vec<u8>> {
    let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let place = listener.relay().admit(peer).expect("every place was given back");
    let (mut client, stream) = duplex(4_096);
    let started = Instant::now();
    let session = run::<P, DuplexStream>(listener, stream, peer.into(), place, Span::current());
    let session = tokio::spawn(session);
    let (mut hear, mut say) = tokio::io::split(&mut client);
    let mut heard = Vec::new();
    let saying = async {
        for piece in &play.pieces {
            // Whoever is not listened to any more need not go on.
            if say.write_all(piece).await.is_err() {
                break;
            }
            yield_now().await;
        }
        if matches!(play.then, Then::Close) {
            let _ = say.shutdown().await;
        }
    };
    match play.then {
        Then::Close | Then::Wait => {
            let (end, ()) = tokio::join!(hear.read_to_end(&mut heard), saying);
            end.expect("a pipe ends in order");
        }
        // It says what it can without listening.
        Then::Vanish => {
            let _ = timeout(Duration::from_millis(1), saying).await;
        }
    }
    drop(client);
    session.await.expect("no session panics");
    assert!(started.elapsed() <= LASTS_MAX, "it lasted {:?}", started.elapsed());
    (!matches!(play.then, Then::Vanish)).then_some(heard)
}

/// Plays damaged `sessions`; every line that a client hears `is_reply`.
fn every_session_ends<P: MailProtocol>(sessions: &[&str], is_reply: fn(&str) -> bool) {
    // A seed of its own, always the same: a test that fails fails again. What failed once is kept
    // in `proptest-regressions` and played first.
    let config = Config { cases: SESSIONS, source_file: Some(file!()), ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let password = || LocalPassword::Plain(SecretSource::Value(SecretString::from("right")));
    let runtime = paused();
    let listener = listener(P::PROTOCOL, Shutdown::default(), password());
    let test = |play: Play| {
        let heard = runtime.block_on(perform::<P>(Arc::clone(&listener), &play));
        let Some(heard) = heard else { return Ok(()) };
        let heard = String::from_utf8(heard).expect("replies are ASCII");
        prop_assert!(heard.ends_with("\r\n"), "{heard:?}");
        for line in heard.split_terminator("\r\n") {
            let is_shown = line.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
            prop_assert!(is_shown && is_reply(line), "{line:?} in {heard:?}");
        }
        Ok(())
    };
    TestRunner::new_with_rng(config, rng).run(&plays(sessions), test).unwrap();
}

fn paused() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

/// `250 text`, `250-text`.
fn is_smtp_reply(line: &str) -> bool {
    let (code, rest) = line.split_at_checked(3).unwrap_or_default();
    code.bytes().all(|byte| byte.is_ascii_digit()) && rest.starts_with([' ', '-'])
}

/// `* text`, `+ text`, `tag OK text`.
fn is_imap_response(line: &str) -> bool {
    let (first, rest) = line.split_once(' ').unwrap_or_default();
    let is_tagged = ["OK ", "NO ", "BAD "].iter().any(|status| rest.starts_with(status));
    matches!(first, "*" | "+") || (!first.is_empty() && is_tagged)
}

/// `+OK text`, `-ERR text`, `+ challenge`, or a line of a list.
fn is_pop3_reply(line: &str) -> bool {
    let is_listed = |byte: u8| byte.is_ascii_uppercase() || b" -.".contains(&byte);
    ["+OK", "-ERR", "+ "].iter().any(|status| line.starts_with(status))
        || line.bytes().all(is_listed)
}

#[test]
fn every_damaged_session_of_smtp_ends_in_replies_and_in_time() {
    let sessions = [
        "EHLO client.example\r\nAUTH PLAIN AGFsaWNlQGV4YW1wbGUuY29tAHJpZ2h0\r\nQUIT\r\n",
        "HELO x\r\nAUTH LOGIN\r\nYWxpY2VAZXhhbXBsZS5jb20=\r\nd3Jvbmc=\r\nMAIL FROM:<a@b.example>\r\n\
         RCPT TO:<c@d.example>\r\nDATA\r\nSubject: x\r\n\r\ny\r\n.\r\nQUIT\r\n",
        "auth=login\nYWxpY2VAZXhhbXBsZS5jb20\ncmlnaHQ\nquit\n",
        "EHLO [127.0.0.1]\r\nNOOP\r\nVRFY a\r\nHELP\r\nRSET\r\nEXPN b\r\nAUTH PLAIN\r\n*\r\n\
         AUTH LOGIN YWxpY2U=\r\n\r\nAUTH NTLM\r\nQUIT\r\n",
        "EHLO x\r\nSTARTTLS\r\nEHLO x\r\nAUTH PLAIN AGFsaWNlAHdyb25n\r\n",
    ];
    every_session_ends::<Submission>(&sessions, is_smtp_reply);
}

#[test]
fn every_damaged_session_of_imap_ends_in_responses_and_in_time() {
    let sessions = [
        "a CAPABILITY\r\nb LOGIN alice@example.com right\r\nc SELECT INBOX\r\nd LOGOUT\r\n",
        "1 ID (\"name\" \"x\" \"version\" {1+}\r\n2)\r\n2 LOGIN \"alice@example.com\" \"wr\\\"ong\"\r\n\
         3 LOGOUT\r\n",
        "a LOGIN {17}\r\nalice@example.com {5}\r\nright\r\nb NOOP\r\nc LOGOUT\r\n",
        "a LOGIN {17+}\r\nalice@example.com {5-}\r\nwrong\r\nb LIST \"\" {3+}\r\n%%%\r\nc LOGOUT\r\n",
        "A AUTHENTICATE PLAIN AGFsaWNlQGV4YW1wbGUuY29tAHJpZ2h0\r\nB LOGOUT\r\n",
        "A AUTHENTICATE LOGIN\r\nYWxpY2U=\r\nd3Jvbmc=\r\nB AUTHENTICATE PLAIN\r\n*\r\nC LOGOUT\r\n",
        "a STARTTLS\r\nb LOGIN alice wrong\r\nc LOGOUT\r\n",
    ];
    every_session_ends::<Imap>(&sessions, is_imap_response);
}

#[test]
fn every_damaged_session_of_pop3_ends_in_replies_and_in_time() {
    let sessions = [
        "CAPA\r\nUSER alice@example.com\r\nPASS right\r\nSTAT\r\nQUIT\r\n",
        "AUTH\r\nAUTH PLAIN AGFsaWNlQGV4YW1wbGUuY29tAHdyb25n\r\nQUIT\r\n",
        "AUTH LOGIN\r\nYWxpY2VAZXhhbXBsZS5jb20=\r\ncmlnaHQ=\r\nUIDL\r\nRETR 1\r\nQUIT\r\n",
        "APOP alice c4c9334bac560ecc979e58001b3e22fb\r\nUSER alice\r\nPASS wr ong\r\nNOOP\r\nQUIT\r\n",
        "auth plain\nAGFsaWNlAHdyb25n\nuser a\nuser b\npass c\nquit\n",
        "CAPA\r\nSTLS\r\nUSER alice\r\nPASS wrong\r\nQUIT\r\n",
    ];
    every_session_ends::<Pop3>(&sessions, is_pop3_reply);
}
