//! A Google service account with domain-wide delegation (RFC 7523 section 2.1): it asks in the name
//! of a mailbox, by an assertion of its own.
//!
//! Source: Google, "Using OAuth 2.0 for Server to Server Applications". The `oauth2` crate cannot
//! make this request, which has no client in it.

use std::sync::Arc;

use tokio::time::Instant;

use super::given::{Answer, read_body};
use super::{aside, in_time};
use crate::clock;
use crate::oauth::answer::ProviderError;
use crate::oauth::assertion;
use crate::oauth::endpoint::{Endpoint, Endpoints};
use crate::oauth::error::{Reach, TokenError};
use crate::oauth::service_account_key::AccountKey;
use crate::oauth::verdict;
use crate::proto::printable;
use crate::provider::{Grant, GrantId, ServiceAccount};
use crate::secret::{ExposeSecret as _, SecretString};

/// `grant_type` of an assertion that is a JWT (RFC 7523 section 2.1).
const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// Longest `token_uri` shown in an error, in bytes.
const TOKEN_URI_LEN_MAX: usize = 200;

/// Asks `token_endpoint` for a token once.
pub(super) async fn ask(
    endpoints: &Arc<Endpoints>,
    grant: &Arc<Grant>,
    account: &Arc<ServiceAccount>,
    token_endpoint: &str,
    scopes: &[String],
    ends_at: Instant,
) -> Result<Answer, TokenError> {
    let prepare = {
        let (endpoints, grant) = (Arc::clone(endpoints), Arc::clone(grant));
        let (url, scope) = (token_endpoint.to_owned(), scopes.join(" "));
        let account = Arc::clone(account);
        move || Prepared::read(&endpoints, &grant, &account, &url, &scope)
    };
    let what = "key_file, private_key or ca_file";
    let prepared = aside(grant, what, ends_at, prepare).await?;
    let asking = async {
        let assertion = prepared.assertion.expose_secret();
        let mut form = vec![("grant_type", GRANT_TYPE), ("assertion", assertion)];
        form.extend(grant.server.resource.iter().map(|it| ("resource", it.as_str())));
        let posted = prepared.endpoint.post(&form).await;
        read_body(&prepared.endpoint, &grant.id, scopes, posted)
    };
    let asked = in_time(prepared.endpoint.host(), ends_at, asking).await;
    asked.map_err(|error| {
        let error = verdict::in_view_of(grant, error);
        delegated(error, prepared.client_id.as_deref(), scopes)
    })
}

/// What one request takes.
struct Prepared {
    endpoint: Endpoint,
    assertion: SecretString,
    /// The number by which Google Workspace knows the service account, if the key tells it.
    client_id: Option<String>,
}

impl Prepared {
    /// Reads the key of `account` and signs what asks the token endpoint `url` for `scope`. May
    /// block.
    fn read(
        endpoints: &Endpoints,
        grant: &Grant,
        account: &ServiceAccount,
        url: &str,
        scope: &str,
    ) -> Result<Self, TokenError> {
        let GrantId::ServiceAccount { subject: Some(subject), .. } = &grant.id else {
            let cause = "there is no mailbox in whose name the service account could ask";
            return Err(TokenError::configuration(cause, "write `mailbox`"));
        };
        let endpoint = endpoints.open("token_endpoint", url, &grant.server)?;
        let key = AccountKey::read(account)?;
        if let Some(other) = key.token_uri.as_deref().filter(|told| *told != url) {
            return Err(foreign(other, url));
        }
        let now = clock::unix_time();
        let assertion = assertion::of_service_account(&key, subject.as_str(), scope, url, now)
            .map_err(|reason| {
                let cause = format!("no assertion can be signed: {reason}");
                TokenError::configuration(cause, "make a new key of the service account")
            })?;
        Ok(Self { endpoint, assertion, client_id: key.client_id })
    }
}

/// A key file that names another token endpoint: it must not choose where assertions go.
fn foreign(token_uri: &str, token_endpoint: &str) -> TokenError {
    let told = printable(token_uri.as_bytes(), TOKEN_URI_LEN_MAX);
    let cause = format!(
        "key_file names {told:?} as its `token_uri`, and the provider's token endpoint is \
         {token_endpoint:?}"
    );
    let fix = "make a new key, or write `token_endpoint` if that is where assertions shall go";
    TokenError::configuration(cause, fix)
}

/// `error`, but where the domain's administrator has to delegate, what to enter.
fn delegated(error: TokenError, client_id: Option<&str>, scopes: &[String]) -> TokenError {
    let word = error.said.as_deref().map(ProviderError::error);
    let lacks = matches!(word, Some("unauthorized_client" | "access_denied"));
    if !lacks || error.is_temporary() {
        return error;
    }
    let client = client_id.map_or_else(
        || "the service account's numeric client id".to_owned(),
        |id| format!("the client id {id}"),
    );
    let fix = format!(
        "at admin.google.com under Security, Access and data control, API controls, Domain-wide \
         delegation, add {client} with the scope {}; it may take a day until that holds",
        scopes.join(",")
    );
    TokenError { reach: Reach::Scopes, fix, ..error }
}
