//! The meter of token requests: what came of each, by the way in which tokens are asked for.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::error::ErrorKind;
use crate::provider::GrantKind;

/// What is said of a token that came.
const DONE: &str = "ok";

/// Labels, which are words of this program: there are as many series from the start as ever.
type Labels = [(&'static str, &'static str); 2];

/// What is counted. Cloning shares it.
#[derive(Debug, Clone)]
pub(super) struct Meter(Family<Labels, Counter>);

impl Default for Meter {
    fn default() -> Self {
        let meter = Self(Family::default());
        for grant in GrantKind::ALL {
            let failures = ErrorKind::ALL.into_iter().map(Some);
            for failure in failures.chain([None]) {
                meter.counter(grant, failure);
            }
        }
        meter
    }
}

impl Meter {
    /// Counts an attempt to get a token, and why it failed if it did.
    pub(super) fn count(&self, grant: GrantKind, failure: Option<ErrorKind>) {
        self.counter(grant, failure).inc();
    }

    /// As [`super::Tokens::register`].
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Attempts to get a new access token, by what came of them";
        registry.register("token_requests", help, self.0.clone());
    }

    fn counter(&self, grant: GrantKind, failure: Option<ErrorKind>) -> Counter {
        let outcome = failure.map_or(DONE, ErrorKind::name);
        self.0.get_or_create_owned(&[("grant", grant.name()), ("outcome", outcome)])
    }
}
