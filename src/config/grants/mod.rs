//! The grants of a file, made of the keys that an account has or inherits from its provider: one
//! for all accounts of one application, one for each person.
//!
//! A key that the account itself has and its grant does not take is refused. A default of the
//! provider that does not fit is not used: one table may serve people and applications.

mod azure;
mod client;
mod keys;
mod person;
mod service_account;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::names::AccountPattern;
use crate::provider::{AuthorizationServer, Grant, GrantId, GrantKind, Way};
use crate::secret::SecretCommand;

use self::keys::{Key, misplaced};
use super::endpoint::Endpoint;
use super::field::Field;
use super::file::Reported;
use super::presets;
use super::providers::ProviderEntry;
use super::tenant::Tenant;

pub(super) use self::keys::GrantKeys;

/// The grants of a file that accounts share.
#[derive(Default)]
pub(super) struct Grants {
    /// Each with the key of the first account that has it.
    shared: BTreeMap<GrantId, (String, Arc<Grant>)>,
    /// The commands of each provider, each of which is a grant.
    commands: HashMap<(String, SecretCommand), Arc<Grant>>,
}

/// One account that asks for its grant.
struct Asking<'a, 't> {
    account: &'a Field<'t>,
    names: Result<&'a AccountPattern, Reported>,
    own: &'a GrantKeys<'t>,
    provider: &'a ProviderEntry<'t>,
    kind: GrantKind,
}

impl Grants {
    /// The grant that `own` keys, or else those of its provider, make for the account `account`,
    /// which covers `names`.
    pub(super) fn make<'t>(
        &mut self,
        account: &Field<'t>,
        names: Result<&AccountPattern, Reported>,
        own: &GrantKeys<'t>,
        provider: &ProviderEntry<'t>,
    ) -> Result<Arc<Grant>, Reported> {
        let kind = or_default(&own.kind, &provider.defaults.kind)?;
        let (_, kind) = kind.ok_or_else(|| {
            let help = "write grant = \"authorization-code\" for a person's consent, or \
                        \"client-credentials\" for an application's permission";
            account.lacks("grant", help)
        })?;
        let asking = Asking { account, names, own, provider, kind };
        let fits = own.refuse_foreign(kind);
        let has = asking.refuse_kind();
        let made = has.and_then(|()| {
            let scopes = asking.check_scopes();
            let made = self.make_kind(&asking);
            scopes.and(made)
        });
        fits.and(made)
    }

    fn make_kind(&mut self, asking: &Asking<'_, '_>) -> Result<Arc<Grant>, Reported> {
        match asking.kind {
            GrantKind::AuthorizationCode | GrantKind::DeviceCode | GrantKind::Password => {
                asking.persons_grant()
            }
            GrantKind::ClientCredentials => {
                let tenant = asking.tenant(asking.tenant_key());
                let client = asking.client();
                let server = asking.server_of(tenant.as_ref().ok().and_then(Option::as_ref));
                let (tenant, (at, client)) = (tenant?, client?);
                let id = asking.application(tenant.as_ref(), &client.id);
                let grant = asking.grant(id, Way::ClientCredentials(client), server?);
                self.share(&at, grant)
            }
            GrantKind::WorkloadIdentity => self.share(asking.account, asking.workload()?),
            GrantKind::ManagedIdentity => self.share(asking.account, asking.managed()?),
            GrantKind::ServiceAccount => {
                let (at, grant) = asking.service_account()?;
                self.share(&at, grant)
            }
            GrantKind::Command => self.command(asking),
        }
    }

    /// The grant, of which there is one for all accounts that name it. What differs is reported at
    /// `at`.
    fn share(&mut self, at: &Field<'_>, (account, grant): Made) -> Result<Arc<Grant>, Reported> {
        if let Some((first, shared)) = self.shared.get(&grant.id) {
            if shared.way.is_same_as(&grant.way) {
                return Ok(Arc::clone(shared));
            }
            let kind = shared.kind();
            if kind != grant.kind() {
                return Err(at.problem(
                    format!("is of an application that `{first}` names with grant = \"{kind}\""),
                    "write one grant for both, or describe the provider a second time in a \
                     [providers.NAME] of another name",
                ));
            }
            return Err(at.problem(
                format!("is not that of `{first}`, which names the same application"),
                "write one secret for both, here and there alike or once in the provider's table",
            ));
        }
        let grant = Arc::new(grant);
        self.shared.insert(grant.id.clone(), (account, Arc::clone(&grant)));
        Ok(grant)
    }

    /// The grant of a program that prints a token: one for all accounts that run it alike.
    fn command(&mut self, asking: &Asking<'_, '_>) -> Result<Arc<Grant>, Reported> {
        let command = asking.key(|keys| &keys.command)?;
        let (_, command) = command.ok_or_else(|| {
            let help = "write command = [\"PROGRAM\", \"ARGUMENT\"], which prints an access token";
            asking.account.lacks("command", help)
        })?;
        let program = command.program().display().to_string();
        let key = (asking.provider.provider.name.clone(), command.clone());
        if let Some(same) = self.commands.get(&key) {
            return Ok(Arc::clone(same));
        }
        let way = Way::Command(command);
        // Arguments tell two uses of one program apart, and may be secret: the first account that
        // has the command stands for them.
        let name = format!("{program} for {}", asking.names?);
        let id = asking.application(None, &name);
        let (_, grant) = asking.grant(id, way, AuthorizationServer::default());
        let grant = Arc::new(grant);
        self.commands.insert(key, Arc::clone(&grant));
        Ok(grant)
    }
}

