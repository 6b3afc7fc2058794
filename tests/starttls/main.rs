//! The attacks of "Why TLS Is Better Without STARTTLS" (Poddebniak, Ising, Böck, Schinzel; USENIX
//! Security 2021), from both sides, over sockets.
//!
//! Cases have the names of the study's own test cases (github.com/FHMS-ITS/EAST): B_1 is
//! `Buffering/B_1`, O_2 `Negotiation/O_2`, `others/` and the rest stand as they are there. Towards a
//! provider mailbearer is the client of the study, which meets its fake server; towards a client it
//! is the server, which meets its command injection tester.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

mod downstream;
mod imap;
mod path;
mod pop3;
mod smtp;
#[path = "../support/mod.rs"]
mod support;
