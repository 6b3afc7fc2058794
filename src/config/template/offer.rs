//! What a provider offers to somebody who begins.

use crate::config::presets;
use crate::provider::{GrantKind, Protocol};

use super::Choice;

/// What may be chosen at a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Its grants, as far as they are asked for, the usual one first.
    pub grants: Vec<GrantKind>,
    /// What its mail servers speak.
    pub protocols: Vec<Protocol>,
    /// Whether it wants to know the tenant.
    pub takes_tenant: bool,
    /// Whether a code on another device is a way to consent.
    pub has_device_flow: bool,
    /// Whether its clients have a secret even where a person consents.
    pub always_secret: bool,
    /// Whether its applications have ids of Entra.
    pub is_entra: bool,
}

/// The grants that a new file may have. The others begin with something that is there already, and
/// have an example each.
const GRANTS: [GrantKind; 4] = [
    GrantKind::AuthorizationCode,
    GrantKind::DeviceCode,
    GrantKind::ClientCredentials,
    GrantKind::ServiceAccount,
];

impl Offer {
    /// What `choice` offers.
    pub fn of(choice: &Choice) -> Self {
        match choice {
            Choice::BuiltIn(name) => Self::built_in(name),
            Choice::Own(own) => Self {
                grants: GRANTS.into_iter().filter(|it| *it != GrantKind::ServiceAccount).collect(),
                protocols: Protocol::ALL
                    .into_iter()
                    .filter(|protocol| own.hosts.get(*protocol).is_some())
                    .collect(),
                takes_tenant: false,
                // Its metadata tell, which nobody has read yet.
                has_device_flow: true,
                always_secret: false,
                is_entra: false,
            },
        }
    }

    fn built_in(name: &str) -> Self {
        let Some(preset) = presets::find(name) else {
            return Self::none();
        };
        let has_device_flow = preset.endpoints.device_authorization.is_some();
        let is_offered = |kind: &GrantKind| {
            (preset.refused)(*kind).is_none() && (*kind != GrantKind::DeviceCode || has_device_flow)
        };
        let protocols = Protocol::ALL.into_iter();
        Self {
            grants: GRANTS.into_iter().filter(is_offered).collect(),
            protocols: protocols
                .filter(|protocol| preset.provider.hosts.get(*protocol).is_some())
                .collect(),
            takes_tenant: preset.endpoints.take_tenant(),
            has_device_flow,
            // Google's "Using OAuth 2.0 for Mobile and Desktop Apps": `client_secret` is required.
            // Yahoo's flow is for confidential clients.
            always_secret: matches!(name, "google" | "yahoo" | "aol"),
            is_entra: preset.endpoints.are_of_entra(),
        }
    }

    fn none() -> Self {
        Self {
            grants: Vec::new(),
            protocols: Vec::new(),
            takes_tenant: false,
            has_device_flow: false,
            always_secret: false,
            is_entra: false,
        }
    }
}

/// The names of the providers that are built in.
pub fn names() -> &'static [&'static str] {
    &presets::NAMES
}

/// What people call the built-in provider `name`.
pub fn title(name: &str) -> &'static str {
    match name {
        "microsoft" => "Microsoft 365, Exchange Online",
        "microsoft-hve" => "Microsoft 365, High Volume Email",
        "microsoft-gcc-high" => "Microsoft 365, US government, GCC High",
        "microsoft-dod" => "Microsoft 365, US government, DoD",
        "microsoft-21vianet" => "Microsoft 365, operated by 21Vianet in China",
        "outlook-com" => "Outlook.com, Hotmail, Live",
        "google" => "Gmail, Google Workspace",
        "yahoo" => "Yahoo Mail",
        "aol" => "AOL Mail",
        "fastmail" => "Fastmail",
        _ => "a provider of one's own",
    }
}
