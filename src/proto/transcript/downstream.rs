//! A client as a script, or a test, has it: it sends, the machine answers.

use std::collections::VecDeque;

use super::script::{Item, Split, items, join, segments, splits, texts, trimmed};
use crate::names::Username;
use crate::proto::{
    AwaitClientTls as _, AwaitVerdict, Claim, CloseReason, Downstream, Input, LocalCredentials,
    Output, Step, sasl,
};
use crate::refusal::{Refusal, Unavailable};
use crate::secret::ExposeSecret as _;

/// Most bytes that a machine leaves of what does not amount to a line: the longest there is, and its
/// CR.
const HELD_LEN_MAX: usize = sasl::LINE_LEN_MAX + 1;

/// What the upstream says to an accepted sign-in.
type WelcomeOf<M> = <<M as Downstream>::Awaiting as AwaitVerdict>::Welcome;

/// Plays `script` against the machines that `machine` makes; `welcome` is what an acceptance brings.
#[track_caller]
pub(crate) fn play<M: Downstream>(machine: impl Fn() -> M, welcome: &WelcomeOf<M>, script: &str) {
    let items = items(script);
    let said = String::from_utf8_lossy(&join(&items, "S:")).into_owned();
    let expected = (said, texts(&items, "?:"), join(&items, "L|"), texts(&items, "X:").pop());
    converse(&machine, welcome, &items);
    let segments = segments(&items, 'C');
    let replay = |split: &Split<'_>| {
        let mut player = Player::new(machine(), texts(&items, "!:"), welcome);
        let mut before = 0;
        for (nth, segment) in segments.iter().enumerate() {
            if nth > 0 {
                player.start_tls();
            }
            split(before, segment).iter().for_each(|piece| player.feed(piece));
            before += segment.len();
        }
        let heard = player.end();
        let said = heard.text();
        let Heard { claims, leftover, closed, .. } = heard;
        (said, claims.iter().map(shown).collect(), leftover, closed.map(|r| format!("{r:?}")))
    };
    for (how, split) in splits(&segments) {
        assert_eq!(replay(&*split), expected, "{how}");
    }
}

/// Plays the script as a conversation: whatever is due is said before the next line is sent.
#[track_caller]
fn converse<M: Downstream>(machine: impl Fn() -> M, welcome: &WelcomeOf<M>, items: &[Item]) {
    let mut player = Player::new(machine(), [], welcome);
    let mut previous = "S:";
    for (mark, bytes) in items {
        let text = String::from_utf8_lossy(bytes).into_owned();
        match *mark {
            "C:" | "C|" => {
                let due = player.heard.text();
                assert!(
                    due.is_empty() || previous.starts_with('C'),
                    "unexpected {due:?} before {text:?}"
                );
                player.feed(bytes);
            }
            "S:" => {
                let said = player.heard.text();
                assert!(player.heard.said.starts_with(bytes), "expected {text:?}, heard {said:?}");
                player.heard.said.drain(..bytes.len());
            }
            "?:" => assert_eq!(player.heard.claims.pop().as_ref().map(shown), Some(trimmed(bytes))),
            "!:" => {
                player.verdicts.push_back(trimmed(bytes));
                player.turn();
            }
            "X:" => {
                let closed = player.heard.closed.map(|reason| format!("{reason:?}"));
                assert_eq!(closed, Some(trimmed(bytes)));
            }
            "L|" => {}
            "TLS" => {
                assert!(player.awaits_tls(), "no handshake is due");
                player.start_tls();
            }
            other => panic!("{other} is no mark of a downstream script"),
        }
        previous = mark;
    }
    assert_eq!(player.heard.text(), "", "said at the end");
}

/// What came of a client's bytes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Heard {
    /// What was said to it.
    pub(crate) said: Vec<u8>,
    /// Whom it claimed to be, and with which password.
    pub(crate) claims: Vec<(String, Vec<u8>)>,
    /// What is streamed of it, where a claim was accepted.
    pub(crate) leftover: Vec<u8>,
    /// Why it was closed on.
    pub(crate) closed: Option<CloseReason>,
}

impl Heard {
    /// What was said to it; what is no UTF-8, as readers show it.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.said).into_owned()
    }
}

/// A client, and the machine that it speaks to.
pub(crate) struct Player<'a, M: Downstream> {
    state: State<M>,
    input: Input,
    /// Those that are still to come, the next one first.
    verdicts: VecDeque<String>,
    welcome: &'a WelcomeOf<M>,
    heard: Heard,
}

enum State<M: Downstream> {
    Running(M),
    AwaitsTls(M::AwaitTls),
    Awaiting(M::Awaiting),
    Accepted,
    Closed,
}

