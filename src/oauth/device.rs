//! Consent on another device (RFC 8628): a code that a person enters there, and the polls until
//! they have.
//!
//! Between an answer and the next poll lies the interval at least: the server counts from when a
//! poll reached it, and that is earlier than its answer reached us. `slow_down` adds 5 s to this and
//! all further intervals; trouble on the way doubles the next one, as section 3.5 recommends.
//! `Retry-After` lengthens it, and nothing shortens it. The end of the code ends it all.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::consent::Shown;
use super::desk::{Desk, add_lost_answer};
use super::endpoint::host_of;
use super::error::TokenError;
use super::{AuthorizeError, Authorized, ProviderError};
use crate::names::Username;
use crate::provider::{Grant, GrantId};
use crate::secret::SecretString;

/// By how much `slow_down` lengthens the interval (RFC 8628 section 3.5).
const SLOWER: Duration = Duration::from_secs(5);

/// The longest pause that we make by ourselves after trouble on the way, unless the interval is
/// longer: the person may have entered the code meanwhile, and waits.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// A device flow that has begun: what the person needs.
pub struct DeviceRequest {
    /// Where the person goes.
    pub verification_uri: String,
    /// The same with the code in it.
    pub verification_uri_complete: Option<String>,
    /// What the person enters there.
    pub user_code: String,
    /// How long the code is good for.
    pub expires_in: Duration,
    device_code: SecretString,
    interval: Duration,
    ends_at: Instant,
}

impl fmt::Debug for DeviceRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("DeviceRequest");
        shown.field("verification_uri", &self.verification_uri).finish_non_exhaustive()
    }
}

impl Desk {
    /// As [`super::Tokens::device_request`].
    pub(super) async fn device_request(
        self: &Arc<Self>,
        grant: &Arc<Grant>,
        scopes: &[String],
    ) -> Result<DeviceRequest, TokenError> {
        let begun_at = Instant::now();
        let begun = self.issuer.begin_device(grant, scopes).await;
        let begun = begun.inspect_err(|error| error.log(&grant.id, "no device code"))?;
        Ok(DeviceRequest {
            verification_uri: begun.verification_uri,
            verification_uri_complete: begun.verification_uri_complete,
            user_code: begun.user_code,
            expires_in: begun.expires_in,
            device_code: begun.device_code,
            interval: begun.interval,
            ends_at: begun_at + begun.expires_in,
        })
    }

    /// As [`super::Tokens::await_device`].
    pub(super) async fn await_device(
        self: &Arc<Self>,
        grant: &Arc<Grant>,
        scopes: &[String],
        request: DeviceRequest,
        expected: &[Username],
        given_up: impl Future<Output = ()>,
    ) -> Result<Option<Authorized>, AuthorizeError> {
        let DeviceRequest { device_code, interval, ends_at, .. } = request;
        let mut given_up = pin!(given_up);
        let device_code = Arc::new(device_code);
        let mut pace = Pace { interval, troubles: 0 };
        let mut pause = interval;
        let mut answer_was_lost = false;
        loop {
            // A pause may be longer than any clock counts: both its parts come from the provider.
            let next = Instant::now().checked_add(pause).filter(|next| *next < ends_at);
            tokio::select! {
                biased;
                () = &mut given_up => return Ok(None),
                () = sleep_until(next.unwrap_or(ends_at)) => {}
            }
            if next.is_none() {
                return Err(too_late(grant));
            }
            // Whoever gives up meanwhile hears what comes of it: it may be the one that succeeds.
            let shown = Shown::DeviceCode(Arc::clone(&device_code));
            let polled =
                self.authorize(Arc::clone(grant), scopes.to_vec(), shown, expected.to_vec()).await;
            let error = match polled {
                Err(AuthorizeError::Token(error)) => error,
                outcome => return outcome.map(Some),
            };
            if let Some(error) = self.ending(grant) {
                return Err(error.into());
            }
            pause = match pace.after(error) {
                Next::Poll { pause, is_answer_lost } => {
                    answer_was_lost |= is_answer_lost;
                    pause
                }
                Next::TooLate => return Err(too_late(grant)),
                Next::Declined(said) => return Err(declined(grant, &said)),
                Next::Failed(mut error) => {
                    if answer_was_lost {
                        add_lost_answer(&mut error);
                    }
                    error.log(&grant.id, "no consent");
                    return Err(error.into());
                }
            };
        }
    }
}

/// How fast polls may follow each other.
struct Pace {
    interval: Duration,
    /// How many polls in a row met trouble on the way.
    troubles: u32,
}

/// What follows a poll that brought no token.
enum Next {
    /// Another one.
    Poll { pause: Duration, is_answer_lost: bool },
    /// The code has come to its end.
    TooLate,
    /// The person said no.
    Declined(ProviderError),
    /// Waiting does not help.
    Failed(TokenError),
}

impl Pace {
    /// What follows `error` (RFC 8628 section 3.5).
    fn after(&mut self, error: TokenError) -> Next {
        let asked_for = error.retry_after.unwrap_or_default();
        let is_answer_lost = error.is_answer_lost;
        let poll = |pause: Duration| Next::Poll { pause: pause.max(asked_for), is_answer_lost };
        match error.said.as_deref() {
            Some(said) if said.error() == "slow_down" => {
                self.troubles = 0;
                self.interval = self.interval.saturating_add(SLOWER);
                poll(self.interval)
            }
            Some(said) if said.error() == "authorization_pending" => {
                self.troubles = 0;
                poll(self.interval)
            }
            Some(said) if said.error() == "expired_token" => Next::TooLate,
            // The first is Entra's word. With a code of Entra's the table knows more.
            Some(said)
                if said.error() == "authorization_declined"
                    || (said.error() == "access_denied" && said.aadsts().is_none()) =>
            {
                Next::Declined(said.clone())
            }
            Some(_) | None if error.is_temporary() => {
                self.troubles = self.troubles.saturating_add(1);
                let factor = 1_u32.checked_shl(self.troubles).unwrap_or(u32::MAX);
                let doubled = self.interval.saturating_mul(factor).min(PAUSE_MAX);
                poll(doubled.max(self.interval))
            }
            Some(_) | None => Next::Failed(error),
        }
    }
}

fn too_late(grant: &Grant) -> AuthorizeError {
    AuthorizeError::Denied {
        cause: "nobody entered the code before it came to its end".to_owned(),
        fix: format!("run {} again, and enter the code at once", command(grant)),
    }
}

fn declined(grant: &Grant, said: &ProviderError) -> AuthorizeError {
    let host = host_of(grant.source());
    AuthorizeError::Denied {
        cause: format!("{host} says that the consent was declined ({said})"),
        fix: format!(
            "agree when the provider asks; if its administrator blocks device codes, consent by \
             browser ({} with --paste, where there is none)",
            command(grant)
        ),
    }
}

fn command(grant: &Grant) -> String {
    match &grant.id {
        GrantId::Account(account) => format!("`mailbearer authorize {account}`"),
        GrantId::Application { .. } | GrantId::ServiceAccount { .. } => {
            "`mailbearer authorize`".to_owned()
        }
    }
}
