//! What upstreams showed: what EHLO and CAPABILITY tell a client whose upstream is not known yet.
//!
//! A client chooses from what we show what it may do, and is then connected to an upstream that it
//! never asked. So what is shown is what every upstream that it may reach has shown in its last
//! session with an accepted sign-in, and until then what the provider's preset declares.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing::warn;

use crate::proto::imap::NonSyncLiterals;
use crate::proto::smtp::Extensions;
use crate::provider::MailHost;

/// What each upstream is taken to show. One entry for each host of the configuration.
#[derive(Debug, Default)]
pub(crate) struct Records {
    ehlo: Mutex<HashMap<MailHost, Extensions>>,
    literals: Mutex<HashMap<MailHost, NonSyncLiterals>>,
    /// Upstreams of which it was said that they lack what clients were shown.
    told: Mutex<HashSet<MailHost>>,
}

impl Records {
    /// Takes `host` to show what a preset declares, until it has shown itself.
    pub(crate) fn declare_ehlo(&self, host: &MailHost, declared: Extensions) {
        lock(&self.ehlo).entry(host.clone()).or_insert(declared);
    }

    /// What EHLO may show to a client that may reach `hosts`.
    pub(crate) fn ehlo(&self, hosts: &[MailHost]) -> Extensions {
        let shown = lock(&self.ehlo);
        let sets = hosts.iter().map(|host| shown.get(host).cloned().unwrap_or_default());
        sets.reduce(|left, right| left.intersection(&right)).unwrap_or_default()
    }

    /// Keeps what the EHLO of `host` showed in a session whose sign-in it accepted.
    pub(crate) fn learn_ehlo(&self, host: &MailHost, extensions: &Extensions) {
        let mut shown = lock(&self.ehlo);
        if shown.get(host) == Some(extensions) {
            return;
        }
        if let Some(before) = shown.insert(host.clone(), extensions.clone()) {
            self.tell(host, &extensions.lacking(&before));
        }
    }

    /// Whether CAPABILITY may show LITERAL+ to a client that may reach `hosts`.
    pub(crate) fn literals(&self, hosts: &[MailHost]) -> NonSyncLiterals {
        let shown = lock(&self.literals);
        let offered = |host| shown.get(host) == Some(&NonSyncLiterals::Offered);
        if !hosts.is_empty() && hosts.iter().all(offered) {
            NonSyncLiterals::Offered
        } else {
            NonSyncLiterals::NotOffered
        }
    }

    /// Keeps whether `host` showed LITERAL+ in a session whose sign-in it accepted.
    pub(crate) fn learn_literals(&self, host: &MailHost, literals: NonSyncLiterals) {
        let mut shown = lock(&self.literals);
        if shown.get(host) == Some(&literals) {
            return;
        }
        if shown.insert(host.clone(), literals) == Some(NonSyncLiterals::Offered) {
            self.tell(host, &["LITERAL+".to_owned()]);
        }
    }

    /// Says that `host` lacks what clients were shown; once, for servers that answer to one name
    /// may differ and be met in turns.
    fn tell(&self, host: &MailHost, lacking: &[String]) {
        if !lacking.is_empty() && lock(&self.told).insert(host.clone()) {
            warn!(
                upstream = %host, ?lacking,
                "the upstream lacks what clients were shown; they are shown less from now on"
            );
        }
    }
}

fn lock<T>(records: &Mutex<T>) -> MutexGuard<'_, T> {
    records.lock().unwrap_or_else(PoisonError::into_inner)
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
        let records = Records::default();
        records.declare_ehlo(&exchange, full.clone());
        records.declare_ehlo(&own, Extensions::default());
        assert_eq!(records.ehlo(slice::from_ref(&exchange)), full, "declared, until more is known");
        let both = [exchange, own];
        assert_eq!(records.ehlo(&both), Extensions::default(), "nothing is known of the other");
        let [_, own] = &both;
        records.learn_ehlo(own, &Extensions::declared(&["SIZE 50", "8BITMIME", "DSN"]));
        assert_eq!(records.ehlo(&both), Extensions::declared(&["SIZE 50", "8BITMIME"]));
    }

    #[test]
    fn ehlo_follows_the_last_session_of_an_upstream_and_no_later_declaration() {
        let exchange = host("exchange.example");
        let records = Records::default();
        records.declare_ehlo(&exchange, Extensions::declared(&["SIZE 100", "CHUNKING"]));
        for last in
            [["SIZE 20", "8BITMIME"], ["SIZE 20", "DSN"]].map(|it| Extensions::declared(&it))
        {
            records.learn_ehlo(&exchange, &last);
            records.declare_ehlo(&exchange, Extensions::declared(&["CHUNKING"]));
            assert_eq!(records.ehlo(slice::from_ref(&exchange)), last);
        }
    }

    #[test]
    fn literal_plus_is_shown_where_every_reachable_upstream_showed_it() {
        let both = [host("exchange.example"), host("own.example")];
        let [exchange, own] = &both;
        let records = Records::default();
        assert_eq!(records.literals(&both), NonSyncLiterals::NotOffered, "nothing is known");
        records.learn_literals(exchange, NonSyncLiterals::Offered);
        assert_eq!(records.literals(&both), NonSyncLiterals::NotOffered);
        assert_eq!(records.literals(slice::from_ref(exchange)), NonSyncLiterals::Offered);
        records.learn_literals(own, NonSyncLiterals::Offered);
        assert_eq!(records.literals(&both), NonSyncLiterals::Offered);
        records.learn_literals(own, NonSyncLiterals::NotOffered);
        assert_eq!(records.literals(&both), NonSyncLiterals::NotOffered);
        assert_eq!(records.literals(&[]), NonSyncLiterals::NotOffered);
    }

    #[test]
    fn an_upstream_that_lacks_what_was_shown_is_told_of_once() {
        let [exchange, own] = [host("exchange.example"), host("own.example")];
        let records = Records::default();
        records.declare_ehlo(&exchange, Extensions::declared(&["DSN", "CHUNKING"]));
        records.learn_ehlo(&exchange, &Extensions::declared(&["DSN", "CHUNKING", "8BITMIME"]));
        assert!(lock(&records.told).is_empty(), "more than was shown is no lack");
        records.learn_ehlo(&exchange, &Extensions::declared(&["DSN"]));
        assert!(lock(&records.told).contains(&exchange));
        records.learn_literals(&own, NonSyncLiterals::NotOffered);
        records.learn_literals(&own, NonSyncLiterals::Offered);
        assert!(!lock(&records.told).contains(&own));
        records.learn_literals(&own, NonSyncLiterals::NotOffered);
        assert!(lock(&records.told).contains(&own));
    }
}
