//! Transcripts as tests: a script is played line by line, then replayed whole, at every two-piece
//! split and byte by byte; each time the machine must say and want the same.
//!
//! Downstream script, one item a line (`\r \n \0 \\ \xNN` are escapes):
//! `S: line` we say · `C: line` the client sends, with CRLF · `C| bytes` without ·
//! `?: user password` it claims · `!: accept` or `!: refuse KIND` the verdict ·
//! `X: Reason` we close · `L| bytes` what is left to stream · `TLS` a handshake takes place.
//!
//! Upstream script: `S: line` and `S| bytes` the provider sends · `C: line` we say ·
//! `TLS` a handshake takes place · `TOKEN` the token is there.

mod downstream;
mod script;
mod upstream;

pub(crate) use downstream::{Heard, Player, play};
pub(crate) use upstream::{Ended, UpstreamPlayer, play_upstream, play_upstream_ahead};
