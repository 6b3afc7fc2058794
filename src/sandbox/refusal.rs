//! What the token endpoint answers when it gives nothing (RFC 6749 section 5.2).

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

/// An error of RFC 6749 section 5.2.
pub(super) struct Refusal {
    pub(super) error: &'static str,
    pub(super) description: &'static str,
}

pub(super) const INVALID_CLIENT: Refusal =
    Refusal { error: "invalid_client", description: "the client or its secret is wrong" };
pub(super) const INVALID_GRANT: Refusal =
    Refusal { error: "invalid_grant", description: "the refresh token is unknown or was ended" };
pub(super) const INVALID_CODE: Refusal =
    Refusal { error: "invalid_grant", description: "the code brings no token, or none any more" };
pub(super) const INVALID_PASSWORD: Refusal =
    Refusal { error: "invalid_grant", description: "the name or the password is wrong" };
pub(super) const INVALID_ASSERTION: Refusal =
    Refusal { error: "invalid_grant", description: "the assertion is malformed or has expired" };
pub(super) const NO_RANDOM: Refusal =
    Refusal { error: "server_error", description: "the system has no random numbers" };
pub(super) const INVALID_REQUEST: Refusal =
    Refusal { error: "invalid_request", description: "this is no form" };
pub(super) const INVALID_SCOPE: Refusal =
    Refusal { error: "invalid_scope", description: "the scope is unknown or missing" };
pub(super) const INCOMPLETE: Refusal =
    Refusal { error: "invalid_request", description: "a parameter is missing" };
pub(super) const UNSUPPORTED_GRANT_TYPE: Refusal =
    Refusal { error: "unsupported_grant_type", description: "this kind of grant is unknown here" };

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = error(self.error, self.description);
        if self.error == INVALID_CLIENT.error {
            let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"sandbox\"")];
            return (StatusCode::UNAUTHORIZED, challenge, body).into_response();
        }
        (StatusCode::BAD_REQUEST, body).into_response()
    }
}

/// The body of an error.
pub(super) fn error(error: &str, description: &str) -> Json<serde_json::Value> {
    Json(serde_json::json!({ "error": error, "error_description": description }))
}
