//! What tells one grant from another.

use std::fmt;

use crate::names::Username;

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
