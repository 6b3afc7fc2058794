//! A grant: the consent by which access tokens are obtained, and how they are asked for.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

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

/// The word for the way in which tokens are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GrantKind {
    /// See [`Way::ClientCredentials`].
    ClientCredentials,
    /// See [`Way::WorkloadIdentity`].
    WorkloadIdentity,
    /// See [`Way::AuthorizationCode`].
    AuthorizationCode,
    /// See [`Way::DeviceCode`].
    DeviceCode,
    /// See [`Way::Password`].
    Password,
    /// See [`Way::ServiceAccount`].
    ServiceAccount,
    /// See [`Way::ManagedIdentity`].
    ManagedIdentity,
    /// See [`Way::Command`].
    Command,
}

impl GrantKind {
    /// Every one, in the order in which they are told.
    pub const ALL: [Self; 8] = [
        Self::AuthorizationCode,
        Self::DeviceCode,
        Self::ClientCredentials,
        Self::ServiceAccount,
        Self::Password,
        Self::WorkloadIdentity,
        Self::ManagedIdentity,
        Self::Command,
    ];

    /// The word of the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::ClientCredentials => "client-credentials",
            Self::WorkloadIdentity => "workload-identity",
            Self::AuthorizationCode => "authorization-code",
            Self::DeviceCode => "device-code",
            Self::Password => "password",
            Self::ServiceAccount => "service-account",
            Self::ManagedIdentity => "managed-identity",
            Self::Command => "command",
        }
    }

    /// Whether it has a refresh token, which has to be kept: a person consents.
    pub fn is_kept(self) -> bool {
        matches!(self, Self::AuthorizationCode | Self::DeviceCode)
    }

    /// Whether it is one person's, so that it cannot stand for a whole domain.
    pub fn is_personal(self) -> bool {
        match self {
            Self::AuthorizationCode | Self::DeviceCode | Self::Password => true,
            Self::ClientCredentials
            | Self::WorkloadIdentity
            | Self::ServiceAccount
            | Self::ManagedIdentity
            | Self::Command => false,
        }
    }
}

impl fmt::Display for GrantKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which grant: tokens are cached, and refresh tokens kept, under it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GrantId {
    /// The consent of the person who has the account of this name, folded.
    Account(Username),
    /// The permission of an application.
    Application {
        /// The provider's name in the file.
        provider: String,
        /// Where it has one: the tenant.
        tenant: Option<String>,
        /// The application's client id, or what else names it: the program of a command.
        client_id: String,
    },
    /// The delegation of a service account.
    ServiceAccount {
        /// The provider's name in the file.
        provider: String,
        /// The service account's address, or the path of its key file.
        key: String,
        /// In whose name it asks, folded; none for the account of the file, which may cover many.
        subject: Option<Username>,
    },
}

impl GrantId {
    /// The grant of the file that this one is part of: a service account without its subject; any
    /// other is its own.
    pub fn of_file(&self) -> Self {
        match self {
            Self::ServiceAccount { provider, key, subject: _ } => {
                let (provider, key) = (provider.clone(), key.clone());
                Self::ServiceAccount { provider, key, subject: None }
            }
            Self::Account(_) | Self::Application { .. } => self.clone(),
        }
    }

    /// In whose name a service account asks.
    pub fn subject(&self) -> Option<&Username> {
        match self {
            Self::ServiceAccount { subject, .. } => subject.as_ref(),
            Self::Account(_) | Self::Application { .. } => None,
        }
    }
}

impl fmt::Display for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(account) => write!(f, "account {account}"),
            Self::Application { provider, tenant: Some(tenant), client_id } => {
                write!(f, "application {provider}/{tenant}/{client_id}")
            }
            Self::Application { provider, tenant: None, client_id } => {
                write!(f, "application {provider}/{client_id}")
            }
            Self::ServiceAccount { provider, key, subject: Some(subject) } => {
                write!(f, "service account {provider}/{key} as {subject}")
            }
            Self::ServiceAccount { provider, key, subject: None } => {
                write!(f, "service account {provider}/{key}")
            }
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
