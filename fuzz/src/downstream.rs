//! What holds for the machine towards clients, whatever one sends and in whatever pieces.
//!
//! - It hears the same, claims the same and ends in the same way at every split.
//! - It never keeps more than a line or a literal, and never answers more than [`OUTPUT_LEN_MAX`]
//!   before that is sent; a claim's name and password keep to their limits.
//! - It makes no claim in clear where TLS is required, and offers a handshake where that is due
//!   alone, once. Bytes that came in clear behind STARTTLS end the session; under TLS it goes on
//!   as it would with a client that it has never heard.
//! - It consumes nothing behind the line that makes the claim: that is streamed, or read as
//!   commands after a refusal.
//! - A device's claim is made where devices are heard, and consumes nothing: MAIL stands next in what
//!   is left. Accepted it is streamed, and nothing is said; refused it has one reply, and is consumed
//!   without another.
//! - It makes five claims at most, and says nothing but whole lines of printable ASCII.

use std::fmt::Debug;

use mailbearer::names::Username;
use mailbearer::proto::{
    AwaitClientTls as _, AwaitVerdict, COMMANDS_MAX, Claim, CloseReason, Downstream, FAILURES_MAX,
    Input, LocalCredentials, Output, Privacy, Step, sasl,
};
use mailbearer::secret::ExposeSecret as _;

use super::plan::Plan;
use super::splits::Split;
use super::trace::{End, Trace};

/// Most bytes that are held of a line which is not whole: the longest there is, and its CR.
const HELD_LEN_MAX: usize = sasl::LINE_LEN_MAX + 1;

/// Longest password: the longest line of base64, decoded.
const PASSWORD_LEN_MAX: usize = sasl::LINE_LEN_MAX / 4 * 3;

/// Most that one call answers: what makes an output full, and the longest reply behind it.
const OUTPUT_LEN_MAX: usize = 65_536 + 1_024;

/// What a session wants besides to know whether a password is right.
const HANDSHAKE: &str = "TLS";
const DEVICE: &str = "a device";

/// Most that one command is answered on average, in bytes: the longest EHLO has some 300, and an ID
/// of IMAP may be asked 60 times to go on.
const ANSWER_LEN_MAX: usize = 1_024;

/// A protocol, as its clients see it.
pub trait Server {
    /// Its machine.
    type Machine: Downstream<Awaiting: AwaitVerdict<Welcome: Debug>>;

    /// A machine for a session of `plan` whose connection is private so far.
    fn machine(plan: &Plan, privacy: Privacy) -> Self::Machine;

    /// What the provider says to a sign-in that is accepted.
    fn welcome() -> Welcome<Self>;

    /// Whether `line` is one that may be said to a client.
    fn is_reply(line: &[u8]) -> bool;

    /// Whether a client that has not signed in may be a device.
    fn hears_devices(_: &Plan, _: Privacy) -> bool {
        false
    }

    /// Whether `line` is one by which a client says that it is a device.
    fn is_mail(_: &[u8]) -> bool {
        false
    }
}

/// What a protocol's provider says to an accepted sign-in.
pub type Welcome<P> = <<<P as Server>::Machine as Downstream>::Awaiting as AwaitVerdict>::Welcome;

/// Plays a session whose flights come in the pieces that `split` makes of them.
pub fn play<P: Server>(plan: &Plan, split: Split<'_>) -> Trace {
    let mut session = Session::<P>::new(plan, plan.privacy(), 0);
    for (nth, flight) in plan.flights.iter().enumerate() {
        if nth > 0 && session.start_tls() {
            let behind = plan.with(&plan.flights[nth..]);
            session.secret = Some((session.trace.said.len(), session.fed));
            let mut fresh = Session::<P>::new(&behind, Privacy::Tls, session.claims);
            fresh.trace.said.clear();
            behind.flights.iter().for_each(|flight| fresh.feed(flight));
            session.fresh = Some(fresh.ended());
        }
        split(flight).into_iter().for_each(|piece| session.feed(piece));
    }
    let (secret, fresh) = (session.secret, session.fresh.take());
    let trace = session.ended();
    check_trace::<P>(plan, &trace);
    if let (Some(secret), Some(fresh)) = (secret, fresh) {
        check_forgets(&trace, secret, &fresh);
    }
    trace
}

