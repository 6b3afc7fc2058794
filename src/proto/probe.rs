//! What a load balancer that speaks for itself may say: NOOP and QUIT, which the machine of the
//! protocol answers.
//!
//! In:   lines of up to `LINE_LEN_MAX` bytes.
//! Out:  what that machine says to those two commands.
//! Ends: in `Step::Close`, with whatever else is said. Nobody is ever signed in.

use super::{
    AwaitClientTls, AwaitVerdict, CloseReason, Downstream, Farewell, Input, Line, Output, Step,
};
use crate::refusal::Refusal;

/// Longest line, in bytes without its end: RFC 1939 has the shortest of the three protocols.
const LINE_LEN_MAX: usize = 255;

/// A session with a load balancer that speaks for itself.
#[derive(Debug)]
pub struct Probe<M>(M);

impl<M> Probe<M> {
    /// Has `machine` answer.
    pub fn new(machine: M) -> Self {
        Self(machine)
    }
}

/// A claim, or STARTTLS: neither comes about in such a session.
#[derive(Debug)]
pub struct Never<M> {
    machine: Probe<M>,
    nothing: Nothing,
}

/// Has no value.
#[derive(Debug)]
enum Nothing {}

impl<M> Never<M> {
    /// Says that this is never reached.
    pub fn is_never(&self) -> ! {
        match self.nothing {}
    }
}

impl<M: Downstream> Downstream for Probe<M> {
    type Awaiting = Never<M>;
    type AwaitTls = Never<M>;

    fn greet(&self, output: &mut Output) {
        self.0.greet(output);
    }

    fn receive(mut self, input: &mut Input, output: &mut Output) -> Step<Self> {
        while !output.is_full() {
            let line = match input.take_line(LINE_LEN_MAX) {
                Line::Incomplete => return Step::Read(self),
                Line::Whole(line) if is_allowed(&line) => line,
                Line::Whole(_) | Line::TooLong | Line::Skipped(_) | Line::Endless => {
                    return refuse(output);
                }
            };
            // Alone, so that the machine reads nothing that was not looked at here.
            let mut alone = Input::default();
            alone.extend(&line);
            alone.extend(b"\r\n");
            match self.0.receive(&mut alone, output) {
                Step::Read(machine) => self.0 = machine,
                Step::Close(reason) => return Step::Close(reason),
                Step::Verify(..) | Step::StartTls(_) => return refuse(output),
            }
        }
        Step::Read(self)
    }

    fn farewell(farewell: Farewell, output: &mut Output) {
        M::farewell(farewell, output);
    }
}

fn refuse<M: Downstream>(output: &mut Output) -> Step<Probe<M>> {
    M::farewell(Farewell::NoAddress, output);
    Step::Close(CloseReason::NoAddress)
}

/// Whether a line is NOOP or QUIT, or one of those behind the tag of IMAP, where QUIT is LOGOUT.
fn is_allowed(line: &[u8]) -> bool {
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let is_one = |word: &[u8]| {
        let allowed: [&[u8]; 3] = [b"NOOP", b"QUIT", b"LOGOUT"];
        allowed.iter().any(|allowed| word.eq_ignore_ascii_case(allowed))
    };
    match (words.next(), words.next(), words.next()) {
        (Some(verb), None, _) => is_one(verb),
        (Some(_tag), Some(verb), None) => is_one(verb),
        (None | Some(_), _, _) => false,
    }
}

impl<M: Downstream> AwaitClientTls for Never<M> {
    type Machine = Probe<M>;

    fn started(self, _: &Input) -> Result<Probe<M>, CloseReason> {
        Ok(self.machine)
    }
}

impl<M: Downstream> AwaitVerdict for Never<M> {
    type Machine = Probe<M>;
    type Welcome = ();

    fn accept(self, (): &(), _: &mut Output) {}

    fn refuse(self, _: &Refusal, _: &mut Output) -> Step<Probe<M>> {
        Step::Read(self.machine)
    }
}

#[cfg(test)]
mod tests;
