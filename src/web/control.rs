//! The control socket: HTTP over a unix socket, for the owner of the running relay alone.
//!
//! The same router answers a command that runs without a relay, within its own process, so each
//! command is carried out by the same code either way.

use axum::Router;

use super::operator::Operator;

/// Name of the socket in the state directory.
pub const SOCKET: &str = "control.sock";

/// What the control socket serves.
pub fn router(operator: Operator) -> Router {
    Router::new().with_state(operator)
}
