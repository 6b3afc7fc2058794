//! What differs between protocols for a session: which machines it runs, and what it learns.

use super::listener::Listener;
use super::records::Records;
use crate::proto::imap::{ImapDownstream, ImapUpstream};
use crate::proto::smtp::{SmtpDownstream, SmtpUpstream};
use crate::proto::{AwaitVerdict, Downstream, Upstream};
use crate::provider::{MailHost, Mechanism, Protocol, UpstreamTls};

/// A protocol's two machines.
pub(crate) trait MailProtocol: Send + 'static {
    /// Towards the client.
    type Downstream: Downstream<Awaiting: AwaitVerdict<Welcome = Welcome<Self>>> + 'static;
    /// Towards the provider.
    type Upstream: Upstream<Welcome: Send, AwaitTls: Send, AwaitToken: Send> + 'static;

    /// Its name.
    const PROTOCOL: Protocol;

    /// A machine for a client of `listener`.
    fn downstream(listener: &Listener) -> Self::Downstream;

    /// A machine for a provider's server.
    fn upstream(tls: UpstreamTls, mechanism: Mechanism) -> Self::Upstream;

    /// Keeps what an accepted sign-in taught about `host`.
    fn learn(records: &Records, host: &MailHost, welcome: &Welcome<Self>);
}

/// What a protocol's provider says to an accepted sign-in.
pub(crate) type Welcome<P> = <<P as MailProtocol>::Upstream as Upstream>::Welcome;

/// SMTP as a mail client speaks it.
pub(crate) struct Submission;

impl MailProtocol for Submission {
    type Downstream = SmtpDownstream;
    type Upstream = SmtpUpstream;

    const PROTOCOL: Protocol = Protocol::Submission;

    fn downstream(listener: &Listener) -> SmtpDownstream {
        SmtpDownstream::new(listener.ehlo())
    }

    fn upstream(tls: UpstreamTls, mechanism: Mechanism) -> SmtpUpstream {
        SmtpUpstream::new(tls, mechanism)
    }

    fn learn(records: &Records, host: &MailHost, welcome: &Welcome<Self>) {
        records.learn_ehlo(host, &welcome.extensions);
    }
}

/// IMAP.
pub(crate) struct Imap;

impl MailProtocol for Imap {
    type Downstream = ImapDownstream;
    type Upstream = ImapUpstream;

    const PROTOCOL: Protocol = Protocol::Imap;

    fn downstream(listener: &Listener) -> ImapDownstream {
        ImapDownstream::new(listener.literals())
    }

    fn upstream(tls: UpstreamTls, mechanism: Mechanism) -> ImapUpstream {
        ImapUpstream::new(tls, mechanism)
    }

    fn learn(records: &Records, host: &MailHost, welcome: &Welcome<Self>) {
        records.learn_literals(host, welcome.literals());
    }
}
