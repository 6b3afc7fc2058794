//! The control socket: HTTP over a unix socket, for the owner of the running relay alone.
//!
//! In:     POST, a JSON object of at most [`ASK_LEN_MAX`] bytes; each kind is an [`Ask`].
//! Out:    its answer in JSON, or a [`Failure`]. Nothing may be stored on the way. A [`Telling`] is
//!         answered line by line.
//! Secret: passwords and tokens cross it in clear, so it is opened to its owner and root alone.
//!
//! The same router answers a command that runs without a relay, within its own process, so each
//! command is carried out by the same code either way.

mod about;
mod ask;
mod failure;
mod socket;
mod telling;
#[cfg(test)]
pub(crate) mod tests;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::de::DeserializeOwned;

pub use self::about::{FILE, named};
pub use self::ask::{
    AnswerConsent, Ask, Authorize, Authorized, BeginConsent, CheckHealth, ClosedRow, ConsentBegun,
    ConsentKept, ConsentProgress, EndConsent, Extent, Facts, ForeseeRevocation, GatherFacts,
    GetToken, GoOnline, GotToken, HealthTold, ListPasswords, MadePassword, MakePassword,
    PasswordRow, ReachableRow, Reload, Reloaded, RevocationForeseen, Revoke, RevokePassword,
    Revoked, RevokedWhere, SaidRow, SendTest, SentTest, ShowAccounts, ShowReachable, Shown,
    StepResult, StepRow, Walked,
};
pub use self::failure::Failure;
pub use self::socket::{ControlSocket, bind};
pub use self::telling::{Teller, Telling, Told};
use super::operator::{Operator, OperatorError};

/// Name of the socket in the state directory.
pub const SOCKET: &str = "control.sock";

/// Longest request body, in bytes: a refresh token of 64 KiB, were each of its characters escaped,
/// and names.
pub const ASK_LEN_MAX: usize = 160 * 1024;

/// What the control socket serves.
pub fn router(operator: Operator) -> Router {
    let router = Router::new();
    let router = route::<ShowAccounts>(router);
    let router = route::<MakePassword>(router);
    let router = route::<ListPasswords>(router);
    let router = route::<RevokePassword>(router);
    let router = route::<GetToken>(router);
    let router = route::<Authorize>(router);
    let router = route::<ForeseeRevocation>(router);
    let router = route::<Revoke>(router);
    let router = route::<BeginConsent>(router);
    let router = route::<ConsentProgress>(router);
    let router = route::<AnswerConsent>(router);
    let router = route::<EndConsent>(router);
    let router = route::<ShowReachable>(router);
    let router = route::<GoOnline>(router);
    let router = telling::route::<SendTest>(router);
    let router = route::<Reload>(router);
    let router = route::<CheckHealth>(router);
    let router = route::<GatherFacts>(router);
    router
        .fallback(async || {
            failed(&OperatorError::Malformed("this relay knows no such request".into()))
        })
        .layer(DefaultBodyLimit::max(ASK_LEN_MAX))
        .with_state(operator)
}

fn route<A: Ask>(router: Router<Operator>) -> Router<Operator> {
    router.route(A::PATH, post(answer::<A>))
}

async fn answer<A: Ask>(
    State(operator): State<Operator>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let ask: A = match read_ask(A::PATH, body) {
        Ok(ask) => ask,
        Err(error) => return failed(&error),
    };
    // Whoever asked may be gone by Ctrl-C at any time; what has begun goes on to its end all the
    // same, because a new refresh token may be on its way.
    let carried_out = tokio::spawn(ask.carry_out(operator)).await;
    match carried_out.unwrap_or(Err(OperatorError::BrokenOff)) {
        Ok(answer) => not_stored(Json(answer).into_response()),
        Err(error) => failed(&error),
    }
}

/// Reads a request to `path`.
fn read_ask<T: DeserializeOwned>(
    path: &str,
    body: Result<Bytes, BytesRejection>,
) -> Result<T, OperatorError> {
    let reason = match body.map(|body| serde_json::from_slice(&body)) {
        Ok(Ok(ask)) => return Ok(ask),
        // The parser's own message may repeat what was sent, a secret among it.
        Ok(Err(error)) => format!("the request is no {path} ({:?})", error.classify()),
        Err(_) => format!("the request is longer than {ASK_LEN_MAX} bytes"),
    };
    Err(OperatorError::Malformed(reason))
}

fn failed(error: &OperatorError) -> Response {
    refused(&Failure::new(error))
}

fn refused(failure: &Failure) -> Response {
    not_stored((failure.status(), Json(failure)).into_response())
}

fn not_stored(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
