//! mailbearer keeps old mail clients working after providers switched passwords off.
//!
//! The modules stand on floors, and imports only go down: `docs/ARCHITECTURE.md` shows them and
//! `tests/architecture.rs` holds them.

pub mod account;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod logging;
pub mod names;
pub mod net;
pub mod oauth;
pub mod proto;
pub mod provider;
pub mod refusal;
pub mod relay;
pub mod sandbox;
pub mod secret;
pub mod store;
pub mod web;
