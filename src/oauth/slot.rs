//! A slot: the access token of one scope set of a grant, and the request for it.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::error::TokenError;
use super::grant::Issued;
use super::moment::Moment;
use super::trouble::Trouble;
use super::{Token, jitter};
use crate::provider::{Grant, GrantId, Way};
use crate::secret::{AccessToken, SecretCommand};

/// A token with no more than this left is renewed. Google ends a session with its token, so one
/// that is about to end would make a short session.
pub(super) const LEFT_MIN: Duration = Duration::from_secs(5 * 60);

/// With no more than this left is a token renewed in the background, and with a fifth more than
/// [`LEFT_MIN`] at least: tokens that many asked for at one instant are renewed over nine minutes.
const RENEWED_LEFT_MAX: Duration = Duration::from_secs(15 * 60);

/// A token with no more than this left is not used even when it cannot be renewed: the upstream
/// might see it expired.
pub(super) const LEFT_LAST: Duration = Duration::from_secs(30);

/// How long a token is kept ready in advance after it was used last.
pub(super) const KEPT_READY: Duration = Duration::from_secs(60 * 60);

/// A token that lives shorter is not renewed ahead of its end, but by the sign-in that needs one. It
/// would be asked for each 12 seconds or sooner, for an hour after it was used once: 2,000 tokens of
/// 10 s were 600 requests a second for nobody.
const LIFE_KEPT_MIN: Duration = Duration::from_secs(60);

/// Which tokens are the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) grant: GrantId,
    pub(super) slot: SlotKey,
}

/// Which tokens of a grant are the same. Client, endpoint, resource and command are in it because
/// the configuration may change them while sessions that began before are still asking.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SlotKey {
    source: String,
    client_id: String,
    resource: Option<String>,
    /// With its arguments, which decide whose token it prints.
    command: Option<SecretCommand>,
    scopes: BTreeSet<String>,
}

impl SlotKey {
    /// Whether it is the one of `grant` for `scopes`. As [`Key::new`] has it, but for scopes that
    /// stand twice in the list.
    pub(super) fn is_of(&self, grant: &Grant, scopes: &[String]) -> bool {
        let Self { source, client_id, resource, command, scopes: own } = self;
        source == grant.source()
            && client_id == grant.client_id()
            && *resource == grant.server.resource
            && command.as_ref() == command_of(grant)
            && own.len() == scopes.len()
            && scopes.iter().all(|scope| own.contains(scope))
            && own.iter().all(|scope| scopes.contains(scope))
    }
}

fn command_of(grant: &Grant) -> Option<&SecretCommand> {
    match &grant.way {
        Way::Command(command) => Some(command),
        Way::ClientCredentials(_)
        | Way::WorkloadIdentity(_)
        | Way::AuthorizationCode(_)
        | Way::DeviceCode(_)
        | Way::Password { .. }
        | Way::ServiceAccount(_)
        | Way::ManagedIdentity(_) => None,
    }
}

impl Key {
    pub(super) fn new(grant: &Grant, scopes: &[String]) -> Self {
        let slot = SlotKey {
            source: grant.source().to_owned(),
            client_id: grant.client_id().to_owned(),
            resource: grant.server.resource.clone(),
            command: command_of(grant).cloned(),
            scopes: scopes.iter().cloned().collect(),
        };
        Self { grant: grant.id.clone(), slot }
    }
}

/// What is known under one key.
#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) held: Option<Held>,
    pub(super) flight: Option<Flight>,
    pub(super) used_at: Option<Moment>,
    /// What stands in the way of these scopes alone.
    pub(super) trouble: Trouble,
}

/// A request under way, and what came of it once it is over.
pub(super) type Flight = watch::Receiver<Option<Result<Token, TokenError>>>;

impl Slot {
    /// The request under way, if there is one. The sender is gone without a word only if the
    /// request's task was torn down.
    pub(super) fn flight(&self) -> Option<&Flight> {
        self.flight.as_ref().filter(|flight| flight.has_changed().is_ok())
    }

    /// Whether somebody asked for it within the last hour: only such tokens are kept ready.
    pub(super) fn is_used(&self, now: Moment) -> bool {
        self.used_at.is_some_and(|used_at| now.since(used_at) < KEPT_READY)
    }

