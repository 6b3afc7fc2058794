//! A protocol as its clients see it, and what they hear.

use crate::proto::transcript::{Heard, Player, play};
use crate::proto::{AwaitVerdict, CloseReason, Downstream, Privacy};

/// Lines of a client, and what is said to them; without the last line end.
pub(crate) type Said = (&'static str, &'static str);

/// A protocol, as its clients see it.
pub(crate) trait Server {
    /// Its machine.
    type Machine: Downstream;

    /// What is said to a client; tags, where there are any, are `a`.
    const REPLIES: Replies;

    /// What clients say, and what comes near it: whole lines, and parts of some.
    const SENT: &'static [&'static [u8]];

    /// A machine for a new session.
    fn machine(privacy: Privacy) -> Self::Machine;

    /// The line that greets a client.
    fn greeting(privacy: Privacy) -> String;

    /// What a provider says to an accepted sign-in.
    fn welcome() -> <<Self::Machine as Downstream>::Awaiting as AwaitVerdict>::Welcome;

    /// Whether a line may be said to a client, by its form and its length.
    fn is_reply(line: &str) -> bool;

    /// Whether that line tells of a failure.
    fn is_failure(line: &str) -> bool;
}

/// What is said to a client.
pub(crate) struct Replies {
    /// A command that does nothing.
    pub(crate) noop: Said,
    /// A command that fails.
    pub(crate) unknown: Said,
    /// One whose reply is long.
    pub(crate) long: Said,
    /// Commands of every kind, for the one that is too many.
    pub(crate) last: &'static [&'static str],
    /// A sign-in as `alice` with `secret` in one command, and the reply to a wrong password.
    pub(crate) sign_in: Said,
    /// Every way to begin a sign-in, and the reply where TLS has to come first.
    pub(crate) before_tls: &'static [Said],
    /// Sign-ins as far as a prompt.
    pub(crate) prompted: &'static [Said],
    /// The reply to `*` at these.
    pub(crate) cancelled: &'static str,
    /// The command that begins TLS.
    pub(crate) starttls: Said,
    /// Where that is refused.
    pub(crate) no_starttls: &'static [(Privacy, Said)],
    /// Lines that may just be so long.
    pub(crate) long_lines: &'static [LongLine],
    /// The reply to a long line of the letter x.
    pub(crate) too_long: &'static str,
    /// The last words to a browser, and to a client whose line does not end, or which has said too
    /// much, or failed too often.
    pub(crate) browser: &'static str,
    pub(crate) endless: &'static str,
    pub(crate) too_many_commands: &'static str,
    pub(crate) too_many_failures: &'static str,
    /// The words for [`Farewell`](crate::proto::Farewell), in its order.
    pub(crate) farewells: [&'static str; 4],
}

/// A line that may be so long.
pub(crate) struct LongLine {
    /// What is said before it.
    pub(crate) before: &'static [Said],
    /// How it begins; letters A follow.
    pub(crate) begin: &'static str,
    /// How long it may be, in bytes without its end.
    pub(crate) len_max: usize,
    /// The reply to a longer one.
    pub(crate) too_long: &'static str,
}

/// A client of `S`, each of whose sign-ins is refused but the one with the number `accepted`, from 1.
pub(crate) fn client<S: Server>(privacy: Privacy, sent: &[&[u8]], accepted: usize) -> Heard {
    let welcome = S::welcome();
    let mut player = Player::new(S::machine(privacy), verdicts(accepted), &welcome);
    sent.iter().for_each(|piece| player.feed(piece));
    checked::<S>(player.end(), accepted)
}

/// As many verdicts as there can be: each refuses but the one with the number `accepted`, from 1.
pub(super) fn verdicts(accepted: usize) -> impl Iterator<Item = String> {
    let verdict = move |nth| if nth == accepted { "accept" } else { "refuse wrong-password" };
    (1..20).map(move |nth| verdict(nth).to_owned())
}

/// What came of it, after a look at what must hold of any session.
pub(super) fn checked<S: Server>(heard: Heard, accepted: usize) -> Heard {
    assert!(heard.claims.len() <= 5, "{} claims", heard.claims.len());
    let is_accepted = accepted > 0 && heard.claims.len() == accepted;
    if !is_accepted {
        for line in heard.text().split_inclusive('\n') {
            let line = line.strip_suffix("\r\n").expect("a whole line");
            assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{line:?}");
            assert!(S::is_reply(line), "{line:?} is no reply");
        }
    }
    heard
}

/// Hears `sent` whole, split at some places, and in pieces as a slow client sends them.
#[track_caller]
pub(crate) fn hear<S: Server>(privacy: Privacy, sent: impl AsRef<[u8]>) -> Heard {
    let sent = sent.as_ref();
    let whole = client::<S>(privacy, &[sent], 0);
    for len in [1, 7, 1000, 4096] {
        let pieces: Vec<&[u8]> = sent.chunks(len).collect();
        assert_eq!(client::<S>(privacy, &pieces, 0), whole, "in pieces of {len} bytes");
    }
    whole
}

/// What is said to `sent` in clear behind the greeting, the connection staying open.
#[track_caller]
pub(crate) fn reply<S: Server>(sent: impl AsRef<[u8]>) -> String {
    let (said, closed) = end_of::<S>(Privacy::Clear, sent);
    assert_eq!(closed, None, "{said}");
    said
}

/// What is said to `sent` behind the greeting, and why the client is closed on.
#[track_caller]
pub(crate) fn end_of<S: Server>(
    privacy: Privacy,
    sent: impl AsRef<[u8]>,
) -> (String, Option<CloseReason>) {
    let heard = hear::<S>(privacy, sent);
    (behind::<S>(privacy, &heard), heard.closed)
}

/// What is said behind the greeting.
#[track_caller]
pub(super) fn behind<S: Server>(privacy: Privacy, heard: &Heard) -> String {
    heard
        .text()
        .strip_prefix(&lines(&[&S::greeting(privacy)]))
        .expect("the greeting comes first")
        .to_owned()
}

/// Plays `script` behind the greeting.
#[track_caller]
pub(crate) fn session<S: Server>(privacy: Privacy, script: &str) {
    let script = format!("S: {}\n{script}", S::greeting(privacy));
    play(|| S::machine(privacy), &S::welcome(), &script);
}

/// The script of something said and its reply.
pub(super) fn script((sent, reply): Said) -> String {
    let marked = |mark, lines: &str| -> String {
        lines.split("\r\n").map(|line| format!("{mark} {line}\n")).collect()
    };
    let reply = if reply.is_empty() { String::new() } else { marked("S:", reply) };
    marked("C:", sent) + &reply
}

/// `texts` as lines.
pub(super) fn lines(texts: &[&str]) -> String {
    texts.iter().map(|text| format!("{text}\r\n")).collect()
}
