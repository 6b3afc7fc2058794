//! What EHLO shows before the upstream is known.
//!
//! A client chooses what it may do from our EHLO and is then connected to an upstream that it never
//! asked. So what is shown is what every upstream that it may reach has shown in its last session
//! with an accepted sign-in, and until then what the provider's preset declares.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tracing::warn;

use crate::proto::smtp::Extensions;
use crate::provider::MailHost;

/// What each upstream showed last. One entry for each host of the configuration.
#[derive(Debug, Default)]
pub(crate) struct EhloRecords {
    shown: Mutex<HashMap<MailHost, Extensions>>,
}

/// The upstreams that one listener reaches, each with what its preset declares.
#[derive(Debug, Default)]
pub(crate) struct Reachable {
    upstreams: Vec<(MailHost, Extensions)>,
}

impl Reachable {
    /// Adds an upstream.
    pub(crate) fn add(&mut self, host: &MailHost, declared: Extensions) {
        if !self.upstreams.iter().any(|(known, _)| known == host) {
            self.upstreams.push((host.clone(), declared));
        }
    }
}

impl EhloRecords {
    /// What may be shown to a client that may reach `reachable`.
    pub(crate) fn show(&self, reachable: &Reachable) -> Extensions {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let sets = reachable
            .upstreams
            .iter()
            .map(|(host, declared)| shown.get(host).unwrap_or(declared).clone());
        sets.reduce(|left, right| left.intersection(&right)).unwrap_or_default()
    }

    /// Keeps what `host` showed in a session whose sign-in it accepted. Says so once when it no
    /// longer shows what it showed before.
    pub(crate) fn learn(&self, host: &MailHost, extensions: &Extensions) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.get(host) == Some(extensions) {
            return;
        }
        if let Some(before) = shown.insert(host.clone(), extensions.clone()) {
            let lacking = extensions.lacking(&before);
            if !lacking.is_empty() {
                warn!(
                    upstream = %host, ?lacking,
                    "the upstream shows less in EHLO than before, and so do we from now on"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::UpstreamTls;

    fn host(name: &str) -> MailHost {
        MailHost { host: name.to_owned(), port: 587, tls: UpstreamTls::StartTls }
    }

    #[test]
    fn ehlo_shows_what_all_reachable_upstreams_have_in_common() {
        let (exchange, own) = (host("exchange.example"), host("own.example"));
        let full = Extensions::declared(&["SIZE 100", "8BITMIME", "PIPELINING"]);
        let mut reachable = Reachable::default();
        reachable.add(&exchange, full.clone());
        let records = EhloRecords::default();
        assert_eq!(records.show(&reachable), full, "the preset's set until more is known");
        reachable.add(&own, Extensions::default());
        assert_eq!(
            records.show(&reachable),
            Extensions::default(),
            "nothing is known of the other"
        );
        records.learn(&own, &Extensions::declared(&["SIZE 50", "8BITMIME", "DSN"]));
        assert_eq!(records.show(&reachable), Extensions::declared(&["SIZE 50", "8BITMIME"]));
    }

    #[test]
    fn ehlo_follows_the_last_session_of_an_upstream() {
        let exchange = host("exchange.example");
        let mut reachable = Reachable::default();
        reachable.add(&exchange, Extensions::declared(&["SIZE 100", "CHUNKING"]));
        let records = EhloRecords::default();
        records.learn(&exchange, &Extensions::declared(&["SIZE 20"]));
        assert_eq!(records.show(&reachable), Extensions::declared(&["SIZE 20"]));
        records.learn(&exchange, &Extensions::declared(&["SIZE 20", "DSN"]));
        assert_eq!(records.show(&reachable), Extensions::declared(&["SIZE 20", "DSN"]));
    }
}
