//! The addresses of names, as the system's resolver has them.
//!
//! The resolver blocks, so each question costs the turn of a thread, and what the system's own
//! configuration says about names is read anew each time. Where sessions come one after another, they
//! share an answer.
//!
//! Kept: an answer for `KEPT_FOR`, the latest `NAMES_MAX` of them; no failure. Forgotten before
//!       when none of its addresses accepts a connection.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::Instant;

/// How long an answer is used again. A few seconds are as good as all for a busy relay, and whoever
/// has changed an address does not notice them.
const KEPT_FOR: Duration = Duration::from_secs(5);

/// Most answers that are kept: each provider has three servers at most.
const NAMES_MAX: usize = 64;

/// Asks the system's resolver; keeps its answers for a moment. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Resolver(Arc<Mutex<Vec<Answer>>>);

/// What a name was found to be.
#[derive(Debug)]
struct Answer {
    host: String,
    port: u16,
    addresses: Vec<SocketAddr>,
    found_at: Instant,
}

impl Resolver {
    /// The addresses of `host`, with `port`.
    pub(super) async fn addresses(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = host.parse() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        self.answer(host, port, async { Ok(lookup_host((host, port)).await?.collect()) }).await
    }

    /// The same; the resolver's answer is what `asked` gives, which is polled only if it is needed.
    async fn answer(
        &self,
        host: &str,
        port: u16,
        asked: impl Future<Output = io::Result<Vec<SocketAddr>>>,
    ) -> io::Result<Vec<SocketAddr>> {
        let is_asked = |it: &&Answer| it.port == port && it.host == host && it.is_fresh();
        if let Some(answer) = self.lock().iter().find(is_asked) {
            return Ok(answer.addresses.clone());
        }
        let addresses = asked.await?;
        let mut answers = self.lock();
        answers.retain(|it| it.is_fresh() && (it.port, it.host.as_str()) != (port, host));
        if answers.len() >= NAMES_MAX {
            answers.remove(0);
        }
        let (host, found_at) = (host.to_owned(), Instant::now());
        answers.push(Answer { host, port, addresses: addresses.clone(), found_at });
        Ok(addresses)
    }

    /// Has the resolver asked again at the next connection to `host`: nothing is at `port` of where it
    /// was found.
    pub(super) fn forget(&self, host: &str, port: u16) {
        self.lock().retain(|it| (it.port, it.host.as_str()) != (port, host));
    }

    /// Whether an answer of late is kept.
    #[cfg(test)]
    pub(super) fn knows(&self, host: &str, port: u16) -> bool {
        self.lock().iter().any(|it| (it.port, it.host.as_str()) == (port, host))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Answer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answer {
    fn is_fresh(&self) -> bool {
        self.found_at.elapsed() < KEPT_FOR
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const HOST: &str = "mail.example";

    fn at(last: u8) -> Vec<SocketAddr> {
        vec![SocketAddr::from(([192, 0, 2, last], 993))]
    }

    /// What is taken for `host` when the resolver has `now`.
    async fn found(resolver: &Resolver, host: &str, now: Vec<SocketAddr>) -> Vec<SocketAddr> {
        resolver.answer(host, 993, async { Ok(now) }).await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_used_for_five_seconds_and_no_longer() {
        let resolver = Resolver::default();
        assert_eq!(found(&resolver, HOST, at(1)).await, at(1));
        advance(KEPT_FOR - Duration::from_millis(1)).await;
        assert_eq!(found(&resolver.clone(), HOST, at(2)).await, at(1));
        assert_eq!(found(&resolver, "other.example", at(3)).await, at(3));
        advance(Duration::from_millis(1)).await;
        // Its use has not made it younger.
        assert_eq!(found(&resolver, HOST, at(2)).await, at(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_not_kept_and_what_was_forgotten_is_asked_for_again() {
        let resolver = Resolver::default();
        let failure = async { Err(io::ErrorKind::NotFound.into()) };
        assert!(resolver.answer(HOST, 993, failure).await.is_err());
        assert_eq!(found(&resolver, HOST, at(1)).await, at(1));
        resolver.forget(HOST, 587);
        assert_eq!(found(&resolver, HOST, at(2)).await, at(1));
        resolver.forget(HOST, 993);
        assert_eq!(found(&resolver, HOST, at(2)).await, at(2));
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_answers_make_room() {
        let resolver = Resolver::default();
        found(&resolver, HOST, at(1)).await;
        for n in 1..NAMES_MAX {
            found(&resolver, &format!("{n}.example"), at(2)).await;
        }
        assert_eq!(found(&resolver, HOST, at(3)).await, at(1));
        found(&resolver, "last.example", at(2)).await;
        assert_eq!(resolver.lock().len(), NAMES_MAX);
        assert_eq!(found(&resolver, HOST, at(3)).await, at(3));
    }

    #[tokio::test]
    async fn an_address_is_no_name() {
        let resolver = Resolver::default();
        let found = resolver.addresses("2001:db8::1", 25).await.unwrap();
        assert_eq!(found, ["[2001:db8::1]:25".parse().unwrap()]);
        assert!(resolver.lock().is_empty());
    }
}
