//! IMAP, upstream side: the course of a connection from the greeting to where a sign-in can begin.
//!
//! Source: RFC 3501 sections 6.1, 6.2 and 7. In: responses. Out: CAPABILITY and STARTTLS.

use std::ops::ControlFlow::{Break, Continue};

use super::status::{Capabilities, Condition, Response, Status};
use super::upstream::{
    ImapAwaitTls, ImapAwaitToken, ImapUpstream, Phase, REPLY_LEN_MAX, Stage, Turn,
};
use crate::proto::{Lasting, Output, UpstreamFault, UpstreamStep, printable};
use crate::provider::Mechanism;

/// Most that a provider may say until it has signed us in, in bytes: far above any welcome seen, and
/// far below what would hurt. Untagged responses may come at any time, so no command bounds them.
const HEARD_LEN_MAX: usize = 65_536;

/// What lasts from command to command.
#[derive(Debug, Clone, Copy)]
pub(super) struct Course {
    pub(super) mechanism: Mechanism,
    pub(super) transport: Transport,
    /// How many commands were sent: five at most. The last one's tag is made of it.
    pub(super) sent: u8,
    /// How much was said to us so far, in bytes.
    pub(super) heard: usize,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Transport {
    /// Nothing is done in clear but to ask for TLS.
    Clear,
    Tls,
}

impl Course {
    pub(super) fn new(mechanism: Mechanism, transport: Transport) -> Self {
        Self { mechanism, transport, sent: 0, heard: 0 }
    }

    /// Counts a line, without its end, that was said to us; `None` when that is too much.
    pub(super) fn hear(self, line: &[u8]) -> Option<Self> {
        let heard = self.heard.saturating_add(line.len()).saturating_add(b"\r\n".len());
        (heard <= HEARD_LEN_MAX).then_some(Self { heard, ..self })
    }

    pub(super) fn with(self, phase: Phase) -> ImapUpstream {
        ImapUpstream { course: self, phase }
    }

    pub(super) fn next(self) -> Self {
        Self { sent: self.sent.saturating_add(1), ..self }
    }

    /// The tag of the command that was sent last.
    pub(super) fn tag(self) -> String {
        format!("m{}", self.sent)
    }

    /// Sends the command that `parts` are in a row.
    pub(super) fn send(self, parts: &[&str], phase: Phase, output: &mut Output) -> ImapUpstream {
        let course = self.next();
        let tag = course.tag();
        output.line_of([tag.as_str(), " "].into_iter().chain(parts.iter().copied()));
        course.with(phase)
    }

    pub(super) fn take_greeting(self, response: &Response<'_>, output: &mut Output) -> Turn {
        let Response::Status(status) = response else {
            return protocol("it does not greet as an IMAP server: check host and port");
        };
        match (status.condition, response.capabilities()) {
            (Condition::Ok, Some(list)) => {
                self.follow(Capabilities::read(list, self.mechanism), output)
            }
            (Condition::Ok, None) => {
                Continue(self.send(&["CAPABILITY"], Phase::Capability(None), output))
            }
            (Condition::Preauth, _) => fault(UpstreamFault::Preauth),
            (Condition::Bye, _) => turned_away(status),
            (Condition::No | Condition::Bad, _) => protocol("it greets with neither OK nor BYE"),
        }
    }

    pub(super) fn take_capability(
        self,
        told: Option<Capabilities>,
        response: &Response<'_>,
        output: &mut Output,
    ) -> Turn {
        let read = |list| Capabilities::read(list, self.mechanism);
        let told = response.capabilities().map(read).or(told);
        match (response, told) {
            (Response::Continuation(_), _) => unasked_continuation(),
            (Response::Status(status), _) if status.condition == Condition::Bye => {
                turned_away(status)
            }
            (Response::Status(_) | Response::Data(_), told) => {
                Continue(self.with(Phase::Capability(told)))
            }
            (Response::Tagged(_, status), _) if status.condition != Condition::Ok => {
                protocol("it refuses CAPABILITY")
            }
            (Response::Tagged(..), Some(told)) => self.follow(told, output),
            (Response::Tagged(..), None) => protocol("it tells no capabilities"),
        }
    }

    /// Goes on as the capabilities allow.
    fn follow(self, capabilities: Capabilities, output: &mut Output) -> Turn {
        let Capabilities { starttls, sasl_ir, mechanism } = capabilities;
        match self.transport {
            Transport::Clear if starttls => {
                Continue(self.send(&["STARTTLS"], Phase::StartTls, output))
            }
            Transport::Clear => fault(UpstreamFault::NoStartTls),
            Transport::Tls if mechanism => {
                let stage = if sasl_ir { Stage::Inline } else { Stage::Idle };
                Break(UpstreamStep::Ready(ImapAwaitToken::new(self, stage)))
            }
            Transport::Tls => {
                fault(UpstreamFault::NoMechanism { mechanism: self.mechanism.name() })
            }
        }
    }

    pub(super) fn take_starttls(self, response: &Response<'_>) -> Turn {
        match response {
            Response::Continuation(_) => unasked_continuation(),
            Response::Status(status) if status.condition == Condition::Bye => turned_away(status),
            Response::Status(_) | Response::Data(_) => Continue(self.with(Phase::StartTls)),
            Response::Tagged(_, status) if status.condition == Condition::Ok => {
                Break(UpstreamStep::StartTls(ImapAwaitTls { course: self }))
            }
            Response::Tagged(_, status) if status.lasting() == Lasting::Temporary => {
                turned_away(status)
            }
            Response::Tagged(..) => fault(UpstreamFault::NoStartTls),
        }
    }
}

fn turned_away(status: &Status<'_>) -> Turn {
    fault(UpstreamFault::TurnedAway { reply: printable(status.line, REPLY_LEN_MAX) })
}

pub(super) fn unasked_continuation() -> Turn {
    protocol("it asks for more than was begun")
}

pub(super) fn protocol(problem: &'static str) -> Turn {
    fault(UpstreamFault::Protocol { problem })
}

fn fault(fault: UpstreamFault) -> Turn {
    Break(UpstreamStep::Close(fault))
}
