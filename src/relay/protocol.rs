//! What differs between protocols for a session: which machines it runs, and what it learns.

use bytes::Bytes;

use super::listener::Listener;
use super::records::Records;
use super::warm::{Lesson, Pool, Warm};
use crate::proto::imap::{ImapAwaitToken, ImapDownstream, ImapUpstream, Source};
use crate::proto::pop3::{Pop3Downstream, Pop3Upstream};
use crate::proto::smtp::{SmtpDownstream, SmtpUpstream};
use crate::proto::{AwaitVerdict, Downstream, Privacy, Upstream};
use crate::provider::{MailHost, Mechanism, Protocol, UpstreamTls};

/// A protocol's two machines.
pub(crate) trait MailProtocol: Send + Sized + 'static {
    /// Towards the client.
    type Downstream: Downstream<Awaiting: AwaitVerdict<Welcome = Welcome<Self>>> + 'static;
    /// Towards the provider.
    type Upstream: Upstream<Welcome: Send, AwaitTls: Send, AwaitToken: Send> + 'static;

    /// Its name.
    const PROTOCOL: Protocol;

    /// A machine for a client of `listener`, whose connection is private so far.
    fn downstream(listener: &Listener, privacy: Privacy) -> Self::Downstream;

    /// A machine for a provider's server.
    fn upstream(tls: UpstreamTls, mechanism: Mechanism) -> Self::Upstream;

    /// Keeps what an accepted sign-in taught about `host`.
    fn learn(records: &Records, host: &MailHost, welcome: &Welcome<Self>);

    /// Its connections among those that are kept ready.
    fn pool(warm: &Warm) -> &Pool<Self>;

    /// What the server told in `welcome` that the next sign-in need not ask for, where asking takes a
    /// round trip.
    fn told(_: &Welcome<Self>) -> Lesson<'_> {
        Lesson::Nothing
    }

    /// Spares `awaiting` asking for what the server `told` the mailbox lately.
    fn remember(_awaiting: &mut Awaiting<Self>, _told: Bytes) {}
}

/// What a protocol's provider says to an accepted sign-in.
pub(crate) type Welcome<P> = <<P as MailProtocol>::Upstream as Upstream>::Welcome;

/// The machine of a protocol's connection on which a sign-in can begin.
pub(crate) type Awaiting<P> = <<P as MailProtocol>::Upstream as Upstream>::AwaitToken;

/// SMTP as a mail client speaks it.
pub(crate) struct Submission;

impl MailProtocol for Submission {
    type Downstream = SmtpDownstream;
    type Upstream = SmtpUpstream;

    const PROTOCOL: Protocol = Protocol::Submission;

    fn downstream(listener: &Listener, privacy: Privacy) -> SmtpDownstream {
        SmtpDownstream::new(listener.ehlo(), privacy).with_devices(listener.device_mail())
    }

    fn upstream(tls: UpstreamTls, mechanism: Mechanism) -> SmtpUpstream {
        SmtpUpstream::new(tls, mechanism)
    }

    fn learn(records: &Records, host: &MailHost, welcome: &Welcome<Self>) {
        records.learn_ehlo(host, &welcome.extensions);
    }

    fn pool(warm: &Warm) -> &Pool<Self> {
        warm.submission()
    }
}

/// IMAP.
pub(crate) struct Imap;

impl MailProtocol for Imap {
    type Downstream = ImapDownstream;
    type Upstream = ImapUpstream;

    const PROTOCOL: Protocol = Protocol::Imap;

    fn downstream(listener: &Listener, privacy: Privacy) -> ImapDownstream {
        ImapDownstream::new(listener.literals(), privacy)
    }

    fn upstream(tls: UpstreamTls, mechanism: Mechanism) -> ImapUpstream {
        ImapUpstream::new(tls, mechanism)
    }

    fn learn(records: &Records, host: &MailHost, welcome: &Welcome<Self>) {
        if welcome.source != Source::Remembered {
            records.learn_literals(host, welcome.literals());
        }
    }

    fn pool(warm: &Warm) -> &Pool<Self> {
        warm.imap()
    }

    /// Nothing where it was not asked, for what is remembered grows no younger. Where it told them
    /// unasked it may go on so; where it was asked and told none, it has none to tell.
    fn told(welcome: &Welcome<Self>) -> Lesson<'_> {
        match (welcome.source, welcome.asked_for()) {
            (Source::Remembered, _) => Lesson::Nothing,
            (Source::Asked, Some(words)) => Lesson::Keep(words),
            (Source::Asked | Source::Unasked, _) => Lesson::Forget,
        }
    }

    fn remember(awaiting: &mut ImapAwaitToken, told: Bytes) {
        awaiting.remember(told);
    }
}

/// POP3.
pub(crate) struct Pop3;

impl MailProtocol for Pop3 {
    type Downstream = Pop3Downstream;
    type Upstream = Pop3Upstream;

    const PROTOCOL: Protocol = Protocol::Pop3;

    fn downstream(_: &Listener, privacy: Privacy) -> Pop3Downstream {
        Pop3Downstream::new(privacy)
    }

    fn upstream(tls: UpstreamTls, mechanism: Mechanism) -> Pop3Upstream {
        Pop3Upstream::new(tls, mechanism)
    }

    // What CAPA shows is fixed.
    fn learn(_: &Records, _: &MailHost, _: &Welcome<Self>) {}

    fn pool(warm: &Warm) -> &Pool<Self> {
        warm.pop3()
    }
}
