//! The grants of one person: by consent in a browser or on another device, and by a password.

use std::sync::Arc;

use crate::names::{AccountPattern, Username};
use crate::provider::{AuthorizationServer, Grant, GrantId, GrantKind, Way};
use crate::secret::SecretSource;

use super::Asking;
use crate::config::file::Reported;

impl Asking<'_, '_> {
    /// A person's grant, which nobody shares.
    pub(super) fn persons_grant(&self) -> Result<Arc<Grant>, Reported> {
        let person = self.person();
        let tenant = self.tenant(self.tenant_key());
        let client = self.client();
        let password = self.password();
        let server = self.server_of(tenant.as_ref().ok().and_then(Option::as_ref));
        let asked = server.as_ref().ok().filter(|_| tenant.is_ok());
        let consent = asked.map_or(Ok(()), |server| self.check_consent(server));
        let ((_, client), password) = (client?, password?);
        let way = match (self.kind, password) {
            (GrantKind::Password, Some(password)) => Way::Password { client, password },
            (GrantKind::DeviceCode, _) => Way::DeviceCode(client),
            _ => Way::AuthorizationCode(client),
        };
        tenant?;
        consent?;
        let (_, grant) = self.grant(GrantId::Account(person?), way, server?);
        Ok(Arc::new(grant))
    }

    /// The one person of the account.
    pub(super) fn person(&self) -> Result<Username, Reported> {
        match self.names? {
            AccountPattern::Exact(name) => Ok(name.folded()),
            AccountPattern::Domain(_) => Err(self.account.problem(
                format!(
                    "stands for many mailboxes, and has \"{}\", the grant of one person",
                    self.kind
                ),
                "write an account for each person, or grant = \"client-credentials\" for all of \
                 them",
            )),
        }
    }

    /// The person's password at the provider, where the grant is of that kind.
    fn password(&self) -> Result<Option<SecretSource>, Reported> {
        if self.kind != GrantKind::Password {
            return Ok(None);
        }
        let (_, password) = self.key(|keys| &keys.password)?.ok_or_else(|| {
            let help = "write password = { env = \"NAME\" }, { file = \"PATH\" } or \
                        { command = [\"PROGRAM\"] }: the person's password at the provider";
            self.account.lacks("password", help)
        })?;
        // Microsoft's "OAuth 2.0 Resource Owner Password Credentials", and RFC 9700 section 2.4.
        self.account.warning(
            "has grant = \"password\", which providers are ending: it fails wherever a second \
             factor is asked for",
            "write grant = \"authorization-code\", and consent once by `mailbearer authorize \
             ACCOUNT`",
        );
        Ok(Some(password))
    }

    /// Reports a device flow that cannot begin, and warns where consent cannot be given through
    /// mailbearer at all.
    fn check_consent(&self, server: &AuthorizationServer) -> Result<(), Reported> {
        let name = &self.provider.provider.name;
        let is_discovered = server.is_discovered && server.issuer.is_some();
        let by_device = is_discovered || server.device_authorization_endpoint.is_some();
        let by_browser = is_discovered || server.authorization_endpoint.is_some();
        let lacks_tenant = !by_browser && self.provider.endpoints.take_tenant();
        match self.kind {
            GrantKind::DeviceCode if !by_device => Err(self.account.problem(
                format!("has \"device-code\", and its provider {name} has no device flow"),
                format!(
                    "write `device_authorization_endpoint` or `issuer` in [providers.{name}], or \
                     grant = \"authorization-code\""
                ),
            )),
            GrantKind::AuthorizationCode if lacks_tenant && !by_device => {
                self.account.warning(
                    format!(
                        "cannot be given consent by browser: it lacks `tenant`, which has its \
                         place in the authorization_endpoint of {name}"
                    ),
                    "write the directory (tenant) ID or a domain of the organisation",
                );
                Ok(())
            }
            GrantKind::AuthorizationCode if !by_browser && !by_device => {
                self.account.warning(
                    format!(
                        "cannot be given consent by browser: its provider {name} has no \
                         authorization_endpoint"
                    ),
                    format!(
                        "write `authorization_endpoint` or `issuer` in [providers.{name}], or \
                         bring a refresh token by `mailbearer authorize ACCOUNT \
                         --refresh-token-stdin`"
                    ),
                );
                Ok(())
            }
            GrantKind::AuthorizationCode
            | GrantKind::DeviceCode
            | GrantKind::Password
            | GrantKind::ClientCredentials
            | GrantKind::WorkloadIdentity
            | GrantKind::ServiceAccount
            | GrantKind::ManagedIdentity
            | GrantKind::Command => Ok(()),
        }
    }
}
