//! The identities that Azure gives to what runs there: `grant = "workload-identity"` and
//! `"managed-identity"`. Azure tells them in the environment.
//!
//! Sources: Microsoft's "Use Microsoft Entra Workload ID with Azure Kubernetes Service" (the
//! `AZURE_` variables), "How to use managed identities … on an Azure VM to acquire an access token"
//! (IMDS), "How to use managed identities for App Service and Azure Functions" (the `IDENTITY_`
//! variables).

use std::env::VarError;
use std::path::PathBuf;

use crate::provider::{AuthorizationServer, Client, ClientAuth, ManagedIdentity, Way};
use crate::secret::SecretSource;

use super::keys::is_id;
use super::{Asking, Made};
use crate::config::endpoint::origin;
use crate::config::file::Reported;
use crate::config::tenant::Tenant;

/// Where an Azure VM asks for its tokens: a link-local address, without TLS.
const IMDS_ENDPOINT: &str = "http://169.254.169.254/metadata/identity/oauth2/token";

/// What names a managed identity that has no client id of its own here.
const OF_THE_MACHINE: &str = "managed-identity";

impl Asking<'_, '_> {
    /// The grant of a pod.
    pub(super) fn workload(&self) -> Result<Made, Reported> {
        let assertion = self.federated_token();
        let client_id = self.workload_client_id();
        let tenant = self.workload_tenant();
        let (assertion, client_id, tenant) = (assertion?, client_id?, tenant?);
        let others = client_id.as_ref().map(drop).and(tenant.as_ref().map(drop));
        let auth = match assertion.and_then(|file| others.map(|()| file).map_err(|&unset| unset)) {
            Ok(file) => ClientAuth::AssertionFile(file),
            // Reading it is the first step of every request, and tells what is missing.
            Err(Unset(name)) => {
                ClientAuth::SecretPost(SecretSource::env(name, Err(VarError::NotPresent)))
            }
        };
        let tenant = tenant.unwrap_or_else(|Unset(_)| Some(Tenant::stand_in()));
        let id = client_id.unwrap_or_else(|Unset(name)| format!("${name}"));
        let server = self.at_authority(self.server_of(tenant.as_ref())?, tenant.as_ref())?;
        let grant_id = self.application(tenant.as_ref(), &id);
        let way = Way::WorkloadIdentity(Client { id, auth, secret_ends_at: None });
        Ok(self.grant(grant_id, way, server))
    }

    fn federated_token(&self) -> Told<PathBuf> {
        if let Some((_, file)) = self.key(|keys| &keys.assertion_file)? {
            return Ok(Ok(file));
        }
        let variable = "AZURE_FEDERATED_TOKEN_FILE";
        let Some(path) = self.variable(variable) else {
            return self.unset("assertion_file", variable);
        };
        let path = self.account.file().path(&path);
        self.account.verify_file(&path)?;
        Ok(Ok(path))
    }

    fn workload_client_id(&self) -> Told<String> {
        if let Some((_, id)) = self.key(|keys| &keys.client_id)? {
            return Ok(Ok(id));
        }
        let variable = "AZURE_CLIENT_ID";
        let id = self.variable(variable).filter(|id| is_id(id));
        id.map_or_else(|| self.unset("client_id", variable), |id| Ok(Ok(id)))
    }

    fn workload_tenant(&self) -> Told<Option<Tenant>> {
        let written = self.tenant_key()?;
        if written.is_some() || !self.provider.endpoints.need_tenant(self.kind) {
            return self.tenant(Ok(written)).map(Ok);
        }
        let variable = "AZURE_TENANT_ID";
        let tenant = self.variable(variable).and_then(|tenant| Tenant::parse_single(&tenant));
        tenant.map_or_else(|| self.unset("tenant", variable), |tenant| Ok(Ok(Some(tenant))))
    }

    /// The server at the login host that Azure names, unless the file names the endpoint itself.
    fn at_authority(
        &self,
        server: AuthorizationServer,
        tenant: Option<&Tenant>,
    ) -> Result<AuthorizationServer, Reported> {
        let provider = self.provider;
        let endpoints = &provider.endpoints;
        let is_presets = provider.token_endpoint.is_none() && endpoints.are_of_entra();
        let Some(authority) = self.variable("AZURE_AUTHORITY_HOST").filter(|_| is_presets) else {
            return Ok(server);
        };
        let Some(origin) = origin(&authority) else {
            return Err(self.account.problem(
                "finds $AZURE_AUTHORITY_HOST to be no https:// address of a login host",
                "correct the variable, or write token_endpoint in the provider's table",
            ));
        };
        let token = endpoints.token.as_ref().and_then(|token| token.at(origin).of_tenant(tenant));
        Ok(AuthorizationServer { token_endpoint: token.or(server.token_endpoint), ..server })
    }

    /// The grant of a machine or an app.
    pub(super) fn managed(&self) -> Result<Made, Reported> {
        let client_id = self.key(|keys| &keys.client_id)?.map(|(_, id)| id);
        let written = self.provider.token_endpoint.as_ref();
        let written = written.and_then(|(_, endpoint)| endpoint.of_tenant(None));
        let endpoint = self.variable("IDENTITY_ENDPOINT");
        let header =
            SecretSource::env("IDENTITY_HEADER", self.account.file().env("IDENTITY_HEADER"));
        let has_header = matches!(&header, SecretSource::Env { value: Ok(_), .. });
        if endpoint.is_some() && !has_header && written.is_none() {
            return Err(self.account.problem(
                "finds $IDENTITY_ENDPOINT without $IDENTITY_HEADER, as Azure Arc has it, which \
                 mailbearer does not know",
                "write token_endpoint in the provider's table, or another grant",
            ));
        }
        let id = self.application(None, client_id.as_deref().unwrap_or(OF_THE_MACHINE));
        let (identity, token_endpoint) = match endpoint.filter(|_| has_header) {
            Some(endpoint) => {
                (ManagedIdentity::AppService { header, client_id }, written.or(Some(endpoint)))
            }
            None => {
                let imds = written.unwrap_or_else(|| IMDS_ENDPOINT.to_owned());
                (ManagedIdentity::Imds { client_id }, Some(imds))
            }
        };
        let server = AuthorizationServer {
            token_endpoint,
            resource: self.provider.resource.clone(),
            ca_file: self.provider.provider.ca_file.clone(),
            ..AuthorizationServer::default()
        };
        Ok(self.grant(id, Way::ManagedIdentity(identity), server))
    }

    /// The variable of the environment, unless it is empty.
    fn variable(&self, name: &str) -> Option<String> {
        self.account.file().env(name).ok().filter(|value| !value.is_empty())
    }

    /// Reports that neither file nor environment hold `key`, unless nobody needs it now: commands
    /// that the running relay carries out are typed outside of the pod, too.
    fn unset<T>(&self, key: &str, variable: &'static str) -> Told<T> {
        if !self.account.verifies_secrets() {
            return Ok(Err(Unset(variable)));
        }
        Err(self.account.problem(
            format!("lacks `{key}`, and ${variable} does not hold one"),
            format!("write {key}, or run where Azure's workload identity sets ${variable}"),
        ))
    }
}

/// The variable of the environment that would tell a value, and does not.
#[derive(Clone, Copy)]
struct Unset(&'static str);

/// What the file or the environment tell.
type Told<T> = Result<Result<T, Unset>, Reported>;
