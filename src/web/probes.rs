//! The probes: whether the relay lives, has started and is ready, and its metrics, for whoever
//! supervises it.
//!
//! In:     GET and HEAD, from anybody who reaches the address; no token.
//! Out:    `/livez`, `/startupz`, `/readyz`, `/metrics`; everything else is 404. No provider is asked
//!         and nothing is written.
//! Limits: those of `web/http.rs`. One address holds a share of the connections, and one more takes
//!         the place of its oldest, so a probe is answered at once. This machine and every other
//!         one: in a cluster probes come from a node, and so does much else.
//! Hosts:  at a loopback address a request has to name that address or `localhost`. A page in a
//!         browser on this machine may name its own host, have it resolve to here (DNS rebinding),
//!         and read who the accounts are.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::http::{Ends, Shares, serve};
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
        serve(listener, self.router(), Shares::ROLLING, stop)
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
            .layer(middleware::from_fn(refuse_other_hosts))
            .with_state(self.clone())
    }
}

/// Answers only who names this machine, where nobody else may connect.
async fn refuse_other_hosts(
    Extension(ends): Extension<Ends>,
    request: Request,
    next: Next,
) -> Response {
    let host = request.headers().get(header::HOST);
    // Without one, as HTTP/1.0 of balancers has it, no browser has asked.
    if ends.local.ip().is_loopback() && host.is_some_and(|host| !names_this_machine(host)) {
        return (StatusCode::FORBIDDEN, "Host has to be localhost or an IP address\n")
            .into_response();
    }
    next.run(request).await
}

/// Whether `host`, with a port or without, is `localhost` or an address: no name can be made to
/// resolve to here then.
fn names_this_machine(host: &HeaderValue) -> bool {
    let Ok(authority) = Authority::try_from(host.as_bytes()) else { return false };
    let name = authority.host();
    let address = name.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_this_machine_by_an_address_or_localhost_alone() {
        for host in ["localhost", "LocalHost:8588", "127.0.0.1", "127.0.0.1:1", "[::1]:8588"] {
            assert!(names_this_machine(&HeaderValue::from_static(host)), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:8588", ""] {
            assert!(!names_this_machine(&HeaderValue::from_static(host)), "{host}");
        }
    }
}
