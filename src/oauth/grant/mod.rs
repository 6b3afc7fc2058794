//! Grants: the ways in which an access token is asked for, one file each, and what they share.
//!
//! In:  a grant, whose secrets and keys are read anew at each request, and scopes.
//! Out: what the token endpoint gave, or why it gave nothing, within [`DEADLINE`].
//!
//! What is secret is kept in types that are wiped. Copies that are not wiped, because they are made
//! in other crates: `oauth2` holds client secret, assertion, refresh token and answer as plain strings
//! while a request lasts, and writes the form into a plain buffer; reqwest, hyper and rustls copy that
//! form and the answer through their own; rustls-pki-types and serde_json decode a private key by way of
//! a buffer. All of them are freed when the request is over.

mod client;
mod client_credentials;
mod code;
mod command;
mod device;
mod given;
mod managed_identity;
mod password;
mod refresh_token;
mod revocation;
mod service_account;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use self::client::{Asker, Proof};
pub(super) use self::code::Redemption;
pub(super) use self::device::DeviceAnswer;
pub(super) use self::given::{Answer, Issued};
use super::discovery::{Discovery, Located};
use super::endpoint::{DEADLINE, Endpoints, host_of};
use super::error::{ErrorKind, TokenError};
use super::fault::CHECK_NETWORK;
use super::verdict;
use crate::net::egress::Egress;
use crate::provider::{Grant, ServiceAccount, Way};
use crate::secret::{RefreshToken, SecretString};

/// Who gives tokens: the endpoints, or a test's script.
pub(super) trait Issuer: Send + Sync + fmt::Debug {
    /// Says how requests leave this machine from now on; a script makes none.
    fn leave_by(&self, _egress: Arc<Egress>) {}

    /// Asks for a token once.
    ///
    /// # Errors
    /// When no answer comes within [`DEADLINE`], the provider refuses, or the configuration is
    /// unfit.
    fn issue<'a>(
        &'a self,
        grant: &'a Arc<Grant>,
        scopes: &'a [String],
        by: By<'a>,
    ) -> Asked<'a, Answer>;

    /// Where the endpoints of `grant` are, once it is seen that its client can show itself: nobody
    /// is to consent in vain.
    ///
    /// # Errors
    /// As [`Self::issue`].
    fn locate<'a>(&'a self, grant: &'a Arc<Grant>) -> Asked<'a, Arc<Located>>;

    /// Begins the device flow (RFC 8628 section 3.1).
    ///
    /// # Errors
    /// As [`Self::issue`].
    fn begin_device<'a>(
        &'a self,
        grant: &'a Arc<Grant>,
        scopes: &'a [String],
    ) -> Asked<'a, DeviceAnswer>;

    /// Gives `refresh_token` back at the revocation endpoint of `grant`; gives whether there is
    /// such an endpoint.
    ///
    /// # Errors
    /// As [`Self::issue`].
    fn revoke<'a>(
        &'a self,
        grant: &'a Arc<Grant>,
        refresh_token: &'a RefreshToken,
    ) -> Asked<'a, bool>;
}

