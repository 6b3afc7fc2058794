//! Transcripts as tests: a script is played line by line, then replayed whole, at every two-piece
//! split and byte by byte; each time the machine must say and want the same.
//!
//! Downstream script, one item a line (`\r \n \0 \\ \xNN` are escapes):
//! `S: line` we say · `C: line` the client sends, with CRLF · `C| bytes` without ·
//! `?: user password` it claims · `!: accept` or `!: refuse KIND` the verdict ·
//! `X: Reason` we close · `L| bytes` what is left to stream · `TLS` a handshake takes place.
//!
//! Upstream script: `S: line` and `S| bytes` the provider sends · `C: line` we say ·
//! `TLS` a handshake takes place · `TOKEN` the token is there.

use std::collections::VecDeque;
use std::fmt::Debug;

use super::sasl::Credentials;
use super::{
    AwaitClientTls as _, AwaitTls as _, AwaitToken as _, AwaitVerdict, CloseReason, Downstream,
    Input, Output, Step, Upstream, UpstreamFault, UpstreamRefusal, UpstreamStep,
};
use crate::names::Username;
use crate::provider::{MailHost, Mechanism, UpstreamTls};
use crate::refusal::{Refusal, Unavailable};
use crate::secret::{AccessToken, ExposeSecret as _};

