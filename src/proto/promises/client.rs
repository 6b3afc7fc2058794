//! A protocol as its providers see it.

use std::fmt::Debug;

use crate::proto::Upstream;
use crate::provider::{Mechanism, UpstreamTls};

/// A protocol, as its providers see it.
pub(crate) trait Client {
    /// Its machine.
    type Machine: Upstream<Welcome: Debug> + Debug;

    /// What a provider says, and what is said to it.
    const PROVIDER: Provider;

    /// What providers say, and what comes near it: whole lines, and parts of some.
    const SENT: &'static [&'static [u8]];

    /// A machine for a new connection.
    fn machine(tls: UpstreamTls, mechanism: Mechanism) -> Self::Machine;
}

/// What a provider says, as scripts, and what is said to it.
pub(crate) struct Provider {
    /// As far as its leave to begin TLS.
    pub(crate) starttls: &'static str,
    /// As far as the token, TLS being up. The token waits for leave.
    pub(crate) token: &'static str,
    /// The command that begins a sign-in, but for the mechanism.
    pub(crate) begin: &'static str,
    /// How a challenge begins; an empty one is the leave to send the token.
    pub(crate) challenge: &'static str,
    /// The reply that accepts the sign-in.
    pub(crate) accept: &'static str,
    /// How a reply begins that refuses the sign-in.
    pub(crate) refuse: &'static str,
    /// What a provider may say over and over, before the token and behind it, and never come to an
    /// end.
    pub(crate) endless: &'static [&'static str],
    /// Most bytes that are held back.
    pub(crate) held_len_max: usize,
}
