//! POP3, downstream side: the commands a client may send before it is signed in.

use super::Welcome;
use crate::proto::{
    AwaitClientTls, AwaitVerdict, CloseReason, Downstream, Farewell, Input, Output, Privacy, Step,
};
use crate::refusal::Refusal;

/// The server that a POP3 client sees until it is signed in.
#[derive(Debug)]
pub struct Pop3Downstream {
    #[expect(dead_code, reason = "read where STARTTLS is shown")]
    privacy: Privacy,
}

impl Pop3Downstream {
    /// A server for one session.
    pub fn new(privacy: Privacy) -> Self {
        Self { privacy }
    }
}

impl Downstream for Pop3Downstream {
    type Awaiting = Pop3AwaitVerdict;
    type AwaitTls = Pop3AwaitClientTls;

    fn greet(&self, output: &mut Output) {
        output.line("+OK mailbearer ready");
    }

    fn receive(self, _input: &mut Input, _output: &mut Output) -> Step<Self> {
        Step::Read(self)
    }

    fn farewell(farewell: Farewell, output: &mut Output) {
        output.line(&format!("-ERR {}", farewell.text()));
    }
}

/// A POP3 client that was told to begin a TLS handshake.
#[derive(Debug)]
pub struct Pop3AwaitClientTls(#[expect(dead_code, reason = "read where STLS is")] Pop3Downstream);

impl AwaitClientTls for Pop3AwaitClientTls {
    type Machine = Pop3Downstream;

    fn started(self, input: &Input) -> Result<Pop3Downstream, CloseReason> {
        if input.is_empty() {
            Ok(Pop3Downstream { privacy: Privacy::Tls })
        } else {
            Err(CloseReason::CleartextBehindStartTls)
        }
    }
}

/// A POP3 client's sign-in that awaits the verdict.
#[derive(Debug)]
pub struct Pop3AwaitVerdict(Pop3Downstream);

impl AwaitVerdict for Pop3AwaitVerdict {
    type Machine = Pop3Downstream;
    type Welcome = Welcome;

    fn accept(self, welcome: &Welcome, output: &mut Output) {
        output.bytes(&welcome.reply);
        output.bytes(b"\r\n");
    }

    fn refuse(self, _refusal: &Refusal, _output: &mut Output) -> Step<Pop3Downstream> {
        Step::Read(self.0)
    }
}
