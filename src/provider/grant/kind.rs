//! The words for the ways in which tokens are asked for.

use std::fmt;

/// The word for the way in which tokens are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GrantKind {
    /// See [`super::Way::ClientCredentials`].
    ClientCredentials,
    /// See [`super::Way::WorkloadIdentity`].
    WorkloadIdentity,
    /// See [`super::Way::AuthorizationCode`].
    AuthorizationCode,
    /// See [`super::Way::DeviceCode`].
    DeviceCode,
    /// See [`super::Way::Password`].
    Password,
    /// See [`super::Way::ServiceAccount`].
    ServiceAccount,
    /// See [`super::Way::ManagedIdentity`].
    ManagedIdentity,
    /// See [`super::Way::Command`].
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
