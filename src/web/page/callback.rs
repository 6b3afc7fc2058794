//! The answers of providers, which browsers bring.

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse as _, Response};

use super::{Room, carried_through, status_of};
use crate::web::html::{self, Document, Place};

/// Takes an answer. Whatever stands in it is shown to nobody, and it needs no session: the person
/// who consents may be another one than whoever asked for it.
pub(super) async fn take(State(room): State<Room>, RawQuery(query): RawQuery) -> Response {
    let operator = room.desk.operator.clone();
    let query = query.unwrap_or_default();
    let outcome = carried_through(async move { operator.answer_consent(&query).await }).await;
    let status = outcome.as_ref().map_or_else(status_of, |_| StatusCode::OK);
    let (title, mut body) = html::ended(outcome.as_ref().map(|kept| &kept.it), Place::Page);
    body += "<p><a href=\"/\">To the accounts</a></p>";
    let document = Document { title, refresh: None, signs_out: None, has_home: true, body: &body };
    (status, Html(document.render())).into_response()
}
