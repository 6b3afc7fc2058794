//! What holds for the machine towards providers, whatever one answers and in whatever pieces.
//!
//! - It says the same and ends in the same way at every split.
//! - It asks for a token under TLS alone, writes it once, and not before the provider asked for it;
//!   inline with the command only where a protocol has that and the provider offers it.
//! - Bytes that came in clear behind STARTTLS end the session.
//! - It never keeps more than a line, and a welcome of 64 KiB; it consumes nothing behind the reply
//!   that signs in.
//! - What it says is whole lines of printable ASCII; what it keeps of a refusal is printable, and
//!   the token is in nothing that it tells.

use std::fmt::Debug;

use mailbearer::names::Username;
use mailbearer::proto::sasl::Credentials;
use mailbearer::proto::{
    AwaitTls as _, AwaitToken as _, Input, Output, Upstream, UpstreamFault, UpstreamStep,
};
use mailbearer::provider::{MailHost, Mechanism, UpstreamTls};
use mailbearer::secret::{AccessToken, ExposeSecret as _};

use super::plan::Plan;
use super::splits::Split;
use super::trace::{End, Trace};

/// Longest reply that is kept of a refusal, and longest status, in bytes.
const REPLY_LEN_MAX: usize = 400;
const STATUS_LEN_MAX: usize = 64;

/// Most that is said besides the token, in bytes: five commands and an acknowledgement.
const SAID_LEN_MAX: usize = 512;

/// A protocol, as a provider sees it.
pub trait Client {
    /// Its machine.
    type Machine: Upstream<Welcome: Debug>;

    /// Most bytes that are held of a line which is not whole.
    const HELD_LEN_MAX: usize;

    /// Most bytes of a welcome.
    const WELCOME_LEN_MAX: usize;

    /// What a provider shows that takes the token in the line of the command, if any does.
    const INLINE: Option<&'static [u8]>;

    /// A machine for a connection that was just made.
    fn machine(tls: UpstreamTls, mechanism: Mechanism) -> Self::Machine;

    /// How many bytes a welcome holds.
    fn welcome_len(welcome: &<Self::Machine as Upstream>::Welcome) -> usize;

    /// Whether a line, without its end, asks for the token that a command announced.
    fn asks_for_token(line: &[u8]) -> bool;
}

/// Plays a session whose flights come in the pieces that `split` makes of them.
pub fn play<P: Client>(plan: &Plan, split: Split<'_>) -> Trace {
    let mut session = Session::<P>::new(plan);
    for (nth, flight) in plan.flights.iter().enumerate() {
        if nth > 0 {
            session.start_tls();
        }
        split(flight).into_iter().for_each(|piece| session.feed(piece));
    }
    session.ended()
}

struct Session<P: Client> {
    state: State<P::Machine>,
    is_under_tls: bool,
    mailbox: Username,
    token: AccessToken,
    host: MailHost,
    mechanism: Mechanism,
    /// The token as it is sent: must not be said too early, or told at all.
    response: String,
    /// Whether it was said.
    is_shown: bool,
    input: Input,
    /// All that was fed.
    fed: Vec<u8>,
    /// Where in it TLS began.
    secret: usize,
    /// Where in it the token was handed over.
    handed_over: Option<usize>,
    trace: Trace,
}

enum State<M: Upstream> {
    Running(M),
    AwaitsTls(M::AwaitTls),
    Authenticated,
    Ended(String),
}

impl<P: Client> Session<P> {
    fn new(plan: &Plan) -> Self {
        let (tls, mechanism) = (plan.upstream_tls(), plan.mechanism());
        // Letters that stay as they are in `Debug`, and in an order that no provider sends.
        let letters = ('a'..='z').rev().chain(('A'..='Z').rev());
        let token: String = letters.cycle().take(plan.token_len()).collect();
        let mut session = Self {
            state: State::Running(P::machine(tls, mechanism)),
            is_under_tls: tls == UpstreamTls::Implicit,
            mailbox: Username::parse("alice@example.com").unwrap(),
            token: AccessToken::parse(&token).unwrap(),
            host: MailHost { host: "mail.example.com".to_owned(), port: 993, tls },
            mechanism,
            response: String::new(),
            is_shown: false,
            input: Input::default(),
            fed: Vec::new(),
            secret: 0,
            handed_over: None,
            trace: Trace::default(),
        };
        session.response = session.credentials().initial_response().expose_secret().to_owned();
        session
    }

