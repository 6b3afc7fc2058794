//! The stand-in provider, spoken to as a provider's clients speak to it.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails, in its helpers, too"
)]

mod client;
mod consent;
mod diagnosis;
mod grants;
mod imap;
mod pop3;
mod refresh;
mod script;
mod smtp;
mod throttle;
mod token;
