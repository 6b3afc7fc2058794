//! What people and programs ask of a relay by HTTP: the control socket, the page, and the probes.

pub mod accounts;
pub mod admin;
mod callback;
pub mod consents;
pub mod control;
pub(crate) mod html;
pub(crate) mod http;
mod metrics;
pub mod moment;
pub mod operator;
pub mod page;
pub mod probes;
mod survey;