/// By what a token is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) enum By<'a> {
    /// By what the grant itself names; it is one that is not kept.
    Itself,
    /// By the refresh token of a grant that is kept.
    RefreshToken {
        token: &'a RefreshToken,
        /// The scopes that the request names; none is to ask for what was granted.
        named: &'a [String],
    },
    /// By the code of an authorization response.
    Code(&'a Redemption),
    /// By the device code of the device flow.
    DeviceCode(&'a SecretString),
}

/// What will come of a request.
pub(super) type Asked<'a, T> = Pin<Box<dyn Future<Output = Result<T, TokenError>> + Send + 'a>>;

/// Asks the endpoints that grants name.
#[derive(Debug, Default)]
pub(super) struct Network {
    endpoints: Arc<Endpoints>,
    discovery: Discovery,
}

impl Issuer for Network {
    fn leave_by(&self, egress: Arc<Egress>) {
        self.endpoints.leave_by(egress);
    }

    fn issue<'a>(
        &'a self,
        grant: &'a Arc<Grant>,
        scopes: &'a [String],
        by: By<'a>,
    ) -> Asked<'a, Answer> {
        Box::pin(async move {
            let ends_at = Instant::now() + DEADLINE;
            let asked = match &grant.way {
                Way::Command(program) => command::ask(program, ends_at).await,
                Way::ManagedIdentity(identity) => {
                    managed_identity::ask(&self.endpoints, grant, identity, scopes, ends_at).await
                }
                Way::ServiceAccount(account) => {
                    // Knows better what to do than the table of ways, which it asks itself.
                    return self.ask_as_service_account(grant, account, scopes, ends_at).await;
                }
                Way::ClientCredentials(_)
                | Way::WorkloadIdentity(_)
                | Way::AuthorizationCode(_)
                | Way::DeviceCode(_)
                | Way::Password { .. } => self.ask_as_client(grant, scopes, by, ends_at).await,
            };
            asked.map_err(|error| verdict::in_view_of(grant, error))
        })
    }

    fn locate<'a>(&'a self, grant: &'a Arc<Grant>) -> Asked<'a, Arc<Located>> {
        let ends_at = Instant::now() + DEADLINE;
        Box::pin(async move {
            let located = self.discovery.locate(&self.endpoints, &grant.server, ends_at).await?;
            let token = &located.token;
            self.prepare(grant, "token_endpoint", token, token, ends_at).await?;
            Ok(located)
        })
    }

    fn begin_device<'a>(
        &'a self,
        grant: &'a Arc<Grant>,
        scopes: &'a [String],
    ) -> Asked<'a, DeviceAnswer> {
        Box::pin(async move {
            if let Some(reason) = grant.server.no_device_flow {
                let host = host_of(grant.source());
                let cause = format!("{host} has no device flow for mail: {reason}");
                return Err(TokenError::configuration(cause, device::instead(&grant.id)));
            }
            let ends_at = Instant::now() + DEADLINE;
            let located = self.discovery.locate(&self.endpoints, &grant.server, ends_at).await?;
            let name = "device_authorization_endpoint";
            let Some(url) = &located.device_authorization else {
                let cause = format!("{} names no device flow", host_of(grant.source()));
                let fix = format!("{}, or write `{name}`", device::instead(&grant.id));
                return Err(TokenError::configuration(cause, fix));
            };
            let asker = self.prepare(grant, name, url, &located.token, ends_at).await?;
            in_time(asker.host(), ends_at, device::begin(&asker, grant, scopes)).await
        })
    }

    fn revoke<'a>(
        &'a self,
        grant: &'a Arc<Grant>,
        refresh_token: &'a RefreshToken,
    ) -> Asked<'a, bool> {
        Box::pin(async move {
            let ends_at = Instant::now() + DEADLINE;
            let located = self.discovery.locate(&self.endpoints, &grant.server, ends_at).await?;
            let Some(url) = &located.revocation else { return Ok(false) };
            let name = "revocation_endpoint";
            let asker = self.prepare(grant, name, url, &located.token, ends_at).await?;
            let asking = revocation::ask(&asker, grant, refresh_token);
            in_time(asker.host(), ends_at, asking).await.map(|()| true)
        })
    }
}

impl Network {
    /// Asks the token endpoint as the service `account`.
    async fn ask_as_service_account(
        &self,
        grant: &Arc<Grant>,
        account: &Arc<ServiceAccount>,
        scopes: &[String],
        ends_at: Instant,
    ) -> Result<Answer, TokenError> {
        let (endpoints, server) = (&self.endpoints, &grant.server);
        let token = &self.discovery.token_endpoint(endpoints, server, ends_at).await?;
        service_account::ask(endpoints, grant, account, token, scopes, ends_at).await
    }

