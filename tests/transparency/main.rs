//! After the sign-in nothing is touched: what one side sends is what the other side gets, byte for
//! byte, in every extension and every shape that smugglers use.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

mod extensions;
mod passage;
mod pop3;
mod smuggling;
#[path = "../support/mod.rs"]
mod support;
