//! A session that is signed in on both sides, and what both sides get.

use mailbearer::provider::Protocol;

use crate::support::client::Client;
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
    protocol: Protocol,
}

impl Passage {
    pub(crate) async fn of(protocol: Protocol) -> Self {
        Self { stage: Stage::set(Tls::None).await, protocol }
    }

    /// Has `turns` after a sign-in and sees that each side got what the other one sent, and no more.
    pub(crate) async fn passes(&mut self, case: &str, turns: &[Turn<'_>]) {
        let mut script = sign_in(self.protocol);
        for turn in turns {
            script = script.then(match turn {
                Turn::Up(bytes) => Act::Take(bytes.len()),
                Turn::Down(bytes) => Act::Say(bytes.to_vec()),
            });
        }
        self.stage.upstream(self.protocol).plays(script.then(Act::Close));
        let mut client = self.signed_in().await;
        for turn in turns {
            match turn {
                Turn::Up(bytes) => client.send_bytes(bytes).await,
                Turn::Down(bytes) => {
                    let heard = client.bytes(bytes.len()).await;
                    assert_eq!(heard.escape_ascii().to_string(), bytes.escape_ascii().to_string());
                }
            }
        }
        client.expect_end().await;
        let heard = self.stage.upstream(self.protocol).heard().await;
        assert_eq!(heard.broke, None, "{case}");
        let sent: Vec<u8> = turns.iter().flat_map(Turn::up).copied().collect();
        let heard = behind_sign_in(&heard);
        assert_eq!(heard.escape_ascii().to_string(), sent.escape_ascii().to_string(), "{case}");
    }

    /// Sends `bytes` in one piece with the sign-in, before that is answered, and sees that the
    /// provider got them.
    pub(crate) async fn passes_behind_the_sign_in(&mut self, case: &str, bytes: &[u8]) {
        let script = sign_in(self.protocol).then(Act::Take(bytes.len())).then(Act::Close);
        self.stage.upstream(self.protocol).plays(script);
        let mut client = self.stage.greeted(self.protocol).await;
        let sign_in = format!("{}\r\n", words(self.protocol).sign_in);
        client.send_bytes(&[sign_in.as_bytes(), bytes].concat()).await;
        client.expect_after(words(self.protocol).accepted).await;
        client.expect_end().await;
        let heard = self.stage.upstream(self.protocol).heard().await;
        assert_eq!(heard.broke, None, "{case}");
        let heard = behind_sign_in(&heard);
        assert_eq!(heard.escape_ascii().to_string(), bytes.escape_ascii().to_string(), "{case}");
    }

    async fn signed_in(&mut self) -> Client {
        let words = words(self.protocol);
        let mut client = self.stage.greeted(self.protocol).await;
        client.send(words.sign_in).await;
        client.expect_after(words.accepted).await;
        client
    }
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
