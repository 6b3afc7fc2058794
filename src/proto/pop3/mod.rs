//! POP3 before the sign-in, on both sides (RFC 1939, RFC 2449, RFC 5034), as machines without I/O.
//!
//! [`Pop3Downstream`] is the server that an old client sees; [`Pop3Upstream`] is the client that a
//! provider sees. Neither reads a byte behind the sign-in: from there on bytes are streamed.

mod command;
mod downstream;
mod reply;
#[cfg(test)]
mod tests;
mod upstream;

pub use downstream::{Pop3AwaitClientTls, Pop3AwaitVerdict, Pop3Downstream};
pub use upstream::{Pop3AwaitTls, Pop3AwaitToken, Pop3Upstream};

/// What a provider said to an accepted sign-in, kept for the client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Welcome {
    /// Its `+OK` line, without its end; at most 2,048 bytes.
    pub reply: Vec<u8>,
}
