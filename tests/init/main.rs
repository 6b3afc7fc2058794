//! `init`: by flags, by a person at a terminal, and with a name server's help; from nothing to a
//! message.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

mod again;
mod dns;
mod finding;
mod flags;
mod person;
mod places;
mod rig;
mod served;
mod service;
#[path = "../support/mod.rs"]
mod support;
