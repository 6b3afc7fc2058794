//! The attacks of "Why TLS Is Better Without STARTTLS" (Poddebniak, Ising, Böck, Schinzel; USENIX
//! Security 2021), from both sides, over sockets.
//!
//! Cases have the names of the study's own test cases (github.com/FHMS-ITS/EAST): B_1 is
//! `Buffering/B_1`, O_2 `Negotiation/O_2`, `others/` and the rest stand as they are there. Towards a
//! provider mailbearer is the client of the study, which meets its fake server; towards a client it
//! is the server, which meets its command injection tester.
//!
//! Cases of what mailbearer never says in clear have no line of their own: HELO, RSET and QUIT
//! (`smtp/others/helo`, `rset` and `quit`), CAPA, AUTH and QUIT (`pop3/others/capa`, `auth` and `quit`).
//! That none of it is said, and nothing at all behind a refusal, is seen in every case. What those of
//! referrals (L and M) have behind the sign-in is streamed, as in `tests/transparency`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

mod downstream;
mod imap;
mod path;
mod pop3;
mod smtp;
#[path = "../support/mod.rs"]
mod support;
