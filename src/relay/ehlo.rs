//! What EHLO shows before the upstream is known.
//!
//! A client chooses what it may do from our EHLO and is then connected to an upstream that it never
//! asked. So what is shown is what every upstream that it may reach has shown in its last session
//! with an accepted sign-in, and until then what the provider's preset declares.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing::warn;

use crate::proto::smtp::Extensions;
use crate::provider::MailHost;

/// What each upstream is taken to show. One entry for each host of the configuration.
#[derive(Debug, Default)]
pub(crate) struct EhloRecords {
    shown: Mutex<HashMap<MailHost, Extensions>>,
}

impl EhloRecords {
    /// Takes `host` to show what a preset declares, until it has shown itself.
    pub(crate) fn declare(&self, host: &MailHost, declared: Extensions) {
        self.lock().entry(host.clone()).or_insert(declared);
    }

    /// What may be shown to a client that may reach `hosts`.
    pub(crate) fn show(&self, hosts: &[MailHost]) -> Extensions {
        let shown = self.lock();
        let sets = hosts.iter().map(|host| shown.get(host).cloned().unwrap_or_default());
        sets.reduce(|left, right| left.intersection(&right)).unwrap_or_default()
    }

    /// Keeps what `host` showed in a session whose sign-in it accepted. Says so once when it lacks
    /// what clients were shown before.
    pub(crate) fn learn(&self, host: &MailHost, extensions: &Extensions) {
        let mut shown = self.lock();
        if shown.get(host) == Some(extensions) {
            return;
        }
        if let Some(before) = shown.insert(host.clone(), extensions.clone()) {
            let lacking = extensions.lacking(&before);
            if !lacking.is_empty() {
                warn!(
                    upstream = %host, ?lacking,
                    "the upstream lacks what EHLO showed; clients are shown less from now on"
                );
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<MailHost, Extensions>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::slice;

    use super::*;
    use crate::provider::UpstreamTls;

    fn host(name: &str) -> MailHost {
        MailHost { host: name.to_owned(), port: 587, tls: UpstreamTls::StartTls }
    }

    #[test]
    fn ehlo_shows_what_all_reachable_upstreams_have_in_common() {
        let (exchange, own) = (host("exchange.example"), host("own.example"));
        let full = Extensions::declared(&["SIZE 100", "8BITMIME", "PIPELINING"]);
        let records = EhloRecords::default();
        records.declare(&exchange, full.clone());
        records.declare(&own, Extensions::default());
        assert_eq!(records.show(slice::from_ref(&exchange)), full, "declared, until more is known");
        let both = [exchange, own];
        assert_eq!(records.show(&both), Extensions::default(), "nothing is known of the other");
        let [_, own] = &both;
        records.learn(own, &Extensions::declared(&["SIZE 50", "8BITMIME", "DSN"]));
        assert_eq!(records.show(&both), Extensions::declared(&["SIZE 50", "8BITMIME"]));
    }

    #[test]
    fn ehlo_follows_the_last_session_of_an_upstream_and_no_later_declaration() {
        let exchange = host("exchange.example");
        let records = EhloRecords::default();
        records.declare(&exchange, Extensions::declared(&["SIZE 100", "CHUNKING"]));
        for last in
            [["SIZE 20", "8BITMIME"], ["SIZE 20", "DSN"]].map(|it| Extensions::declared(&it))
        {
            records.learn(&exchange, &last);
            records.declare(&exchange, Extensions::declared(&["CHUNKING"]));
            assert_eq!(records.show(slice::from_ref(&exchange)), last);
        }
    }
}