    /// Asks the token endpoint as the client of `grant`.
    async fn ask_as_client(
        &self,
        grant: &Arc<Grant>,
        scopes: &[String],
        by: By<'_>,
        ends_at: Instant,
    ) -> Result<Answer, TokenError> {
        let asked = self.ask_once(grant, scopes, by, ends_at).await;
        let (refused, token) = match (asked, by) {
            (Err(error), By::RefreshToken { token, named })
                if !named.is_empty() && refresh_token::may_be_granted_in_part(scopes, &error) =>
            {
                (error, token)
            }
            (asked, _) => return asked,
        };
        let by = By::RefreshToken { token, named: &[] };
        let answer = self.ask_once(grant, scopes, by, ends_at).await?;
        Ok(refresh_token::of_what_was_granted(answer, scopes, refused))
    }

    /// The same, once.
    async fn ask_once(
        &self,
        grant: &Arc<Grant>,
        scopes: &[String],
        by: By<'_>,
        ends_at: Instant,
    ) -> Result<Answer, TokenError> {
        let server = &grant.server;
        let token = &self.discovery.token_endpoint(&self.endpoints, server, ends_at).await?;
        let asker = self.prepare(grant, "token_endpoint", token, token, ends_at).await?;
        let asking = async {
            match (by, &grant.way) {
                (By::RefreshToken { token, named }, _) => {
                    refresh_token::ask(&asker, grant, scopes, named, token).await
                }
                (By::Code(redemption), _) => code::ask(&asker, grant, scopes, redemption).await,
                (By::DeviceCode(code), _) => device::ask(&asker, grant, scopes, code).await,
                (By::Itself, Way::Password { password, .. }) => {
                    password::ask(&asker, grant, password, scopes).await
                }
                (By::Itself, _) => client_credentials::ask(&asker, grant, scopes).await,
            }
        };
        in_time(asker.host(), ends_at, asking).await
    }

    /// Opens the endpoint and reads the client's secret or makes its assertion, for whom `audience`
    /// is the token endpoint, away from the threads that serve sessions: that reads files, and the
    /// secret may come from a program.
    async fn prepare(
        &self,
        grant: &Arc<Grant>,
        name: &'static str,
        url: &str,
        audience: &str,
        ends_at: Instant,
    ) -> Result<Asker, TokenError> {
        let (endpoints, of) = (Arc::clone(&self.endpoints), Arc::clone(grant));
        let (url, audience) = (url.to_owned(), audience.to_owned());
        let read = move || {
            let endpoint = endpoints.open(name, &url, &of.server)?;
            let proof = of.way.client().map(|client| Proof::read(client, &audience));
            Ok(Asker::new(endpoint, &of, proof.transpose()?.unwrap_or(Proof::None)))
        };
        aside(grant, "client_secret, private_key or ca_file", ends_at, read).await
    }
}

/// Has `read` read what a request by `grant` takes, which is called `what`, away from the threads
/// that serve sessions.
async fn aside<T: Send + 'static>(
    grant: &Grant,
    what: &str,
    ends_at: Instant,
    read: impl FnOnce() -> Result<T, TokenError> + Send + 'static,
) -> Result<T, TokenError> {
    let Ok(read) = timeout_at(ends_at, tokio::task::spawn_blocking(read)).await else {
        let cause = format!("{what} cannot be read within {DEADLINE:?}");
        let fix = "look at the disk or the program that it comes from";
        return Err(TokenError {
            kind: ErrorKind::Temporary,
            ..TokenError::configuration(cause, fix)
        });
    };
    read.unwrap_or_else(|_| {
        let host = host_of(grant.source());
        Err(TokenError::temporary(&host, "the relay is shutting down"))
    })
}

/// The answer of the endpoint at `host`, if it comes before `ends_at`.
async fn in_time<T>(
    host: &str,
    ends_at: Instant,
    asking: impl Future<Output = Result<T, TokenError>>,
) -> Result<T, TokenError> {
    let left = ends_at.saturating_duration_since(Instant::now());
    timeout_at(ends_at, asking).await.unwrap_or_else(|_| {
        let late =
            TokenError::temporary(host, &format!("no answer within {:.1} s", left.as_secs_f32()));
        Err(TokenError { fix: CHECK_NETWORK.into(), is_answer_lost: true, ..late })
    })
}