    fn credentials(&self) -> Credentials<'_> {
        Credentials {
            mailbox: &self.mailbox,
            token: &self.token,
            mechanism: self.mechanism,
            host: &self.host,
        }
    }

    /// The provider sends a piece.
    fn feed(&mut self, piece: &[u8]) {
        self.input.extend(piece);
        self.fed.extend_from_slice(piece);
        loop {
            let state = std::mem::replace(&mut self.state, State::Authenticated);
            let State::Running(machine) = state else {
                self.state = state;
                return;
            };
            let mut output = Output::default();
            let step = machine.receive(&mut self.input, &mut output);
            self.send(&mut output);
            let again = matches!(step, UpstreamStep::Ready(_));
            self.state = self.take(step);
            if !again {
                let held = self.input.len();
                let waits = matches!(self.state, State::Running(_));
                assert!(!waits || held <= P::HELD_LEN_MAX, "{held} bytes are held");
                return;
            }
        }
    }

    /// Does what a step asks for.
    fn take(&mut self, step: UpstreamStep<P::Machine>) -> State<P::Machine> {
        match step {
            UpstreamStep::Read(machine) => State::Running(machine),
            UpstreamStep::StartTls(awaiting) => {
                assert!(!self.is_under_tls, "TLS is begun under TLS");
                self.event("TLS".to_owned());
                State::AwaitsTls(awaiting)
            }
            UpstreamStep::Ready(awaiting) => {
                assert!(self.is_under_tls, "a token is asked for in clear");
                assert_eq!(self.handed_over, None, "a token is asked for twice");
                self.event("token".to_owned());
                self.handed_over = Some(self.consumed());
                let mut output = Output::default();
                let machine = awaiting.authenticate(&self.credentials(), &mut output);
                self.send(&mut output);
                State::Running(machine)
            }
            UpstreamStep::Authenticated(welcome) => {
                let len = P::welcome_len(&welcome);
                assert!(len <= P::WELCOME_LEN_MAX, "a welcome of {len} bytes");
                assert!(self.is_shown, "signed in without a token");
                self.event(format!("{welcome:?}"));
                assert_eq!(self.fed[..self.consumed()].last(), Some(&b'\n'), "a line ends");
                State::Authenticated
            }
            UpstreamStep::Refused(refusal) => {
                check_told(&refusal.reply, REPLY_LEN_MAX);
                check_told(refusal.challenge_status.as_deref().unwrap_or(""), STATUS_LEN_MAX);
                assert!(self.handed_over.is_some(), "refused before it was tried");
                State::Ended(format!("{refusal:?}"))
            }
            UpstreamStep::Close(fault) => {
                if let UpstreamFault::TurnedAway { reply } = &fault {
                    check_told(reply, REPLY_LEN_MAX);
                }
                State::Ended(format!("{fault:?}"))
            }
        }
    }

    /// The handshake takes place, if one is due.
    fn start_tls(&mut self) {
        let state = std::mem::replace(&mut self.state, State::Authenticated);
        let State::AwaitsTls(awaiting) = state else {
            self.state = state;
            return;
        };
        let is_clean = self.input.is_empty();
        let mut output = Output::default();
        self.state = match awaiting.started(&self.input, &mut output) {
            Ok(machine) => {
                assert!(is_clean, "bytes in clear are taken for such under TLS");
                self.is_under_tls = true;
                self.secret = self.fed.len();
                State::Running(machine)
            }
            Err(fault) => {
                assert_eq!((is_clean, &fault), (false, &UpstreamFault::CleartextBehindStartTls));
                assert!(output.is_empty(), "something is said to whoever sent it");
                State::Ended(format!("{fault:?}"))
            }
        };
        self.send(&mut output);
    }

    /// Takes what is to be sent. The token is in it only if it is due.
    fn send(&mut self, output: &mut Output) {
        let said = output.take();
        let said = str::from_utf8(&said).expect("what is said is ASCII");
        self.trace.said.extend_from_slice(said.as_bytes());
        if !said.contains(&self.response) {
            return;
        }
        assert!(!self.is_shown, "the token is sent twice");
        self.is_shown = true;
        let handed_over = self.handed_over.expect("the token was handed over");
        let answered = &self.fed[handed_over..self.consumed()];
        let mut answers = answered.split(|&byte| byte == b'\n');
        if answers.any(|line| P::asks_for_token(line.strip_suffix(b"\r").unwrap_or(line))) {
            return;
        }
        let inline = P::INLINE.expect("the token is sent before it is asked for");
        let shown = self.fed[self.secret..handed_over].to_ascii_uppercase();
        assert!(
            shown.windows(inline.len()).any(|word| word == inline),
            "the token is sent inline to a provider that has no such thing"
        );
    }

    fn consumed(&self) -> usize {
        self.fed.len() - self.input.len()
    }

    fn event(&mut self, what: String) {
        self.trace.events.push((self.consumed(), self.trace.said.len(), what));
    }

    fn ended(mut self) -> Trace {
        let token_len = if self.is_shown { self.response.len() } else { 0 };
        let besides = self.trace.said.len() - token_len;
        assert!(besides <= SAID_LEN_MAX, "{besides} bytes are said besides the token");
        assert!(self.trace.lines().count() > 0 || self.trace.said.is_empty());
        let consumed = self.consumed();
        self.trace.end = match self.state {
            State::Running(_) => End::Waiting,
            State::Ended(how) => End::Closed(how),
            State::AwaitsTls(_) | State::Authenticated => {
                let leftover = self.input.into_leftover().to_vec();
                assert_eq!(leftover, self.fed[consumed..], "the leftover is what follows");
                End::Streams(leftover)
            }
        };
        for secret in [self.token.expose_secret(), &self.response] {
            let told = format!("{:?} {:?}", self.trace.events, self.trace.end);
            assert!(!told.contains(secret), "the token is told");
        }
        self.trace
    }
}

/// What is kept of a peer's words is printable ASCII and short.
fn check_told(text: &str, len_max: usize) {
    assert!(text.len() <= len_max, "{} bytes are told", text.len());
    assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text:?} is told");
}
