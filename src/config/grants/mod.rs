//! The keys by which tokens are obtained, which an account has or inherits from its provider, and
//! the grants made of them: one for all accounts of one application, one for each person.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::names::{AccountPattern, Username};
use crate::provider::{AuthorizationServer, Client, ClientAuth, Grant, GrantId, GrantKind, Way};
use crate::secret::SecretSource;

use super::endpoint::{Endpoints, Tenant};
use super::field::Field;
use super::file::Reported;
use super::later;
use super::providers::ProviderEntry;
use super::table::Table;

/// Longest client id, in characters. Entra's have 36, Google's 72; RFC 6749 sets no limit.
const CLIENT_ID_LEN_MAX: usize = 1024;

/// A key that may be left out, and may be wrong.
type Key<T> = Result<Option<T>, Reported>;

/// The keys of a grant in one table.
pub(super) struct GrantKeys<'t> {
    kind: Key<GrantKind>,
    tenant: Key<(Field<'t>, Tenant)>,
    client_id: Key<String>,
    client_secret: Key<(Field<'t>, SecretSource)>,
}

impl<'t> GrantKeys<'t> {
    /// No keys.
    pub(super) fn none() -> Self {
        Self { kind: Ok(None), tenant: Ok(None), client_id: Ok(None), client_secret: Ok(None) }
    }

    /// Takes them out of `table`.
    pub(super) fn read(table: &mut Table<'t>) -> Self {
        let kinds = [GrantKind::ClientCredentials, GrantKind::AuthorizationCode]
            .map(|kind| (kind.name(), kind));
        Self {
            kind: table.read("grant", |field| field.choice(&kinds, later::GRANTS)),
            tenant: table.read("tenant", |field| {
                let tenant = Tenant::read(&field)?;
                Ok((field, tenant))
            }),
            client_id: table.read("client_id", |field| client_id(&field)),
            client_secret: table.read("client_secret", |field| {
                let secret = field.secret()?;
                Ok((field, secret))
            }),
        }
    }

    /// Reports a tenant that none of `endpoints` has a place for.
    pub(super) fn check(&self, endpoints: &Endpoints) -> Result<(), Reported> {
        match &self.tenant {
            Ok(Some((field, _))) if !endpoints.take_tenant() => Err(misplaced(field)),
            _ => Ok(()),
        }
    }
}

fn client_id(field: &Field<'_>) -> Result<String, Reported> {
    let text = field.text()?;
    // RFC 6749 appendix A.1: printable ASCII.
    let printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if printable && (1..=CLIENT_ID_LEN_MAX).contains(&text.len()) {
        Ok(text.to_owned())
    } else {
        Err(field.problem(
            "is no client id",
            "write the application (client) ID: printable ASCII, at most 1,024 characters",
        ))
    }
}

/// What makes two accounts share a grant: provider, tenant, client id.
type Application = (String, Option<Tenant>, String);

/// The grants of a file.
#[derive(Default)]
pub(super) struct Grants {
    /// Those of applications, with the key of the first account that has it.
    shared: BTreeMap<Application, (String, Arc<Grant>)>,
}

impl Grants {
    /// The grant that `keys`, or else those of its provider, make for the account `account`, which
    /// covers `names`.
    pub(super) fn make<'t>(
        &mut self,
        account: &Field<'t>,
        names: Result<&AccountPattern, Reported>,
        keys: GrantKeys<'t>,
        provider: &ProviderEntry<'t>,
    ) -> Result<Arc<Grant>, Reported> {
        let defaults = &provider.defaults;
        let kind = or_default(keys.kind, &defaults.kind).and_then(|kind| {
            let help = "write grant = \"authorization-code\" for a person's consent, or \
                        \"client-credentials\" for an application's permission";
            kind.ok_or_else(|| account.lacks("grant", help))
        });
        let tenant = tenant(account, or_default(keys.tenant, &defaults.tenant), provider, kind);
        let client_id = or_default(keys.client_id, &defaults.client_id).and_then(|client_id| {
            let help = "write the application (client) ID";
            client_id.ok_or_else(|| account.lacks("client_id", help))
        });
        let secret = or_default(keys.client_secret, &defaults.client_secret);
        let kind = kind?;
        match kind {
            GrantKind::ClientCredentials => {
                let help = "write client_secret = { env = \"NAME\" }, { file = \"PATH\" } or \
                            { command = [\"PROGRAM\"] }";
                let secret = secret
                    .and_then(|secret| secret.ok_or_else(|| account.lacks("client_secret", help)));
                let application = (provider.provider.name.clone(), tenant?, client_id?);
                self.share(account, application, secret?, provider)
            }
            GrantKind::WorkloadIdentity
            | GrantKind::DeviceCode
            | GrantKind::Password
            | GrantKind::ServiceAccount
            | GrantKind::ManagedIdentity
            | GrantKind::Command => Err(account.not_in_this_version(later::OTHER_GRANT_KINDS)),
            GrantKind::AuthorizationCode => {
                let person = person(account, names);
                let (tenant, endpoints) = (tenant?, &provider.endpoints);
                Ok(Arc::new(Grant {
                    id: GrantId::Account(person?),
                    way: Way::AuthorizationCode(Client {
                        id: client_id?,
                        auth: secret?
                            .map_or(ClientAuth::None, |(_, secret)| ClientAuth::SecretPost(secret)),
                        secret_ends_at: None,
                    }),
                    server: server(endpoints, tenant.as_ref(), provider),
                    refresh_idle: provider.refresh_idle,
                }))
            }
        }
    }

    /// The grant of `application`, of which there is one for all of its accounts.
    fn share(
        &mut self,
        account: &Field<'_>,
        application: Application,
        (secret_field, client_secret): (Field<'_>, SecretSource),
        provider: &ProviderEntry<'_>,
    ) -> Result<Arc<Grant>, Reported> {
        let auth = ClientAuth::SecretPost(client_secret);
        if let Some((first, grant)) = self.shared.get(&application) {
            if grant.way.client().is_some_and(|first| first.auth.is_same_as(&auth)) {
                return Ok(Arc::clone(grant));
            }
            return Err(secret_field.problem(
                format!("is not that of `{first}`, which names the same application"),
                "write one secret for both, here and there alike or once in the provider's table",
            ));
        }
        let (provider_name, tenant, client_id) = &application;
        let grant = Arc::new(Grant {
            id: GrantId::Application {
                provider: provider_name.clone(),
                tenant: tenant.as_ref().map(ToString::to_string),
                client_id: client_id.clone(),
            },
            way: Way::ClientCredentials(Client {
                id: client_id.clone(),
                auth,
                secret_ends_at: None,
            }),
            server: server(&provider.endpoints, tenant.as_ref(), provider),
            refresh_idle: None,
        });
        self.shared.insert(application, (account.key().to_owned(), Arc::clone(&grant)));
        Ok(grant)
    }
}

fn server(
    endpoints: &Endpoints,
    tenant: Option<&Tenant>,
    provider: &ProviderEntry<'_>,
) -> AuthorizationServer {
    let revocation = endpoints.revocation.as_ref();
    AuthorizationServer {
        token_endpoint: Some(endpoints.token.of_tenant(tenant)),
        revocation_endpoint: revocation.map(|endpoint| endpoint.of_tenant(tenant)),
        ca_file: provider.provider.ca_file.clone(),
        ..AuthorizationServer::default()
    }
}

/// The one person of the account `account`, which covers `names`.
fn person(
    account: &Field<'_>,
    names: Result<&AccountPattern, Reported>,
) -> Result<Username, Reported> {
    match names? {
        AccountPattern::Exact(name) => Ok(name.folded()),
        AccountPattern::Domain(_) => Err(account.problem(
            "stands for many mailboxes, and has \"authorization-code\", the grant of one person",
            "write an account for each person, or grant = \"client-credentials\" for all of them",
        )),
    }
}

fn or_default<T: Clone>(own: Key<T>, default: &Key<T>) -> Key<T> {
    match own {
        Ok(None) => default.clone(),
        own => own,
    }
}

/// The tenant, just where an endpoint has a place for one; an application is of a single one.
fn tenant(
    account: &Field<'_>,
    tenant: Key<(Field<'_>, Tenant)>,
    provider: &ProviderEntry<'_>,
    kind: Result<GrantKind, Reported>,
) -> Key<Tenant> {
    match (tenant?, provider.endpoints.take_tenant()) {
        (Some((field, tenant)), true) => {
            if kind == Ok(GrantKind::ClientCredentials) {
                tenant.refuse_several(&field)?;
            }
            Ok(Some(tenant))
        }
        (None, false) => Ok(None),
        (None, true) => Err(account
            .lacks("tenant", "write the directory (tenant) ID or a domain of the organisation")),
        (Some((field, _)), false) => Err(misplaced(&field)),
    }
}

fn misplaced(tenant: &Field<'_>) -> Reported {
    tenant.problem(
        "has no place in the provider's endpoints",
        "leave it out, or write {tenant} where it belongs in `token_endpoint`",
    )
}
