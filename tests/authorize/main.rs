//! `authorize` in all its forms, as a person, a browser and a script see it: before the stand-in
//! provider, with a relay that runs and without one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

mod browser;
mod device;
mod gone;
mod listener;
mod page;
mod paste;
mod rig;
#[path = "../support/mod.rs"]
mod support;
