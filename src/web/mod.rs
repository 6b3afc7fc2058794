//! What people and programs ask of a relay by HTTP: the control socket, and the page.

pub mod accounts;
pub mod admin;
mod callback;
pub mod consents;
pub mod control;
pub(crate) mod html;
pub(crate) mod http;
pub mod moment;
pub mod operator;
pub mod page;
