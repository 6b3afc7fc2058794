//! Conduct: what a person does whom the stand-in asks for consent, what is wrong with its answers by
//! order, and where consents are had.

use std::sync::PoisonError;

use super::{Sandbox, issuer};
use crate::names::Username;
use crate::provider::{AuthorizationServer, Client, ClientAuth, Grant, GrantId, Protocol, Way};

/// How consents go from now on. By default everybody signs in as the client proposes, agrees to
/// everything, and is sent back with a right answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conduct {
    /// Who signs in; whom `login_hint` names if left out.
    pub user: Option<Username>,
    /// The person says no.
    pub denies: bool,
    /// The permissions whose boxes the person leaves unticked.
    pub unticked: Vec<Protocol>,
    /// No refresh token is given.
    pub withholds_refresh_token: bool,
    /// What the answer says as `iss` (RFC 9207).
    pub issuer: Told,
    /// What the answer says as `state`.
    pub state: Told,
}

/// What an answer says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Told {
    /// What it should.
    #[default]
    Right,
    /// Something else.
    Wrong,
    /// Nothing.
    Nothing,
}

impl Told {
    /// What is said where `right` is due.
    pub(super) fn instead_of(self, right: &str) -> Option<String> {
        match self {
            Self::Right => Some(right.to_owned()),
            Self::Wrong => Some(format!("{right}-altered")),
            Self::Nothing => None,
        }
    }
}

/// What a person has allowed.
#[derive(Debug, Clone)]
pub(super) struct Allowed {
    pub(super) user: Username,
    pub(super) protocols: Vec<Protocol>,
    /// The scopes, where they are not those that were asked for (RFC 6749 section 5.1).
    pub(super) scope: Option<String>,
    /// Whether the answer names the person, because `openid` was asked for.
    pub(super) is_named: bool,
    pub(super) has_refresh_token: bool,
}

/// What a client asks a person for.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) protocols: Vec<Protocol>,
    pub(super) is_openid: bool,
}

impl Asked {
    /// Reads `scope`; `None` if it is unknown or asks for nothing.
    pub(super) fn read(scope: &str) -> Option<Self> {
        let is_openid = scope.split_ascii_whitespace().any(|it| it == "openid");
        Some(Self { protocols: issuer::protocols_among(scope)?, is_openid })
    }

    /// What `user` allows of it.
    pub(super) fn allowed(&self, user: Username, conduct: &Conduct) -> Allowed {
        let mut protocols = self.protocols.clone();
        protocols.retain(|protocol| !conduct.unticked.contains(protocol));
        let is_narrower = protocols != self.protocols;
        let scopes = protocols.iter().map(|&it| issuer::scope(it)).collect::<Vec<_>>();
        Allowed {
            user,
            scope: is_narrower.then(|| scopes.join(" ")),
            protocols,
            is_named: self.is_openid,
            has_refresh_token: !conduct.withholds_refresh_token,
        }
    }
}

/// What is about consents.
impl Sandbox {
    /// What its metadata, its tokens and its answers call it.
    pub fn issuer(&self) -> String {
        format!("http://{}", self.token_address)
    }

    /// Where a browser is sent for a person's consent (RFC 6749 section 4.1). Nobody is asked: it
    /// answers at once as [`Self::set_conduct`] says.
    pub fn authorization_endpoint(&self) -> String {
        format!("{}/authorize", self.issuer())
    }

    /// Where the device flow begins (RFC 8628).
    pub fn device_authorization_endpoint(&self) -> String {
        format!("{}/device", self.issuer())
    }

    /// All of its endpoints.
    pub fn server(&self) -> AuthorizationServer {
        AuthorizationServer {
            issuer: Some(self.issuer()),
            tells_issuer: true,
            token_endpoint: Some(self.token_endpoint()),
            authorization_endpoint: Some(self.authorization_endpoint()),
            device_authorization_endpoint: Some(self.device_authorization_endpoint()),
            revocation_endpoint: Some(self.revocation_endpoint()),
            ..AuthorizationServer::default()
        }
    }

    /// The grant of a person who has consented for `account`, or will, by browser, as a public
    /// client uses it: see [`Self::issue_refresh_token`].
    pub fn kept_grant(&self, account: &Username) -> Grant {
        let id = GrantId::Account(account.folded());
        let way = Way::AuthorizationCode(self.public_client());
        Grant { id, way, server: self.server(), refresh_idle: None }
    }

    /// The same by the device flow.
    pub fn device_grant(&self, account: &Username) -> Grant {
        Grant { way: Way::DeviceCode(self.public_client()), ..self.kept_grant(account) }
    }

    fn public_client(&self) -> Client {
        let id = self.client_id().to_owned();
        Client { id, auth: ClientAuth::None, secret_ends_at: None }
    }

    /// Consents go so from now on.
    pub fn set_conduct(&self, conduct: Conduct) {
        *self.endpoint.conduct.lock().unwrap_or_else(PoisonError::into_inner) = conduct;
    }

    /// A person enters `user_code` and allows what is asked for as `user`, as far as the conduct
    /// does not differ; gives whether there is such a code.
    pub fn approve_device(&self, user_code: &str, user: &Username) -> bool {
        self.endpoint.answer_device(user_code, Some(user))
    }

    /// A person enters `user_code` and says no; gives whether there is such a code.
    pub fn deny_device(&self, user_code: &str) -> bool {
        self.endpoint.devices.answer(user_code, None)
    }

    /// All device codes come to their end.
    pub fn end_device_codes(&self) {
        self.endpoint.devices.end();
    }
}
