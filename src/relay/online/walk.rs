//! A walk: every step from the server's name to the accepted sign-in, and what came of each.
//!
//! The path is that of sessions (`relay::upstream`). The token is asked for beside the dialling, and
//! for as long as either takes both go on, so that one walk tells of both.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use rustls::{CipherSuite, ProtocolVersion};
use tokio::time::{Instant, timeout, timeout_at};

use super::{Obstacle, Online, Way, host_of, leave};
use crate::account::directory::Account;
use crate::oauth::{Token, TokenError};
use crate::proto::Upstream;
use crate::provider::{Mechanism, Protocol, UpstreamTls};
use crate::relay::meter::Took;
use crate::relay::protocol::{Imap, MailProtocol, Pop3, Submission};
use crate::relay::upstream::{
    Destination, Progress, Reached, SIGN_IN_TIMEOUT, SignInError, UpstreamStream, reach,
};
use crate::relay::verdict::sign_in_again;

/// How long a walk may take until its last step is done. A command waits 60 s for its answer.
const WALK_TIMEOUT: Duration = Duration::from_secs(50);

/// How many addresses of a server are told.
const ADDRESSES_TOLD_MAX: usize = 4;

/// What a walk found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walk {
    /// Host and port.
    pub host: String,
    /// Every step, in order.
    pub steps: Vec<Step>,
}

/// A step of a walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Which.
    pub name: StepName,
    /// What came of it.
    pub outcome: Outcome,
}

/// Which step it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepName {
    /// The server's addresses.
    Dns,
    /// The connection.
    Tcp,
    /// TLS, with STARTTLS where it is due.
    Tls,
    /// The access token.
    Token,
    /// The sign-in with the token.
    SignIn(Mechanism),
}

impl fmt::Display for StepName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dns => "DNS",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Token => "token",
            Self::SignIn(mechanism) => mechanism.name(),
        })
    }
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is done; this is worth knowing of it.
    Done(String),
    /// It failed.
    Failed(Obstacle),
    /// It was not tried, because one before it failed.
    NotTried,
}

impl Online {
    /// Goes the way to the server of `account` for `protocol`, signs in, and leaves.
    ///
    /// # Errors
    /// When there is no such server.
    pub async fn walk(&self, account: &Account, protocol: Protocol) -> Result<Walk, Obstacle> {
        match protocol {
            Protocol::Submission => Box::pin(self.walk_by::<Submission>(account)).await,
            Protocol::Imap => Box::pin(self.walk_by::<Imap>(account)).await,
            Protocol::Pop3 => Box::pin(self.walk_by::<Pop3>(account)).await,
        }
    }

    async fn walk_by<P: MailProtocol>(&self, account: &Account) -> Result<Walk, Obstacle> {
        let started = Instant::now();
        let host = host_of(account, P::PROTOCOL)?;
        let way = self.prepare::<P>(account, host).await?;
        let destination = way.destination::<P>();
        let mut progress = Progress::default();
        let machine = P::upstream(host.tls, destination.mechanism);
        let reaching =
            timeout(SIGN_IN_TIMEOUT, reach(destination.server(), machine, &mut progress));
        let (token, reached) = tokio::join!(self.token_of::<P>(&way, &destination), reaching);
        let timed_out = || SignInError::TimedOut { host: host.to_string() };
        let (reached, mut problem) = match reached.unwrap_or_else(|_| Err(timed_out())) {
            Ok(reached) => (Some(reached), None),
            Err(error) => (None, Some(way.obstacle(&error))),
        };
        let mut steps = steps_of(&progress, host.tls, &mut problem);
        steps.push(step(StepName::Token, told_of_token(&token, started)));
        let outcome = match (token, reached, problem) {
            (Ok(token), Some(reached), _) => {
                let signing_in = self.sign_in::<P>(&way, &destination, reached, &token);
                let signed_in = timeout_at(started + WALK_TIMEOUT, signing_in).await;
                match signed_in.unwrap_or_else(|_| Err(timed_out())) {
                    Ok((stream, which)) => {
                        leave(stream, P::PROTOCOL).await;
                        Outcome::Done(format!("signed in as {}{which}", destination.mailbox))
                    }
                    Err(error) => Outcome::Failed(way.obstacle(&error)),
                }
            }
            (Err(_), Some(reached), _) => {
                leave(reached.into_stream(), P::PROTOCOL).await;
                Outcome::NotTried
            }
            // The server was reached, and no sign-in can begin there.
            (_, None, Some(problem)) => Outcome::Failed(problem),
            (_, None, None) => Outcome::NotTried,
        };
        steps.push(step(StepName::SignIn(destination.mechanism), outcome));
        Ok(Walk { host: host.to_string(), steps })
    }

    async fn token_of<P: MailProtocol>(
        &self,
        way: &Way<'_>,
        destination: &Destination<'_>,
    ) -> Result<Token, TokenError> {
        let settings = way.account.settings();
        let grant = settings.grant.for_mailbox(destination.mailbox);
        self.tokens.access_token(&grant, settings.scopes.get(P::PROTOCOL)).await
    }

