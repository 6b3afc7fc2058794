//! A session that is signed in on both sides, and what both sides get.

use mailbearer::provider::Protocol;

use crate::support::client::AnyClient;
use crate::support::stage::{Stage, Tls, sign_in, words};
use crate::support::upstream::{Act, Heard};

/// How the response to the challenge begins; the line holds the token and ends before the first
/// byte of the client.
const LAST_LINE_STARTS: &str = "dXNlcj1hbGljZUBleGFtcGxlLmNvbQ";

/// A turn of a conversation: what one side sends when it has got all before.
pub(crate) enum Turn<'a> {
    /// The client sends this.
    Up(&'a [u8]),
    /// The provider sends this.
    Down(&'a [u8]),
}

/// A relay before a provider with one protocol.
pub(crate) struct Passage {
    stage: Stage,
    tls: Tls,
    protocol: Protocol,
}

/// The ways in which a client comes to speak: in clear, after STARTTLS, under TLS from the start.
pub(crate) const WAYS: [Tls; 3] = [Tls::None, Tls::Required, Tls::Implicit];

impl Passage {
    /// One whose client speaks in clear.
    pub(crate) async fn of(protocol: Protocol) -> Self {
        Self::under(Tls::None, protocol).await
    }

    /// One whose client comes in this way.
    pub(crate) async fn under(tls: Tls, protocol: Protocol) -> Self {
        Self { stage: Stage::set(tls).await, tls, protocol }
    }

    /// Has `turns` after a sign-in and sees that each side got what the other one sent, and no more.
    pub(crate) async fn passes(&mut self, case: &str, turns: &[Turn<'_>]) {
        let words = words(self.protocol);
        let signs_in = format!("{}\r\n", words.sign_in);
        let mut client = self.greeted(turns).await;
        client.send_bytes(signs_in.as_bytes()).await;
        client.expect_after(words.accepted).await;
        self.take(case, client, turns, 0).await;
    }

    /// Sends `bytes` in one piece with the sign-in, before that is answered, and sees that the
    /// provider got them.
    pub(crate) async fn passes_behind_the_sign_in(&mut self, case: &str, bytes: &[u8]) {
        let words = words(self.protocol);
        self.passes_behind(case, words.sign_in, &[words.accepted], &[Turn::Up(bytes)]).await;
    }

    /// Has `turns`, the first of which leaves in one piece with `sign_in`, the last line of which
    /// is answered by the last of `replies`.
    pub(crate) async fn passes_behind(
        &mut self,
        case: &str,
        sign_in: &str,
        replies: &[&str],
        turns: &[Turn<'_>],
    ) {
        let mut client = self.greeted(turns).await;
        client.send_bytes(&[sign_in.as_bytes(), b"\r\n", turns[0].up()].concat()).await;
        for reply in replies {
            client.expect_after(reply).await;
        }
        self.take(case, client, turns, 1).await;
    }

    /// A client that was greeted, before a provider that knows its part.
    async fn greeted(&mut self, turns: &[Turn<'_>]) -> AnyClient {
        let mut script = sign_in(self.protocol);
        for turn in turns {
            script = script.then(match turn {
                Turn::Up(bytes) => Act::Take(bytes.len()),
                Turn::Down(bytes) => Act::Say(bytes.to_vec()),
            });
        }
        self.stage.upstream(self.protocol).plays(script.then(Act::Close));
        match self.tls {
            Tls::None => self.stage.greeted(self.protocol).await.of_any_kind(),
            Tls::Offered | Tls::Required => self.stage.started(self.protocol).await.of_any_kind(),
            Tls::Implicit => self.stage.implicit(self.protocol).await.of_any_kind(),
        }
    }

    /// Has those of `turns` that are left when `had` of them were.
    async fn take(&mut self, case: &str, mut client: AnyClient, turns: &[Turn<'_>], had: usize) {
        for turn in &turns[had..] {
            match turn {
                Turn::Up(bytes) => client.send_bytes(bytes).await,
                Turn::Down(bytes) => are_equal(case, &client.bytes(bytes.len()).await, bytes),
            }
        }
        // Under TLS this is a close in order too, which nobody on the path can make.
        are_equal(case, &client.rest().await, b"");
        let heard = self.stage.upstream(self.protocol).heard().await;
        assert_eq!(heard.broke, None, "{case} {:?}", self.tls);
        let sent: Vec<u8> = turns.iter().flat_map(Turn::up).copied().collect();
        are_equal(case, behind_sign_in(&heard), &sent);
    }
}

fn are_equal(case: &str, heard: &[u8], sent: &[u8]) {
    assert!(heard == sent, "{case}: {} is not {}", heard.escape_ascii(), sent.escape_ascii());
}

impl Turn<'_> {
    fn up(&self) -> &[u8] {
        match self {
            Self::Up(bytes) => bytes,
            Self::Down(_) => &[],
        }
    }
}

/// What the provider heard behind our own sign-in.
fn behind_sign_in(heard: &Heard) -> &[u8] {
    let start = LAST_LINE_STARTS.as_bytes();
    let at = heard.private.windows(start.len()).position(|window| window == start).unwrap();
    let end = heard.private[at..].iter().position(|byte| *byte == b'\n').unwrap();
    &heard.private[at + end + 1..]
}