/// A session, as far as it went.
struct Session<'a, P: Server> {
    plan: &'a Plan,
    state: State<P::Machine>,
    /// How private the connection is now.
    privacy: Privacy,
    input: Input,
    /// How many bytes were fed.
    fed: usize,
    claims: usize,
    /// The length of a device's MAIL, with its end, that was refused and is still in the input.
    refused_mail: usize,
    /// How many claims the client made on a connection before this one.
    claims_before: usize,
    trace: Trace,
    /// How much was said and sent when TLS began.
    secret: Option<(usize, usize)>,
    /// What a session comes to that is under TLS from its first byte.
    fresh: Option<Trace>,
}

enum State<M: Downstream> {
    Running(M),
    AwaitsTls(M::AwaitTls),
    Accepted,
    Closed(CloseReason),
}

impl<'a, P: Server> Session<'a, P> {
    fn new(plan: &'a Plan, privacy: Privacy, claims_before: usize) -> Self {
        let machine = P::machine(plan, privacy);
        let mut output = Output::default();
        machine.greet(&mut output);
        let mut session = Self {
            plan,
            state: State::Running(machine),
            privacy,
            input: Input::default(),
            fed: 0,
            claims: 0,
            refused_mail: 0,
            claims_before,
            trace: Trace::default(),
            secret: None,
            fresh: None,
        };
        session.send(&mut output);
        session
    }

    /// The client sends a piece.
    fn feed(&mut self, piece: &[u8]) {
        self.input.extend(piece);
        self.fed += piece.len();
        loop {
            let state = std::mem::replace(&mut self.state, State::Accepted);
            let State::Running(machine) = state else {
                self.state = state;
                return;
            };
            let held = self.input.len();
            let refused_mail = std::mem::take(&mut self.refused_mail);
            let mut output = Output::default();
            let step = machine.receive(&mut self.input, &mut output);
            let consumed = held - self.input.len();
            assert!(consumed >= refused_mail, "a device's MAIL that was refused is read again");
            if consumed == refused_mail && self.input.is_empty() {
                assert!(refused_mail == 0 || output.is_empty(), "MAIL has a second reply");
            }
            let is_device = matches!(step, Step::Verify(Claim::Device, _));
            let is_full = output.is_full();
            self.send(&mut output);
            let again = matches!(step, Step::Verify(..)) || is_full;
            self.state = self.take(step);
            if !again {
                let State::Running(_) = self.state else { return };
                assert!(self.input.len() <= HELD_LEN_MAX, "{} bytes are held", self.input.len());
                return;
            }
            assert!(self.input.len() < held || is_device, "what is answered is consumed");
        }
    }

    /// Does what a step asks for.
    fn take(&mut self, step: Step<P::Machine>) -> State<P::Machine> {
        match step {
            Step::Read(machine) => State::Running(machine),
            Step::Close(reason) => State::Closed(reason),
            Step::StartTls(awaiting) => {
                assert!(
                    matches!(self.privacy, Privacy::Offered | Privacy::Required),
                    "a handshake is begun that was not offered"
                );
                self.event(HANDSHAKE.to_owned());
                State::AwaitsTls(awaiting)
            }
            Step::Verify(claim, awaiting) => {
                let what = match claim {
                    Claim::Device => {
                        let is_heard = P::hears_devices(self.plan, self.privacy);
                        assert!(is_heard, "a device is heard where none is served");
                        assert!(P::is_mail(first_line(&self.input)), "a device says MAIL");
                        DEVICE.to_owned()
                    }
                    Claim::Password(shown) => {
                        assert_ne!(self.privacy, Privacy::Required, "a claim is made before TLS");
                        check_credentials(&shown)
                    }
                };
                self.claims += 1;
                assert!(self.claims <= usize::from(FAILURES_MAX), "{} claims", self.claims);
                let is_device = what == DEVICE;
                self.event(what);
                self.give_verdict(awaiting, is_device)
            }
        }
    }

    fn give_verdict(
        &mut self,
        awaiting: <P::Machine as Downstream>::Awaiting,
        is_device: bool,
    ) -> State<P::Machine> {
        let mut output = Output::default();
        let held = self.input.len();
        let state = if self.claims_before + self.claims == self.plan.accepted() {
            awaiting.accept(&P::welcome(), &mut output);
            State::Accepted
        } else {
            match awaiting.refuse(&self.plan.refusal(), &mut output) {
                Step::Read(machine) => State::Running(machine),
                Step::Close(reason) => State::Closed(reason),
                Step::Verify(..) | Step::StartTls(_) => panic!("a refusal asks for nothing"),
            }
        };
        assert_eq!(self.input.len(), held);
        if is_device {
            match &state {
                State::Accepted => assert!(output.is_empty(), "MAIL is the provider's to answer"),
                State::Running(_) => self.refused_mail = first_line(&self.input).len(),
                State::Closed(_) | State::AwaitsTls(_) => {}
            }
        }
        self.send(&mut output);
        state
    }