/// The refusal that a script names.
fn refusal(kind: &str) -> Refusal {
    let all = [
        Refusal::WrongPassword,
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

/// Plays `script` against the machines that `machine` makes; `welcome` is what an acceptance brings.
pub(crate) fn play<M: Downstream>(
    machine: impl Fn() -> M,
    welcome: &<M::Awaiting as AwaitVerdict>::Welcome,
    script: &str,
) {
    let items = items(script);
    let expected = Heard {
        said: join(&items, "S:"),
        claims: items.iter().filter(|item| item.0 == "?:").map(|item| trimmed(&item.1)).collect(),
        leftover: join(&items, "L|"),
        closed: items.iter().find(|item| item.0 == "X:").map(|item| trimmed(&item.1)),
    };
    converse(&machine, welcome, &items);
    let segments = segments(&items, 'C');
    let replay = |split: &Split<'_>| {
        let mut player = Player::new(machine(), verdicts(&items), welcome);
        let mut before = 0;
        for (nth, segment) in segments.iter().enumerate() {
            if nth > 0 {
                player.start_tls();
            }
            split(before, segment).iter().for_each(|piece| player.feed(piece));
            before += segment.len();
        }
        player.heard()
    };
    for (how, split) in splits(&segments) {
        assert_eq!(replay(&*split), expected, "{how}");
    }
}

/// Plays the script as a conversation: whatever is due is said before the next line is sent.
fn converse<M: Downstream>(
    machine: impl Fn() -> M,
    welcome: &<M::Awaiting as AwaitVerdict>::Welcome,
    items: &[Item],
) {
    let mut player = Player::new(machine(), VecDeque::new(), welcome);
    let mut previous = "S:";
    for (mark, bytes) in items {
        let shown = String::from_utf8_lossy(bytes).into_owned();
        match *mark {
            "C:" | "C|" => {
                let due = String::from_utf8_lossy(&player.said).into_owned();
                assert!(
                    due.is_empty() || previous.starts_with('C'),
                    "unexpected {due:?} before {shown:?}"
                );
                player.feed(bytes);
            }
            "S:" => {
                let said = String::from_utf8_lossy(&player.said).into_owned();
                assert!(player.said.starts_with(bytes), "expected {shown:?}, heard {said:?}");
                player.said.drain(..bytes.len());
            }
            "?:" => assert_eq!(player.claims.pop(), Some(trimmed(bytes))),
            "!:" => {
                player.verdicts.push_back(trimmed(bytes));
                player.turn();
            }
            "X:" => assert_eq!(player.heard().closed, Some(trimmed(bytes))),
            "L|" => {}
            "TLS" => {
                assert!(matches!(player.state, State::AwaitsTls(_)), "no handshake is due");
                player.start_tls();
            }
            other => panic!("{other} is no mark of a downstream script"),
        }
        previous = mark;
    }
    assert_eq!(String::from_utf8_lossy(&player.said), "", "said at the end");
}

type Item = (&'static str, Vec<u8>);

#[derive(Debug, PartialEq, Eq)]
struct Heard {
    said: Vec<u8>,
    claims: Vec<String>,
    leftover: Vec<u8>,
    closed: Option<String>,
}

struct Player<'a, M: Downstream> {
    state: State<M>,
    input: Input,
    said: Vec<u8>,
    claims: Vec<String>,
    verdicts: VecDeque<String>,
    welcome: &'a <M::Awaiting as AwaitVerdict>::Welcome,
}

enum State<M: Downstream> {
    Running(M),
    AwaitsTls(M::AwaitTls),
    Awaiting(M::Awaiting),
    Accepted,
    Closed(CloseReason),
}

impl<'a, M: Downstream> Player<'a, M> {
    fn new(
        machine: M,
        verdicts: VecDeque<String>,
        welcome: &'a <M::Awaiting as AwaitVerdict>::Welcome,
    ) -> Self {
        let mut output = Output::default();
        machine.greet(&mut output);
        let (input, claims) = (Input::default(), Vec::new());
        let said = output.take().to_vec();
        Self { state: State::Running(machine), input, said, claims, verdicts, welcome }
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.input.extend(bytes);
        self.turn();
    }

    /// A handshake takes place, if one is due.
    fn start_tls(&mut self) {
        let state = std::mem::replace(&mut self.state, State::Accepted);
        self.state = match state {
            State::AwaitsTls(awaiting) => match awaiting.started(&self.input) {
                Ok(machine) => State::Running(machine),
                Err(reason) => State::Closed(reason),
            },
            other @ (State::Running(_)
            | State::Awaiting(_)
            | State::Accepted
            | State::Closed(_)) => other,
        };
        self.turn();
    }

    fn turn(&mut self) {
        loop {
            let mut output = Output::default();
            let state = std::mem::replace(&mut self.state, State::Accepted);
            let (state, again) = match state {
                State::Running(machine) => match machine.receive(&mut self.input, &mut output) {
                    Step::Read(machine) => (State::Running(machine), false),
                    Step::Verify(claim, awaiting) => {
                        let password =
                            String::from_utf8_lossy(claim.password.expose_secret()).into_owned();
                        self.claims.push(format!("{} {password}", claim.username));
                        (State::Awaiting(awaiting), true)
                    }
                    Step::StartTls(awaiting) => (State::AwaitsTls(awaiting), false),
                    Step::Close(reason) => (State::Closed(reason), false),
                },
                State::Awaiting(awaiting) => match self.verdicts.pop_front().as_deref() {
                    None => (State::Awaiting(awaiting), false),
                    Some("accept") => {
                        awaiting.accept(self.welcome, &mut output);
                        (State::Accepted, false)
                    }
                    Some(verdict) => {
                        let kind = verdict.strip_prefix("refuse ").expect("accept or refuse");
                        match awaiting.refuse(&refusal(kind), &mut output) {
                            Step::Read(machine) => (State::Running(machine), true),
                            Step::Close(reason) => (State::Closed(reason), false),
                            Step::Verify(..) | Step::StartTls(_) => {
                                panic!("a refusal asks for nothing")
                            }
                        }
                    }
                },
                ended @ (State::AwaitsTls(_) | State::Accepted | State::Closed(_)) => {
                    (ended, false)
                }
            };
            self.state = state;
            self.said.extend_from_slice(&output.take());
            if !again {
                return;
            }
        }
    }

    fn heard(&mut self) -> Heard {
        let closed = match &self.state {
            State::Closed(reason) => Some(format!("{reason:?}")),
            State::Running(_) | State::AwaitsTls(_) | State::Awaiting(_) | State::Accepted => None,
        };
        let leftover = match self.state {
            State::Accepted => std::mem::take(&mut self.input).into_leftover().to_vec(),
            State::Running(_) | State::AwaitsTls(_) | State::Awaiting(_) | State::Closed(_) => {
                Vec::new()
            }
        };
        Heard { said: self.said.clone(), claims: self.claims.clone(), leftover, closed }
    }
}

fn verdicts(items: &[Item]) -> VecDeque<String> {
    items.iter().filter(|item| item.0 == "!:").map(|item| trimmed(&item.1)).collect()
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

/// How a segment that begins at an offset is cut into pieces.
type Split<'a> = dyn Fn(usize, &[u8]) -> Vec<Vec<u8>> + 'a;

/// What the side whose marks begin with `mark` sends, cut at each handshake.
fn segments(items: &[Item], mark: char) -> Vec<Vec<u8>> {
    let mut segments: Vec<Vec<u8>> = vec![Vec::new()];
    for (item, bytes) in items {
        if *item == "TLS" {
            segments.push(Vec::new());
        } else if item.starts_with(mark) {
            segments.last_mut().unwrap().extend_from_slice(bytes);
        }
    }
    segments
}

/// Every way to cut `segments`: whole, byte by byte, and in two at each byte.
fn splits(segments: &[Vec<u8>]) -> Vec<(String, Box<Split<'static>>)> {
    let len = segments.iter().map(Vec::len).sum();
    let mut splits: Vec<(String, Box<Split<'static>>)> = vec![
        ("whole".to_owned(), Box::new(|_, segment: &[u8]| vec![segment.to_vec()])),
        (
            "byte by byte".to_owned(),
            Box::new(|_, segment: &[u8]| segment.iter().map(|&byte| vec![byte]).collect()),
        ),
    ];
    for at in 1..len {
        let split = move |before: usize, segment: &[u8]| {
            let (left, right) = segment.split_at(at.saturating_sub(before).min(segment.len()));
            vec![left.to_vec(), right.to_vec()]
        };
        splits.push((format!("split at byte {at}"), Box::new(split)));
    }
    splits
}

/// Plays `script` against the machines that `machine` makes and gives the end that all replays
/// share. The mailbox is `alice@example.com`, the token `secret-token`.
pub(crate) fn play_upstream<M: Upstream>(
    machine: impl Fn() -> M,
    mechanism: Mechanism,
    script: &str,
) -> Ended<M::Welcome>
where
    M::Welcome: Debug,
{
    let items = items(script);
    let segments = segments(&items, 'S');
    let expected = String::from_utf8(join(&items, "C:")).unwrap();
    let replay = |split: &Split<'_>| {
        let mut player = UpstreamPlayer::new(machine(), mechanism);
        let mut before = 0;
        for segment in &segments {
            split(before, segment).iter().for_each(|piece| player.feed(piece));
            player.start_tls();
            before += segment.len();
        }
        (player.said.clone(), player.end())
    };
    let check =
        |(said, end): (Vec<u8>, Ended<M::Welcome>), ended: &Ended<M::Welcome>, how: &str| {
            assert_eq!(String::from_utf8(said).unwrap(), expected, "{how}");
            assert_eq!(format!("{end:?}"), format!("{ended:?}"), "{how}");
        };
    let ended = converse_upstream(UpstreamPlayer::new(machine(), mechanism), &items);
    for (how, split) in splits(&segments) {
        check(replay(&*split), &ended, &how);
    }
    ended
}

fn converse_upstream<M: Upstream>(
    mut player: UpstreamPlayer<M>,
    items: &[Item],
) -> Ended<M::Welcome> {
    for (mark, bytes) in items {
        let shown = String::from_utf8_lossy(bytes).into_owned();
        let said = String::from_utf8_lossy(&player.said).into_owned();
        match *mark {
            "S:" | "S|" => player.feed(bytes),
            "C:" => {
                assert!(player.said.starts_with(bytes), "expected {shown:?}, heard {said:?}");
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

struct UpstreamPlayer<M: Upstream> {
    step: Option<UpstreamStep<M>>,
    mechanism: Mechanism,
    input: Input,
    said: Vec<u8>,
    token_taken: bool,
}

impl<M: Upstream> UpstreamPlayer<M> {
    fn new(machine: M, mechanism: Mechanism) -> Self {
        let step = Some(UpstreamStep::Read(machine));
        Self { step, mechanism, input: Input::default(), said: Vec::new(), token_taken: false }
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.input.extend(bytes);
        self.turn();
    }

    fn awaits_tls(&self) -> bool {
        matches!(self.step, Some(UpstreamStep::StartTls(_)))
    }

    fn start_tls(&mut self) {
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

    fn turn(&mut self) {
        loop {
            let mut output = Output::default();
            let (step, again) = match self.step.take().expect("a step is always put back") {
                UpstreamStep::Read(machine) => {
                    let step = machine.receive(&mut self.input, &mut output);
                    let again = matches!(step, UpstreamStep::Ready(_));
                    (step, again)
                }
                UpstreamStep::Ready(awaiting) => {
                    self.token_taken = true;
                    let mailbox = Username::parse("alice@example.com").unwrap();
                    let token = AccessToken::parse("secret-token").unwrap();
                    let host = MailHost {
                        host: "mail.example.com".to_owned(),
                        port: 587,
                        tls: UpstreamTls::StartTls,
                    };
                    let credentials = Credentials {
                        mailbox: &mailbox,
                        token: &token,
                        mechanism: self.mechanism,
                        host: &host,
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

    fn end(self) -> Ended<M::Welcome> {
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
}

fn items(script: &str) -> Vec<Item> {
    const MARKS: [&str; 10] = ["S:", "C:", "?:", "!:", "X:", "S|", "C|", "L|", "TLS", "TOKEN"];
    let lines = script.lines().map(str::trim_start).filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let mark = MARKS.into_iter().find(|mark| line.starts_with(mark)).expect(line);
            let rest = line.strip_prefix(mark).unwrap();
            let mut bytes = unescape(rest.strip_prefix(' ').unwrap_or(rest));
            if mark.ends_with(':') {
                bytes.extend_from_slice(b"\r\n");
            }
            (mark, bytes)
        })
        .collect()
}

fn join(items: &[Item], mark: &str) -> Vec<u8> {
    items.iter().filter(|item| item.0 == mark).flat_map(|item| item.1.clone()).collect()
}

fn trimmed(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches("\r\n").to_owned()
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next().expect("an escape is two characters or more") {
                b'r' => b'\r',
                b'n' => b'\n',
                b'0' => 0,
                b'x' => {
                    let digits = [rest.next().unwrap(), rest.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                }
                other => other,
            },
            byte => byte,
        });
    }
    bytes
}
