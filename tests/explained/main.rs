//! What a provider's mail server says, to a sign-in and behind it: how the log, the closing line and
//! `accounts` explain it, and that nobody can make them say something else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

mod messages;
mod scene;
mod session;
mod sign_in;
mod strange;
#[path = "../support/mod.rs"]
mod support;
mod token;