    /// Signs in, once more where a newer token may mend the refusal of the first, as sessions do;
    /// gives what is to be told of that.
    async fn sign_in<P: MailProtocol>(
        &self,
        way: &Way<'_>,
        destination: &Destination<'_>,
        reached: Reached<<P::Upstream as Upstream>::AwaitToken>,
        token: &Token,
    ) -> Result<(UpstreamStream, &'static str), SignInError> {
        let (account, tokens) = (way.account, &self.tokens);
        let signing_in = reached.authenticate(destination, &token.access_token);
        let first = timeout(SIGN_IN_TIMEOUT, signing_in).await;
        let timed_out = || SignInError::TimedOut { host: destination.host.to_string() };
        let (signed_in, which) = match first.unwrap_or_else(|_| Err(timed_out())) {
            Err(refused) if refused.may_be_mended_by_a_token() => {
                let refused = (refused, token);
                let again =
                    sign_in_again::<P>(tokens, account, destination, refused, &mut Took::default())
                        .await?;
                (again, ", by a newer token: the first one was refused")
            }
            first => (first?, ""),
        };
        tokens.accepted(account.name(), P::PROTOCOL);
        Ok((signed_in.stream, which))
    }
}

fn step(name: StepName, outcome: Outcome) -> Step {
    Step { name, outcome }
}

/// The steps until TLS is up. The first that was not done takes the `problem`.
fn steps_of(progress: &Progress, tls: UpstreamTls, problem: &mut Option<Obstacle>) -> Vec<Step> {
    let Progress { proxy, addresses, peer, tls: agreed, took: _ } = progress;
    let proxied = |told: String| match proxy {
        // The name of the server itself is resolved by the proxy.
        Some(proxy) => format!("{told}, of the proxy {proxy} (`egress.mail_proxy`)"),
        None => told,
    };
    let addresses = addresses.as_ref().map(|them| listed(them.iter().map(|it| it.ip())));
    let connected = match proxy {
        Some(_) => "connected through the proxy at",
        None => "connected to",
    };
    let done = [
        (StepName::Dns, addresses.map(proxied)),
        (StepName::Tcp, peer.map(|peer| format!("{connected} {peer}"))),
        (StepName::Tls, agreed.map(|agreed| told_of_tls(agreed, tls))),
    ];
    let steps = done.into_iter().map(|(name, done)| {
        let outcome = match done {
            Some(told) => Outcome::Done(told),
            None => problem.take().map_or(Outcome::NotTried, Outcome::Failed),
        };
        step(name, outcome)
    });
    steps.collect()
}

fn listed(addresses: impl Iterator<Item = IpAddr>) -> String {
    let mut addresses: Vec<String> = addresses.map(|address| address.to_string()).collect();
    addresses.dedup();
    let more = addresses.len().saturating_sub(ADDRESSES_TOLD_MAX);
    addresses.truncate(ADDRESSES_TOLD_MAX);
    let told = addresses.join(", ");
    if more == 0 { told } else { format!("{told} and {more} more") }
}

fn told_of_tls((version, suite): (ProtocolVersion, CipherSuite), tls: UpstreamTls) -> String {
    // This build speaks no other than these two.
    let version = if version == ProtocolVersion::TLSv1_2 { "TLS 1.2" } else { "TLS 1.3" };
    let began = match tls {
        UpstreamTls::Implicit => "from the first byte",
        UpstreamTls::StartTls => "by STARTTLS",
    };
    format!("{version} {began}, {}", suite.as_str().unwrap_or("an unknown cipher suite"))
}

fn told_of_token(token: &Result<Token, TokenError>, started: Instant) -> Outcome {
    match token {
        Ok(token) => {
            let source = if token.asked_at >= started { "new" } else { "from memory" };
            let left = token.life.saturating_sub(token.asked_at.elapsed());
            let left = humantime::format_duration(Duration::from_secs(left.as_secs()));
            Outcome::Done(format!("{source}, good for {left}"))
        }
        Err(error) => Outcome::Failed(Obstacle::of_token(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::Lasting;

    fn obstacle() -> Obstacle {
        Obstacle { cause: "no".into(), fix: "mend it".into(), lasting: Lasting::Permanent }
    }

    #[test]
    fn problem_belongs_to_the_first_step_that_was_not_done() {
        let address = "192.0.2.1:587".parse().unwrap();
        let agreed = (ProtocolVersion::TLSv1_3, CipherSuite::TLS13_AES_128_GCM_SHA256);
        let mut progress = Progress::default();
        for reached in 0..=3 {
            match reached {
                1 => progress.addresses = Some(vec![address]),
                2 => progress.peer = Some(address),
                3 => progress.tls = Some(agreed),
                _ => {}
            }
            let mut problem = Some(obstacle());
            let steps = steps_of(&progress, UpstreamTls::StartTls, &mut problem);
            assert_eq!(problem.is_some(), reached == 3);
            for (position, step) in steps.iter().enumerate() {
                let is_right = match &step.outcome {
                    Outcome::Done(_) => position < reached,
                    Outcome::Failed(told) => position == reached && *told == obstacle(),
                    Outcome::NotTried => position > reached,
                };
                assert!(is_right, "{reached}: {steps:?}");
            }
        }
    }

    #[test]
    fn addresses_and_tls_are_told_in_a_line() {
        let addresses = |count: u8| (1..=count).map(|last| IpAddr::from([192, 0, 2, last]));
        assert_eq!(listed(addresses(1)), "192.0.2.1");
        assert_eq!(listed(addresses(6)), "192.0.2.1, 192.0.2.2, 192.0.2.3, 192.0.2.4 and 2 more");
        let agreed = (ProtocolVersion::TLSv1_3, CipherSuite::TLS13_AES_128_GCM_SHA256);
        assert_eq!(
            told_of_tls(agreed, UpstreamTls::StartTls),
            "TLS 1.3 by STARTTLS, TLS13_AES_128_GCM_SHA256"
        );
    }
}