    /// The handshake takes place, if one is due; says whether the session goes on under TLS.
    fn start_tls(&mut self) -> bool {
        let state = std::mem::replace(&mut self.state, State::Accepted);
        let State::AwaitsTls(awaiting) = state else {
            self.state = state;
            return false;
        };
        let is_clean = self.input.is_empty();
        match awaiting.started(&self.input) {
            Ok(machine) => {
                assert!(is_clean, "bytes in clear are taken for such under TLS");
                self.privacy = Privacy::Tls;
                self.state = State::Running(machine);
            }
            Err(reason) => {
                assert_eq!((is_clean, reason), (false, CloseReason::CleartextBehindStartTls));
                self.state = State::Closed(reason);
            }
        }
        is_clean
    }

    /// Takes what is to be sent.
    fn send(&mut self, output: &mut Output) {
        let said = output.take();
        assert!(said.len() <= OUTPUT_LEN_MAX, "{} bytes are said at once", said.len());
        self.trace.said.extend_from_slice(&said);
    }

    fn event(&mut self, what: String) {
        let consumed = self.fed - self.input.len();
        self.trace.events.push((consumed, self.trace.said.len(), what));
    }

    fn ended(mut self) -> Trace {
        self.trace.end = match self.state {
            State::Running(_) => End::Waiting,
            State::Closed(reason) => End::Closed(format!("{reason:?}")),
            State::AwaitsTls(_) | State::Accepted => {
                End::Streams(self.input.into_leftover().to_vec())
            }
        };
        self.trace
    }
}

/// The first line that waits, with its end.
fn first_line(input: &Input) -> &[u8] {
    let waiting = input.peek(input.len());
    let end = waiting.iter().position(|&byte| byte == b'\n').expect("a claim has its line");
    &waiting[..=end]
}

/// Checks the limits of what a client shows; tells it.
fn check_credentials(shown: &LocalCredentials) -> String {
    let (name, password) = (shown.username.as_str(), shown.password.expose_secret());
    assert!((1..=Username::LEN_MAX).contains(&name.len()), "a name of {}", name.len());
    assert!(!name.chars().any(char::is_control), "{name:?}");
    assert!(password.len() <= PASSWORD_LEN_MAX, "a password of {}", password.len());
    assert!(!password.contains(&0), "a password with a NUL");
    format!("{name} {password:?}")
}

/// What must hold of a whole session.
fn check_trace<P: Server>(plan: &Plan, trace: &Trace) {
    for line in trace.lines() {
        assert!(P::is_reply(line), "{:?} is said", String::from_utf8_lossy(line));
    }
    let said_len_max = (usize::from(COMMANDS_MAX) + 1) * ANSWER_LEN_MAX;
    assert!(trace.said.len() <= said_len_max, "{} bytes are said", trace.said.len());
    let sent = plan.sent();
    for (consumed, _, what) in &trace.events {
        let is_first = *consumed == 0 && what == DEVICE;
        let ends_line = sent[..*consumed].last() == Some(&b'\n');
        assert!(is_first || ends_line, "{what:?} at the end of a line");
    }
    if let (End::Streams(leftover), Some((consumed, ..))) = (&trace.end, trace.events.last()) {
        assert_eq!(leftover, &sent[*consumed..], "the leftover is what follows");
    }
}

/// Under TLS nothing is known of what was said before it, but how many tries are used up.
fn check_forgets(trace: &Trace, (said, sent): (usize, usize), fresh: &Trace) {
    let used_up = [CloseReason::TooManyFailures, CloseReason::TooManyCommands];
    if used_up.iter().any(|reason| trace.end == End::Closed(format!("{reason:?}"))) {
        return;
    }
    assert_eq!(trace.said[said..], fresh.said, "as to a client that is not known");
    let events = trace.events.iter().skip_while(|(.., what)| what != HANDSHAKE).skip(1);
    let moved = events.map(|(at, before, what)| (at - sent, before - said, what.clone()));
    assert_eq!(moved.collect::<Vec<_>>(), fresh.events);
    assert_eq!(trace.end, fresh.end);
}
