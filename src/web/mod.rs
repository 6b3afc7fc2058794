//! What people and programs ask of a relay by HTTP. Only the control socket so far.

pub mod accounts;
pub mod control;
pub mod moment;
pub mod operator;
