//! IMAP before the sign-in, on both sides (RFC 3501, RFC 9051), as machines without I/O.
//!
//! [`ImapDownstream`] is the server that an old client sees; [`ImapUpstream`] is the client that a
//! provider sees. Neither reads a byte behind the sign-in: from there on bytes are streamed.

mod command;
mod course;
mod downstream;
mod gathering;
mod response;
mod session;
mod status;
#[cfg(test)]
mod tests;
mod upstream;

pub use downstream::{ImapAwaitClientTls, ImapAwaitVerdict, ImapDownstream};
pub use response::NonSyncLiterals;
use status::Response;
pub use upstream::{ImapAwaitTls, ImapAwaitToken, ImapUpstream};

/// What a provider said to an accepted sign-in, kept for the client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Welcome {
    /// The untagged responses since the sign-in began, in order, each with its CRLF; at most 64 KiB,
    /// and 1 KiB more of an earlier session where `source` says so. The provider's `CAPABILITY` is in
    /// here or in the code of `tagged`, if it tells any; what it told ahead of the token is not.
    pub untagged: Vec<u8>,
    /// What stands behind `OK ` in the tagged response: code and text, without CRLF.
    pub tagged: Vec<u8>,
    /// Where the capabilities in it are from.
    pub source: Source,
}

/// Where the capabilities of a welcome are from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Source {
    /// The provider told them with its answer to the sign-in, or none at all.
    #[default]
    Unasked,
    /// It was asked for them behind the sign-in.
    Asked,
    /// It was, in an earlier session.
    Remembered,
}

impl Welcome {
    /// The `CAPABILITY` response that the provider was asked for behind the sign-in, with its CRLF;
    /// `None` where it was not, or gave none.
    pub fn asked_for(&self) -> Option<&[u8]> {
        if self.source != Source::Asked {
            return None;
        }
        let is_told = |line: &[u8]| {
            let response = Response::parse(line.trim_ascii_end());
            response
                .is_some_and(|it| matches!(it, Response::Data(_)) && it.capabilities().is_some())
        };
        let mut lines = self.untagged.split_inclusive(|&byte| byte == b'\n');
        lines.rfind(|line| is_told(line))
    }

    /// Whether LITERAL+ is among the capabilities that the provider told last.
    pub fn literals(&self) -> NonSyncLiterals {
        let tagged = [b"* OK ", self.tagged.as_slice()].concat();
        let lines = self.untagged.split(|&byte| byte == b'\n').chain([tagged.as_slice()]);
        let mut told =
            lines.filter_map(|line| Response::parse(line.trim_ascii_end())?.capabilities());
        match told.next_back() {
            Some(list) if status::offers(list, "LITERAL+") => NonSyncLiterals::Offered,
            Some(_) | None => NonSyncLiterals::NotOffered,
        }
    }
}