    /// The token, if it is one that is renewed ahead of its end.
    fn kept_ready(&self, now: Moment) -> Option<&Held> {
        self.held.as_ref().filter(|held| self.is_used(now) && held.life >= LIFE_KEPT_MIN)
    }

    /// Over how long the renewals are spread of tokens as this one that came at one instant; `None`
    /// where there is none, or none is renewed ahead of its end.
    pub(super) fn renewal_spread(&self, now: Moment) -> Option<Duration> {
        let held = self.kept_ready(now)?;
        let (least, most) = renewed_at_left(held.life);
        Some(most.saturating_sub(least))
    }

    /// In how long the token is due to be renewed ahead of its end; `None` where nobody needs it.
    pub(super) fn renewal_due(&self, now: Moment) -> Option<Duration> {
        let held = self.kept_ready(now).filter(|_| self.flight().is_none())?;
        let pause = held.renewal_pauses_until.map(|until| until.duration_since(now.instant));
        Some(held.left(now).saturating_sub(held.renewed_at_left).max(pause.unwrap_or_default()))
    }
}

/// A token in memory.
#[derive(Debug)]
pub(super) struct Held {
    token: AccessToken,
    generation: u64,
    /// Reckoned from before it was asked for, so never later than the provider means.
    asked_at: Moment,
    life: Duration,
    /// With how much left it is renewed in the background: some time before a sign-in would.
    renewed_at_left: Duration,
    /// While the store cannot be written it is used on until then.
    pub(super) renewal_pauses_until: Option<Instant>,
}

impl Held {
    pub(super) fn new(issued: Issued, asked_at: Moment, generation: u64) -> Self {
        let Issued { token, life } = issued;
        let (least, most) = renewed_at_left(life);
        let renewed_at_left = jitter::between(least, most);
        Self { token, generation, asked_at, life, renewed_at_left, renewal_pauses_until: None }
    }

    pub(super) fn token(&self) -> Token {
        let Self { token, generation, asked_at, life, .. } = self;
        Token {
            access_token: token.clone(),
            generation: *generation,
            asked_at: asked_at.instant,
            life: *life,
        }
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn left(&self, now: Moment) -> Duration {
        self.life.saturating_sub(now.since(self.asked_at))
    }

    /// When it ends, since 1970.
    pub(super) fn ends_at(&self, now: Moment) -> Duration {
        now.unix_time.saturating_add(self.left(now))
    }

    /// Whether it is used without asking for another.
    pub(super) fn is_fresh(&self, now: Moment) -> bool {
        let pauses = self.renewal_pauses_until.is_some_and(|until| now.instant < until);
        let needed = if pauses { LEFT_LAST } else { LEFT_MIN.min(self.life / 2) };
        self.left(now) > needed
    }

    /// Whether it is used while no other can be had.
    pub(super) fn is_spare(&self, now: Moment) -> bool {
        self.left(now) > LEFT_LAST
    }
}

/// With how much left a token of that life is renewed in the background, at least and at most.
fn renewed_at_left(life: Duration) -> (Duration, Duration) {
    let least = LEFT_MIN.min(life / 2).mul_f64(1.2);
    (least, RENEWED_LEFT_MAX.min(life.mul_f64(0.8)).max(least))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_found_by_just_what_makes_its_key() {
        let of_resource = |resource: &str| {
            let mut grant = Grant::of_application();
            grant.server.resource = Some(resource.to_owned());
            grant
        };
        let grants = [
            Grant::of_application(),
            Grant::of_application().at("https://x.example/"),
            Grant::of_application().by(|client| client.id = "other".to_owned()),
            of_resource("one"),
            of_resource("two"),
        ];
        let scopes = [&[][..], &["a"], &["b"], &["a", "b"], &["b", "a"], &["a", "a"]];
        let scopes = scopes.map(|of| of.iter().copied().map(str::to_owned).collect::<Vec<_>>());
        let asked: Vec<_> =
            grants.iter().flat_map(|grant| scopes.iter().map(move |of| (grant, of))).collect();
        for (one, own) in &asked {
            let slot = Key::new(one, own).slot;
            for (other, scopes) in &asked {
                let is_same = slot == Key::new(other, scopes).slot;
                // One that stands twice in the list is found by the key that is made of it.
                let is_plain = scopes.as_slice() != ["a", "a"];
                assert_eq!(slot.is_of(other, scopes), is_same && is_plain, "{own:?} {scopes:?}");
            }
        }
    }
}
