//! POP3, upstream side: from the provider's greeting to its answer to our token.

use super::Welcome;
use crate::proto::sasl::Credentials;
use crate::proto::{AwaitTls, AwaitToken, Input, Output, Upstream, UpstreamFault, UpstreamStep};
use crate::provider::{Mechanism, UpstreamTls};

/// The client that a provider sees until it has answered our token.
#[derive(Debug)]
pub struct Pop3Upstream {
    #[expect(dead_code, reason = "read where STLS is")]
    tls: UpstreamTls,
    #[expect(dead_code, reason = "read where AUTH is")]
    mechanism: Mechanism,
}

impl Pop3Upstream {
    /// A connection that was just made; with [`UpstreamTls::Implicit`], one whose TLS is up.
    pub fn new(tls: UpstreamTls, mechanism: Mechanism) -> Self {
        Self { tls, mechanism }
    }
}

impl Upstream for Pop3Upstream {
    type Welcome = Welcome;
    type AwaitTls = Pop3AwaitTls;
    type AwaitToken = Pop3AwaitToken;

    fn receive(self, _input: &mut Input, _output: &mut Output) -> UpstreamStep<Self> {
        UpstreamStep::Read(self)
    }
}

/// A POP3 upstream that awaits the end of a TLS handshake.
#[derive(Debug)]
pub struct Pop3AwaitTls {
    mechanism: Mechanism,
}

impl AwaitTls for Pop3AwaitTls {
    type Machine = Pop3Upstream;

    fn started(self, input: &Input, _output: &mut Output) -> Result<Pop3Upstream, UpstreamFault> {
        if input.is_empty() {
            Ok(Pop3Upstream { tls: UpstreamTls::StartTls, mechanism: self.mechanism })
        } else {
            Err(UpstreamFault::CleartextBehindStartTls)
        }
    }
}

/// A POP3 upstream that can begin the sign-in.
#[derive(Debug)]
pub struct Pop3AwaitToken {
    mechanism: Mechanism,
}

impl AwaitToken for Pop3AwaitToken {
    type Machine = Pop3Upstream;

    fn authenticate(self, _credentials: &Credentials<'_>, _output: &mut Output) -> Pop3Upstream {
        Pop3Upstream { tls: UpstreamTls::Implicit, mechanism: self.mechanism }
    }
}
