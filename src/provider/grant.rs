//! A grant: the consent by which access tokens are obtained, and how they are asked for.

mod id;
mod kind;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use self::id::GrantId;
pub use self::kind::GrantKind;
use super::{AuthorizationServer, Client};
use crate::names::Username;
use crate::secret::{SecretCommand, SecretSource};

/// A grant.
#[derive(Debug, Clone)]
pub struct Grant {
    /// Which one it is.
    pub id: GrantId,
    /// In which way tokens are asked for, and what that takes.
    pub way: Way,
    /// Who is asked.
    pub server: AuthorizationServer,
    /// After how long without use the provider lets a refresh token die, if that is known.
    pub refresh_idle: Option<Duration>,
}

/// In which way access tokens are asked for.
#[derive(Debug, Clone)]
pub enum Way {
    /// An application's own permission (RFC 6749 section 4.4), by which it signs in as any mailbox
    /// the provider's administrator allowed it. Nothing is kept.
    ClientCredentials(Client),
    /// The same, with the identity that the platform gives to a workload: an assertion file.
    WorkloadIdentity(Client),
    /// A person's consent by browser (RFC 6749 section 4.1): a refresh token, which is kept.
    AuthorizationCode(Client),
    /// A person's consent on another device (RFC 8628): a refresh token, which is kept.
    DeviceCode(Client),
    /// A person's password at the provider (RFC 6749 section 4.3). Nothing is kept.
    Password {
        /// Who asks.
        client: Client,
        /// The password; the user name is the account's.
        password: SecretSource,
    },
    /// A Google service account with domain-wide delegation (RFC 7523 section 2.1).
    ServiceAccount(Arc<ServiceAccount>),
    /// The identity of an Azure machine or app.
    ManagedIdentity(ManagedIdentity),
    /// A program that prints an access token.
    Command(SecretCommand),
}

impl Way {
    /// The word for it.
    pub fn kind(&self) -> GrantKind {
        match self {
            Self::ClientCredentials(_) => GrantKind::ClientCredentials,
            Self::WorkloadIdentity(_) => GrantKind::WorkloadIdentity,
            Self::AuthorizationCode(_) => GrantKind::AuthorizationCode,
            Self::DeviceCode(_) => GrantKind::DeviceCode,
            Self::Password { .. } => GrantKind::Password,
            Self::ServiceAccount(_) => GrantKind::ServiceAccount,
            Self::ManagedIdentity(_) => GrantKind::ManagedIdentity,
            Self::Command(_) => GrantKind::Command,
        }
    }

    /// Whether both ask for tokens alike, with what is written alike (see
    /// [`SecretSource::is_same_as`]).
    pub fn is_same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::ClientCredentials(one), Self::ClientCredentials(other))
            | (Self::WorkloadIdentity(one), Self::WorkloadIdentity(other))
            | (Self::AuthorizationCode(one), Self::AuthorizationCode(other))
            | (Self::DeviceCode(one), Self::DeviceCode(other)) => one.is_same_as(other),
            (
                Self::Password { client, password },
                Self::Password { client: other, password: others },
            ) => client.is_same_as(other) && password.is_same_as(others),
            (Self::ServiceAccount(one), Self::ServiceAccount(other)) => {
                one.key.is_same_as(&other.key)
            }
            (Self::ManagedIdentity(one), Self::ManagedIdentity(other)) => one.is_same_as(other),
            (Self::Command(one), Self::Command(other)) => one == other,
            (
                Self::ClientCredentials(_)
                | Self::WorkloadIdentity(_)
                | Self::AuthorizationCode(_)
                | Self::DeviceCode(_)
                | Self::Password { .. }
                | Self::ServiceAccount(_)
                | Self::ManagedIdentity(_)
                | Self::Command(_),
                _,
            ) => false,
        }
    }

    /// The client that asks, where there is one.
    pub fn client(&self) -> Option<&Client> {
        match self {
            Self::ClientCredentials(client)
            | Self::WorkloadIdentity(client)
            | Self::AuthorizationCode(client)
            | Self::DeviceCode(client)
            | Self::Password { client, .. } => Some(client),
            Self::ServiceAccount(_) | Self::ManagedIdentity(_) | Self::Command(_) => None,
        }
    }
}

/// A Google service account.
#[derive(Debug)]
pub struct ServiceAccount {
    /// Its key.
    pub key: ServiceAccountKey,
}

