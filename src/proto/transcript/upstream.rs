//! A provider as a script, or a test, has it: it answers, the machine goes on.

use std::fmt::Debug;

use super::script::{Item, Split, items, join, segments, splits};
use crate::names::Username;
use crate::proto::sasl::Credentials;
use crate::proto::{
    AwaitTls as _, AwaitToken as _, Input, Lasting, Output, Upstream, UpstreamFault,
    UpstreamRefusal, UpstreamStep,
};
use crate::provider::{MailHost, Mechanism, UpstreamTls};
use crate::secret::AccessToken;

/// The mailbox of every script, and its token.
const MAILBOX: &str = "alice@example.com";
const TOKEN: &str = "secret-token";

/// Plays `script` against the machines that `machine` makes and gives the end that all replays
/// share. The mailbox is `alice@example.com`, the token `secret-token`, the host `mail.example.com`
/// with port 587.
#[track_caller]
pub(crate) fn play_upstream<M: Upstream>(
    machine: impl Fn() -> M,
    mechanism: Mechanism,
    script: &str,
) -> Ended<M::Welcome>
where
    M::Welcome: Debug,
{
    replay_all(|| UpstreamPlayer::new(machine(), mechanism, TOKEN), script)
}

/// The same where the sign-in is begun before there is a token.
#[track_caller]
pub(crate) fn play_upstream_ahead<M: Upstream>(
    machine: impl Fn() -> M,
    mechanism: Mechanism,
    script: &str,
) -> Ended<M::Welcome>
where
    M::Welcome: Debug,
{
    let player = || UpstreamPlayer {
        begins_ahead: true,
        ..UpstreamPlayer::new(machine(), mechanism, TOKEN)
    };
    replay_all(player, script)
}

#[track_caller]
fn replay_all<M: Upstream>(
    player: impl Fn() -> UpstreamPlayer<M>,
    script: &str,
) -> Ended<M::Welcome>
where
    M::Welcome: Debug,
{
    let items = items(script);
    let segments = segments(&items, 'S');
    let expected = String::from_utf8(join(&items, "C:")).unwrap();
    let ended = converse(player(), &items);
    let replay = |split: &Split<'_>| {
        let mut player = player();
        let mut before = 0;
        for segment in &segments {
            split(before, segment).iter().for_each(|piece| player.feed(piece));
            player.start_tls();
            before += segment.len();
        }
        (String::from_utf8(player.said.clone()).unwrap(), format!("{:?}", player.end()))
    };
    for (how, split) in splits(&segments) {
        assert_eq!(replay(&*split), (expected.clone(), format!("{ended:?}")), "{how}");
    }
    ended
}

#[track_caller]
fn converse<M: Upstream>(mut player: UpstreamPlayer<M>, items: &[Item]) -> Ended<M::Welcome> {
    for (mark, bytes) in items {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let said = String::from_utf8_lossy(&player.said).into_owned();
        match *mark {
            "S:" | "S|" => player.feed(bytes),
            "C:" => {
                assert!(player.said.starts_with(bytes), "expected {text:?}, heard {said:?}");
                player.said.drain(..bytes.len());
            }
            "TLS" => {
                assert!(player.awaits_tls(), "no handshake is due");
                player.start_tls();
            }
            "TOKEN" => assert!(std::mem::take(&mut player.token_taken), "no token is due"),
            other => panic!("{other} is no mark of an upstream script"),
        }
    }
    assert_eq!(String::from_utf8_lossy(&player.said), "", "said at the end");
    player.end()
}

/// How an upstream machine ended.
#[derive(Debug)]
pub(crate) enum Ended<W> {
    /// Signed in: the welcome, and what the provider sent behind it.
    Authenticated(W, Vec<u8>),
    /// Refused.
    Refused(UpstreamRefusal),
    /// Given up.
    Fault(UpstreamFault),
    /// It still waits.
    Waiting,
}

impl<W: Debug> Ended<W> {
    /// The welcome, and the bytes behind it in ASCII, of a sign-in that was accepted.
    #[track_caller]
    pub(crate) fn welcome(self) -> (W, String) {
        let Self::Authenticated(welcome, left) = self else {
            panic!("not authenticated: {self:?}");
        };
        (welcome, left.escape_ascii().to_string())
    }

    /// Reply, lasting and challenge's status of a sign-in that was refused.
    #[track_caller]
    pub(crate) fn refusal(self) -> (String, Lasting, Option<String>) {
        let Self::Refused(UpstreamRefusal { reply, lasting, challenge_status, .. }) = self else {
            panic!("not refused: {self:?}");
        };
        (reply, lasting, challenge_status)
    }