/// A grant, and the key of the account that it was made for.
type Made = (String, Grant);

impl<'t> Asking<'_, 't> {
    /// A key of the account, or else its default.
    fn key<T: Clone>(
        &self,
        pick: impl for<'k> Fn(&'k GrantKeys<'t>) -> &'k Key<'t, T>,
    ) -> Key<'t, T> {
        or_default(pick(self.own), pick(&self.provider.defaults))
    }

    /// Reports a grant that the provider does not have, or that is one person's where the account
    /// stands for many.
    fn refuse_kind(&self) -> Result<(), Reported> {
        let refused = self.provider.preset.as_ref().and_then(|preset| (preset.refused)(self.kind));
        if let Some(no_grant) = refused {
            return Err(self.account.problem(no_grant.problem, no_grant.help));
        }
        if self.kind.is_personal() { self.person().map(drop) } else { Ok(()) }
    }

    fn check_scopes(&self) -> Result<(), Reported> {
        let preset = self.provider.preset.as_ref().filter(|preset| preset.endpoints.are_of_entra());
        let worldwide = presets::entra_scopes();
        let right = preset.map_or(&worldwide, |preset| &preset.scopes);
        let is_entra = self.provider.endpoints.are_of_entra();
        self.provider.scopes.check(self.kind, is_entra, right)
    }

    fn tenant_key(&self) -> Key<'t, Tenant> {
        self.key(|keys| &keys.tenant)
    }

    /// The tenant, where an endpoint has a place for one and the grant asks there; an application is
    /// of a single one.
    fn tenant(&self, tenant: Key<'t, Tenant>) -> Result<Option<Tenant>, Reported> {
        let endpoints = &self.provider.endpoints;
        match tenant? {
            Some((field, _)) if !endpoints.take_tenant() => Err(misplaced(&field)),
            Some((field, tenant)) => {
                if !self.kind.is_personal() {
                    tenant.refuse_several(&field)?;
                }
                Ok(Some(tenant))
            }
            None if endpoints.need_tenant(self.kind) => Err(self.account.lacks(
                "tenant",
                "write the directory (tenant) ID or a domain of the organisation",
            )),
            None => Ok(None),
        }
    }

    /// Who is asked by a client of `tenant`.
    fn server_of(&self, tenant: Option<&Tenant>) -> Result<AuthorizationServer, Reported> {
        let provider = self.provider;
        let endpoints = &provider.endpoints;
        if let Some((field, endpoint)) = &provider.token_endpoint {
            endpoint.refuse_in_clear(field)?;
        }
        if endpoints.token.is_none() && !endpoints.is_discovered {
            let at = provider.field.as_ref().unwrap_or(self.account);
            return Err(at.lacks(
                "token_endpoint",
                "write token_endpoint = \"https://id.example/token\", or `issuer`",
            ));
        }
        let of_tenant = |endpoint: &Option<Endpoint>| {
            endpoint.as_ref().and_then(|endpoint| endpoint.of_tenant(tenant))
        };
        Ok(AuthorizationServer {
            issuer: of_tenant(&endpoints.issuer),
            is_discovered: endpoints.is_discovered,
            tells_issuer: endpoints.tells_issuer,
            token_endpoint: of_tenant(&endpoints.token),
            authorization_endpoint: of_tenant(&endpoints.authorization),
            device_authorization_endpoint: of_tenant(&endpoints.device_authorization),
            no_device_flow: provider.preset.as_ref().and_then(|preset| preset.no_device_flow),
            revocation_endpoint: of_tenant(&endpoints.revocation),
            authorization_params: provider.authorization_params.clone(),
            resource: provider.resource.clone(),
            loopback_redirect: provider.loopback_redirect(),
            ca_file: provider.provider.ca_file.clone(),
        })
    }

    /// The name of an application's grant.
    fn application(&self, tenant: Option<&Tenant>, client_id: &str) -> GrantId {
        GrantId::Application {
            provider: self.provider.provider.name.clone(),
            tenant: tenant.map(ToString::to_string),
            client_id: client_id.to_owned(),
        }
    }

    fn grant(&self, id: GrantId, way: Way, server: AuthorizationServer) -> Made {
        let refresh_idle = self.provider.refresh_idle.filter(|_| self.kind.is_kept());
        (self.account.key().to_owned(), Grant { id, way, server, refresh_idle })
    }
}

/// The account's own key, or else the provider's.
fn or_default<'t, T: Clone>(own: &Key<'t, T>, default: &Key<'t, T>) -> Key<'t, T> {
    match own {
        Ok(None) => default.clone(),
        own => own.clone(),
    }
}
