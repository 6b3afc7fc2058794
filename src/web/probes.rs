//! The probes: whether the relay lives, has started and is ready, and its metrics, for whoever
//! supervises it.
//!
//! In:     GET and HEAD, from anybody who reaches the address; no token.
//! Out:    `/livez`, `/startupz`, `/readyz`, `/metrics`; everything else is 404. No provider is asked
//!         and nothing is written.
//! Limits: those of `web/http.rs`.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::http::serve;
use super::metrics::{Format, Metrics};
use super::operator::Operator;
pub use super::survey::Numbers;
use super::survey::Survey;
use crate::relay::meter::Meter;

/// Where a relay tells whether it is ready.
pub const READY_PATH: &str = "/readyz";

/// What a probe of a relay that is well hears, where there is nothing else to tell.
const WELL: &str = "ok\n";

/// The probes of one relay. Cloning shares them.
#[derive(Debug, Clone)]
pub struct Probes {
    operator: Operator,
    survey: Survey,
    metrics: Metrics,
}

/// What `/readyz` says. Members are added, never renamed.
#[derive(Debug, Serialize, Deserialize)]
pub struct Readiness {
    /// Whether clients are served.
    pub ready: bool,
    /// Why not, each in a sentence.
    pub not_ready: Vec<String>,
    /// Whether a refresh token or a local password is in memory alone.
    pub unsaved: bool,
    /// Numbers alone; null where they are not known yet.
    pub accounts: Option<Numbers>,
}

impl Probes {
    /// Those of the relay that `operator` stands for and `meter` counts.
    pub fn new(operator: Operator, meter: &Meter) -> Self {
        let survey = Survey::new(operator.clone());
        let metrics = Metrics::new(meter, &operator.tokens, survey.clone());
        Self { operator, survey, metrics }
    }

    /// Answers on `listener` until `stop`. The relay has started when this is called.
    pub fn serve(
        &self,
        listener: TcpListener,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send + 'static {
        serve(listener, self.router(), stop)
    }

    fn router(&self) -> Router {
        Router::new()
            // An answer shows that tasks are run; nothing else is looked at, for a restart mends
            // nothing else.
            .route("/livez", get(async || not_stored(WELL)))
            .route("/startupz", get(async || not_stored(WELL)))
            .route(READY_PATH, get(readiness))
            .route("/metrics", get(metrics))
            .fallback(async || (StatusCode::NOT_FOUND, "there is no such probe\n"))
            .with_state(self.clone())
    }
}

/// An account that does not work makes no relay unready: the others would go with it, and no restart
/// mends it.
async fn readiness(State(probes): State<Probes>) -> Response {
    let not_ready = match probes.operator.health() {
        Ok(not_ready) => not_ready,
        Err(error) => vec![error.to_string()],
    };
    let ready = not_ready.is_empty();
    let found = if ready { probes.survey.look().await } else { probes.survey.latest() };
    let readiness = Readiness {
        ready,
        not_ready,
        unsaved: probes.survey.is_unsaved(),
        accounts: found.map(|found| found.numbers),
    };
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, not_stored(Json(readiness))).into_response()
}

async fn metrics(State(probes): State<Probes>, headers: HeaderMap) -> Response {
    let format = Format::asked_for(&headers);
    probes.survey.look().await;
    let Ok(text) = probes.metrics.text(format) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let content_type = HeaderValue::from_static(format.content_type());
    let mut response = not_stored(text);
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

fn not_stored(answer: impl IntoResponse) -> Response {
    let mut response = answer.into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