    /// Why the provider was given up.
    #[track_caller]
    pub(crate) fn fault(self) -> UpstreamFault {
        let Self::Fault(fault) = self else { panic!("no fault: {self:?}") };
        fault
    }

    /// In which way the provider did not keep to the protocol.
    #[track_caller]
    pub(crate) fn problem(self) -> &'static str {
        let fault = self.fault();
        let UpstreamFault::Protocol { problem } = fault else {
            panic!("another fault: {fault:?}");
        };
        problem
    }
}

/// A provider, and the machine that it speaks to.
pub(crate) struct UpstreamPlayer<M: Upstream> {
    step: Option<UpstreamStep<M>>,
    mechanism: Mechanism,
    token: AccessToken,
    input: Input,
    /// What the machine said.
    pub(crate) said: Vec<u8>,
    token_taken: bool,
    /// Whether the sign-in is to be begun before the token is given.
    begins_ahead: bool,
}

impl<M: Upstream> UpstreamPlayer<M> {
    /// A provider whose connection was just made. The machine is given `token` once it wants it.
    pub(crate) fn new(machine: M, mechanism: Mechanism, token: &str) -> Self {
        let (input, said) = (Input::default(), Vec::new());
        let step = Some(UpstreamStep::Read(machine));
        let token = AccessToken::parse(token).unwrap();
        Self { step, mechanism, token, input, said, token_taken: false, begins_ahead: false }
    }

    /// The provider sends a piece.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.input.extend(bytes);
        self.turn();
    }

    /// Whether a handshake is due.
    pub(crate) fn awaits_tls(&self) -> bool {
        matches!(self.step, Some(UpstreamStep::StartTls(_)))
    }

    /// How many bytes are held back while more are awaited; `None` once it has ended.
    pub(crate) fn held(&self) -> Option<usize> {
        matches!(self.step, Some(UpstreamStep::Read(_))).then_some(self.input.len())
    }

    /// A handshake takes place, if one is due.
    pub(crate) fn start_tls(&mut self) {
        match self.step.take() {
            Some(UpstreamStep::StartTls(awaiting)) => {
                let mut output = Output::default();
                let step = match awaiting.started(&self.input, &mut output) {
                    Ok(machine) => UpstreamStep::Read(machine),
                    Err(fault) => UpstreamStep::Close(fault),
                };
                self.step = Some(step);
                self.said.extend_from_slice(&output.take());
                self.turn();
            }
            step => self.step = step,
        }
    }

    /// What came of it all.
    pub(crate) fn end(self) -> Ended<M::Welcome> {
        match self.step.expect("a step is always put back") {
            UpstreamStep::Authenticated(welcome) => {
                Ended::Authenticated(welcome, self.input.into_leftover().to_vec())
            }
            UpstreamStep::Refused(refusal) => Ended::Refused(refusal),
            UpstreamStep::Close(fault) => Ended::Fault(fault),
            UpstreamStep::Read(_) | UpstreamStep::StartTls(_) | UpstreamStep::Ready(_) => {
                Ended::Waiting
            }
        }
    }

    fn turn(&mut self) {
        loop {
            let mut output = Output::default();
            let (step, again) = match self.step.take().expect("a step is always put back") {
                UpstreamStep::Read(machine) => {
                    let step = machine.receive(&mut self.input, &mut output);
                    let again = matches!(step, UpstreamStep::Ready(_));
                    (step, again)
                }
                UpstreamStep::Ready(awaiting) if self.begins_ahead => {
                    self.begins_ahead = false;
                    (awaiting.begin(&mut output), true)
                }
                UpstreamStep::Ready(awaiting) => {
                    self.token_taken = true;
                    let credentials = Credentials {
                        mailbox: &Username::parse(MAILBOX).unwrap(),
                        token: &self.token,
                        mechanism: self.mechanism,
                        host: &MailHost {
                            host: "mail.example.com".to_owned(),
                            port: 587,
                            tls: UpstreamTls::StartTls,
                        },
                    };
                    (UpstreamStep::Read(awaiting.authenticate(&credentials, &mut output)), true)
                }
                step @ (UpstreamStep::StartTls(_)
                | UpstreamStep::Authenticated(_)
                | UpstreamStep::Refused(_)
                | UpstreamStep::Close(_)) => (step, false),
            };
            self.step = Some(step);
            self.said.extend_from_slice(&output.take());
            if !again {
                return;
            }
        }
    }
}

impl<M: Upstream + Debug> UpstreamPlayer<M> {
    /// The machine as it is printed while it awaits a line.
    pub(crate) fn printed(&self) -> String {
        let Some(UpstreamStep::Read(machine)) = &self.step else { panic!("it awaits no line") };
        format!("{machine:?}")
    }
}