/// The key of a service account.
#[derive(Debug)]
pub enum ServiceAccountKey {
    /// Google's JSON file, read at each use.
    File(PathBuf),
    /// Its parts.
    Written {
        /// The service account's address.
        client_email: String,
        /// The key's name.
        private_key_id: String,
        /// The private key (PEM).
        private_key: SecretSource,
    },
}

impl ServiceAccountKey {
    fn is_same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(one), Self::File(other)) => one == other,
            (
                Self::Written { client_email, private_key_id, private_key },
                Self::Written { client_email: email, private_key_id: id, private_key: key },
            ) => (client_email, private_key_id) == (email, id) && private_key.is_same_as(key),
            (Self::File(_) | Self::Written { .. }, _) => false,
        }
    }
}

/// The identity of an Azure machine or app: who gives its tokens.
#[derive(Debug, Clone)]
pub enum ManagedIdentity {
    /// The Instance Metadata Service of a virtual machine, at the token endpoint.
    Imds {
        /// Which of its user-assigned identities.
        client_id: Option<String>,
    },
    /// What App Service, Functions and Container Apps name in the environment.
    AppService {
        /// `IDENTITY_HEADER`.
        header: SecretSource,
        /// Which of its user-assigned identities.
        client_id: Option<String>,
    },
}

impl ManagedIdentity {
    fn is_same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Imds { client_id: one }, Self::Imds { client_id: other }) => one == other,
            (
                Self::AppService { header, client_id },
                Self::AppService { header: other, client_id: others },
            ) => header.is_same_as(other) && client_id == others,
            (Self::Imds { .. } | Self::AppService { .. }, _) => false,
        }
    }
}

impl Grant {
    /// The word for its way.
    pub fn kind(&self) -> GrantKind {
        self.way.kind()
    }

    /// The client id; empty where the way has none.
    pub fn client_id(&self) -> &str {
        self.way.client().map_or("", |client| &client.id)
    }

    /// Who gives its tokens: the URL of the token endpoint, or of the issuer that tells it, or the
    /// program.
    pub fn source(&self) -> &str {
        if let Way::Command(command) = &self.way {
            return command.program().to_str().unwrap_or("the command");
        }
        let server = &self.server;
        server.token_endpoint.as_deref().or(server.issuer.as_deref()).unwrap_or_default()
    }

    /// The grant for one mailbox: a service account asks in the name of each mailbox on its own,
    /// all others ask once.
    pub fn for_mailbox(self: &Arc<Self>, mailbox: &Username) -> Arc<Self> {
        match &self.id {
            GrantId::ServiceAccount { provider, key, subject: _ } => {
                let (provider, key) = (provider.clone(), key.clone());
                let id = GrantId::ServiceAccount { provider, key, subject: Some(mailbox.folded()) };
                Arc::new(Self { id, ..Self::clone(self) })
            }
            GrantId::Account(_) | GrantId::Application { .. } => Arc::clone(self),
        }
    }
}

#[cfg(test)]
impl Grant {
    /// An application's grant without anything special, for tests to change.
    pub(crate) fn of_application() -> Self {
        use super::ClientAuth;
        Self {
            id: GrantId::Application {
                provider: "corp".into(),
                tenant: None,
                client_id: "client".into(),
            },
            way: Way::ClientCredentials(Client {
                id: "client".into(),
                auth: ClientAuth::SecretPost(SecretSource::Value("secret".into())),
                secret_ends_at: None,
            }),
            server: AuthorizationServer {
                token_endpoint: Some("https://login.example/token".into()),
                ..AuthorizationServer::default()
            },
            refresh_idle: None,
        }
    }

    /// The same for a person, whose name is `account`.
    pub(crate) fn of_person(account: &str) -> Self {
        let grant = Self::of_application();
        let client = grant.way.client().cloned().unwrap();
        let id = GrantId::Account(Username::parse(account).unwrap().folded());
        Self { id, way: Way::AuthorizationCode(client), ..grant }
    }

    /// The same at another token endpoint.
    pub(crate) fn at(mut self, token_endpoint: &str) -> Self {
        self.server.token_endpoint = Some(token_endpoint.to_owned());
        self
    }

    /// The same with another client.
    pub(crate) fn by(mut self, change: impl FnOnce(&mut Client)) -> Self {
        match &mut self.way {
            Way::ClientCredentials(client)
            | Way::WorkloadIdentity(client)
            | Way::AuthorizationCode(client)
            | Way::DeviceCode(client)
            | Way::Password { client, .. } => change(client),
            Way::ServiceAccount(_) | Way::ManagedIdentity(_) | Way::Command(_) => {}
        }
        self
    }
}