impl<'a, M: Downstream> Player<'a, M> {
    /// A client that was greeted. Its claims meet `verdicts`, then none.
    pub(crate) fn new(
        machine: M,
        verdicts: impl IntoIterator<Item = String>,
        welcome: &'a WelcomeOf<M>,
    ) -> Self {
        let mut output = Output::default();
        machine.greet(&mut output);
        let heard = Heard { said: output.take().to_vec(), ..Heard::default() };
        let (state, verdicts) = (State::Running(machine), verdicts.into_iter().collect());
        Self { state, input: Input::default(), verdicts, welcome, heard }
    }

    /// The client sends a piece.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.input.extend(bytes);
        self.turn();
    }

    /// Whether a handshake is due.
    pub(crate) fn awaits_tls(&self) -> bool {
        matches!(self.state, State::AwaitsTls(_))
    }

    /// A handshake takes place, if one is due.
    pub(crate) fn start_tls(&mut self) {
        self.state = match std::mem::replace(&mut self.state, State::Closed) {
            State::AwaitsTls(awaiting) => match awaiting.started(&self.input) {
                Ok(machine) => State::Running(machine),
                Err(reason) => self.close(reason),
            },
            other @ (State::Running(_) | State::Awaiting(_) | State::Accepted | State::Closed) => {
                other
            }
        };
        self.turn();
    }

    /// What came of it all.
    pub(crate) fn end(mut self) -> Heard {
        if matches!(self.state, State::Accepted) {
            self.heard.leftover = self.input.into_leftover().to_vec();
        }
        self.heard
    }

    fn turn(&mut self) {
        loop {
            let mut output = Output::default();
            let before = self.input.len();
            let (state, again) = match std::mem::replace(&mut self.state, State::Closed) {
                State::Running(machine) => {
                    let step = machine.receive(&mut self.input, &mut output);
                    let again = matches!(step, Step::Verify(..)) || output.is_full();
                    assert!(!output.is_full() || self.input.len() < before, "it stands still");
                    if let (Step::Read(_), false) = (&step, again) {
                        let len = self.input.len();
                        assert!(len <= HELD_LEN_MAX, "{len} bytes are held back");
                    }
                    (self.follow(step), again)
                }
                State::Awaiting(awaiting) => match self.verdicts.pop_front() {
                    None => (State::Awaiting(awaiting), false),
                    Some(verdict) => (self.judge(awaiting, &verdict, &mut output), true),
                },
                ended @ (State::AwaitsTls(_) | State::Accepted | State::Closed) => (ended, false),
            };
            self.state = state;
            self.heard.said.extend_from_slice(&output.take());
            if !again {
                return;
            }
        }
    }

    fn follow(&mut self, step: Step<M>) -> State<M> {
        match step {
            Step::Read(machine) => State::Running(machine),
            Step::Verify(claim, awaiting) => {
                self.heard.claims.push(match claim {
                    Claim::Password(LocalCredentials { username, password }) => {
                        (username.as_str().to_owned(), password.expose_secret().to_vec())
                    }
                    Claim::Device => ("a".to_owned(), b"device".to_vec()),
                });
                State::Awaiting(awaiting)
            }
            Step::StartTls(awaiting) => State::AwaitsTls(awaiting),
            Step::Close(reason) => self.close(reason),
        }
    }

    fn judge(&mut self, awaiting: M::Awaiting, verdict: &str, output: &mut Output) -> State<M> {
        if verdict == "accept" {
            awaiting.accept(self.welcome, output);
            return State::Accepted;
        }
        let kind = verdict.strip_prefix("refuse ").expect("accept or refuse");
        match awaiting.refuse(&refusal(kind), output) {
            Step::Read(machine) => State::Running(machine),
            Step::Close(reason) => self.close(reason),
            Step::Verify(..) | Step::StartTls(_) => panic!("a refusal asks for nothing"),
        }
    }

    fn close(&mut self, reason: CloseReason) -> State<M> {
        self.heard.closed = Some(reason);
        State::Closed
    }
}

/// A claim as scripts have it.
fn shown((username, password): &(String, Vec<u8>)) -> String {
    format!("{username} {}", String::from_utf8_lossy(password))
}

/// The refusal that a script names.
fn refusal(kind: &str) -> Refusal {
    let all = [
        Refusal::WrongPassword,
        Refusal::MailboxBusy,
        Refusal::NoDevice,
        Refusal::ConsentNeeded { account: Username::parse("alice@example.com").unwrap() },
        Refusal::GrantRefused { account: Username::parse("alice@example.com").unwrap() },
        Refusal::Unavailable(Unavailable::TokenEndpoint),
        Refusal::Unavailable(Unavailable::Upstream),
        Refusal::Unavailable(Unavailable::Overloaded),
        Refusal::Unavailable(Unavailable::LocalPassword),
        Refusal::UpstreamRefused {
            reply: "535 5.7.3 Authentication unsuccessful".to_owned(),
            cause: "the token is not for this mailbox".to_owned(),
        },
    ];
    all.into_iter().find(|refusal| refusal.kind() == kind).expect("a kind of refusal")
}
