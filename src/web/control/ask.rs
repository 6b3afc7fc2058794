//! What can be asked at the control socket, and what is answered.

mod aftermath;
mod consent;
mod facts;
mod online;

use std::fmt;

use serde::de::{DeserializeOwned, Deserializer};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

pub use self::aftermath::{Extent, ForeseeRevocation, RevocationForeseen};
pub use self::consent::{
    AnswerConsent, BeginConsent, ConsentBegun, ConsentKept, ConsentProgress, EndConsent,
};
pub use self::facts::{ClosedRow, Facts, GatherFacts};
pub use self::online::{
    GoOnline, ReachableRow, SaidRow, SendTest, SentTest, ShowReachable, StepResult, StepRow, Walked,
};
use crate::account::password::Listed;
use crate::names::Username;
use crate::oauth;
use crate::provider::Protocol;
use crate::secret::{ExposeSecret as _, RefreshToken, SecretString};
use crate::web::accounts::AccountRow;
use crate::web::moment::Moment;
use crate::web::operator::{Consent, Operator, OperatorError};

/// One kind of request. It is sent as JSON to its path, and so is its answer.
pub trait Ask: Serialize + DeserializeOwned + Send + 'static {
    /// Where it is sent.
    const PATH: &'static str;
    /// Whether it does nothing itself, so that nothing is in doubt where no answer came.
    const IS_LOOK: bool = false;
    /// What comes back.
    type Answer: Serialize + DeserializeOwned + Send + 'static;

    /// Does it.
    ///
    /// # Errors
    /// When it is not done.
    fn carry_out(
        self,
        operator: Operator,
    ) -> impl Future<Output = Result<Self::Answer, OperatorError>> + Send;
}

/// A secret that crosses the socket: the one place where a password or a token is written in clear.
#[derive(Clone)]
pub struct Shown(pub SecretString);

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.0.expose_secret())
    }
}

impl<'de> Deserialize<'de> for Shown {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(SecretString::from).map(Self)
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shown([REDACTED])")
    }
}

/// Every account of the file.
#[derive(Debug, Serialize, Deserialize)]
pub struct ShowAccounts {}

impl Ask for ShowAccounts {
    const PATH: &'static str = "/accounts";
    type Answer = Vec<AccountRow>;

    async fn carry_out(self, operator: Operator) -> Result<Self::Answer, OperatorError> {
        operator.accounts().await
    }
}

/// A new local password.
#[derive(Debug, Serialize, Deserialize)]
pub struct MakePassword {
    /// An account, an address that a wildcard covers, or a device.
    pub name: String,
    /// What tells it from the others of that name.
    pub label: Option<String>,
    /// What it is good for. None is the default: everything, or submission alone with a label.
    pub protocols: Vec<String>,
}

/// A local password that was made.
#[derive(Debug, Serialize, Deserialize)]
pub struct MadePassword {
    /// The password, told this once.
    pub password: Shown,
    /// What it is good for.
    pub protocols: Vec<String>,
    /// Whether the one before, without a label as well, ended by it.
    pub replaced: bool,
    /// What to enter beside it where it is a device's.
    #[serde(default)]
    pub device: Option<DeviceSignIn>,
}

/// How a device signs in.
#[derive(Debug, Serialize, Deserialize)]
pub struct DeviceSignIn {
    /// By which user name.
    pub username: String,
    /// As which account it sends.
    pub account: String,
}

impl Ask for MakePassword {
    const PATH: &'static str = "/passwords/make";
    type Answer = MadePassword;

    async fn carry_out(self, operator: Operator) -> Result<Self::Answer, OperatorError> {
        let Self { name, label, protocols } = self;
        let name = Username::parse(&name)?;
        let mut protocols =
            protocols.iter().map(|name| protocol(name)).collect::<Result<Vec<_>, _>>()?;
        protocols.sort();
        protocols.dedup();
        let device = operator.device(&name).and_then(|device| {
            let (username, account) = (device.username.as_ref()?, &device.account);
            Some(DeviceSignIn { username: username.to_string(), account: account.to_string() })
        });
        let made = operator.make_password(&name, label, protocols).await?;
        let (protocols, replaced) = (protocol_names(&made.protocols), made.replaced);
        Ok(MadePassword { password: Shown(made.password), protocols, replaced, device })
    }
}

/// The local passwords that were made for a name.
#[derive(Debug, Serialize, Deserialize)]
pub struct ListPasswords {
    /// Whose.
    pub name: String,
}

/// One of them; all but the password itself.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordRow {
    /// What tells it from the others.
    pub label: Option<String>,
    /// What it is good for.
    pub protocols: Vec<String>,
    /// When it was made.
    pub made_at: Moment,
    /// When somebody last signed in by it, since the relay started.
    #[serde(default)]
    pub last_used_at: Option<Moment>,
}

impl Ask for ListPasswords {
    const PATH: &'static str = "/passwords";
    type Answer = Vec<PasswordRow>;

    async fn carry_out(self, operator: Operator) -> Result<Self::Answer, OperatorError> {
        let passwords = operator.passwords(&Username::parse(&self.name)?).await?;
        let rows = passwords.into_iter().map(|Listed { password, last_used_at }| PasswordRow {
            label: password.label,
            protocols: protocol_names(&password.protocols),
            made_at: Moment::new(password.made_at),
            last_used_at: last_used_at.map(Moment::new),
        });
        Ok(rows.collect())
    }
}

/// The end of a local password.
#[derive(Debug, Serialize, Deserialize)]
pub struct RevokePassword {
    /// Whose.
    pub name: String,
    /// Which of them.
    pub label: Option<String>,
}

impl Ask for RevokePassword {
    const PATH: &'static str = "/passwords/revoke";
    type Answer = ();

    async fn carry_out(self, operator: Operator) -> Result<Self::Answer, OperatorError> {
        operator.revoke_password(&Username::parse(&self.name)?, self.label).await
    }
}

/// An access token.
#[derive(Debug, Serialize, Deserialize)]
pub struct GetToken {
    /// Whose.
    pub account: String,
    /// What for; left out, the first of submission, imap and pop3 that the provider has.
    pub protocol: Option<String>,
}

/// An access token, and what is wrong if the refresh token could not be written.
#[derive(Debug, Serialize, Deserialize)]
pub struct GotToken {
    /// The token.
    pub access_token: Shown,
    /// What is wrong and what to do.
    pub unsaved: Option<String>,
}

impl Ask for GetToken {
    const PATH: &'static str = "/token";
    type Answer = GotToken;

    async fn carry_out(self, operator: Operator) -> Result<Self::Answer, OperatorError> {
        let account = Username::parse(&self.account)?;
        let protocol = self.protocol.as_deref().map(protocol).transpose()?;
        let token = operator.token(&account, protocol).await?;
        let access_token = Shown(SecretString::from(token.it.expose_secret()));
        Ok(GotToken { access_token, unsaved: token.unsaved })
    }
}

/// Somebody's consent, brought as a refresh token.
#[derive(Debug, Serialize, Deserialize)]
pub struct Authorize {
    /// For which account.
    pub account: String,
    /// The refresh token.
    pub refresh_token: Shown,
    /// Who may have consented besides the account and its mailboxes.
    pub users: Vec<String>,
}

/// A consent that is kept.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authorized {
    /// Who consented, if the provider told.
    pub user: Option<String>,
    /// What was not granted.
    pub missing: Vec<String>,
    /// What is wrong if it is in the relay's memory alone for now.
    pub unsaved: Option<String>,
}

impl Ask for Authorize {
    const PATH: &'static str = "/authorize";
    type Answer = Authorized;

    async fn carry_out(self, operator: Operator) -> Result<Self::Answer, OperatorError> {
        let account = Username::parse(&self.account)?;
        let users =
            self.users.iter().map(|user| Username::parse(user)).collect::<Result<Vec<_>, _>>()?;
        let refresh_token = RefreshToken::parse(self.refresh_token.0.expose_secret());
        let refresh_token = refresh_token.ok_or_else(|| {
            let problem = "a refresh token is 1 to 65,536 printable ASCII characters";
            OperatorError::Malformed(problem.to_owned())
        })?;
        let authorized = operator.authorize(&account, Consent { refresh_token, users }).await?;
        let oauth::Authorized { user, missing, unsaved: _ } = authorized.it;
        let user = user.map(|user| user.to_string());
        Ok(Authorized { user, missing, unsaved: authorized.unsaved })
    }
}

/// A consent given back.
#[derive(Debug, Serialize, Deserialize)]
pub struct Revoke {
    /// Whose.
    pub account: String,
}

/// What came of giving a consent back.
#[derive(Debug, Serialize, Deserialize)]
pub struct Revoked {
    /// Where it ended.
    pub revoked: RevokedWhere,
    /// What is wrong if that could not be written.
    pub unsaved: Option<String>,
}

/// Where a consent ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RevokedWhere {
    /// At the provider, and here.
    AtProvider,
    /// Here; the provider has no endpoint for that.
    HereAlone,
    /// There was none.
    NothingKept,
}

impl Ask for Revoke {
    const PATH: &'static str = "/revoke";
    type Answer = Revoked;

    async fn carry_out(self, operator: Operator) -> Result<Self::Answer, OperatorError> {
        let revoked = operator.revoke(&Username::parse(&self.account)?).await?;
        let place = match revoked.it {
            oauth::Revoked::AtProvider => RevokedWhere::AtProvider,
            oauth::Revoked::HereAlone => RevokedWhere::HereAlone,
            oauth::Revoked::NothingKept => RevokedWhere::NothingKept,
        };
        Ok(Revoked { revoked: place, unsaved: revoked.unsaved })
    }
}

/// An order to read the configuration again.
#[derive(Debug, Serialize, Deserialize)]
pub struct Reload {}

/// The new configuration is used.
#[derive(Debug, Serialize, Deserialize)]
pub struct Reloaded {
    /// What is allowed in it and probably not meant.
    pub warnings: Vec<String>,
}

impl Ask for Reload {
    const PATH: &'static str = "/reload";
    type Answer = Reloaded;

    async fn carry_out(self, operator: Operator) -> Result<Self::Answer, OperatorError> {
        Ok(Reloaded { warnings: operator.reload().await? })
    }
}

/// Whether the relay is ready.
#[derive(Debug, Serialize, Deserialize)]
pub struct CheckHealth {}

/// How the relay is.
#[derive(Debug, Serialize, Deserialize)]
pub struct HealthTold {
    /// Why it is not ready, each in a sentence; none if it is.
    pub not_ready: Vec<String>,
    /// What is wrong if the store could not be written last. It is ready all the same: whoever
    /// restarts it for that may lose refresh tokens.
    pub unsaved: Option<String>,
}

impl Ask for CheckHealth {
    const PATH: &'static str = "/health";
    type Answer = HealthTold;

    async fn carry_out(self, operator: Operator) -> Result<Self::Answer, OperatorError> {
        Ok(HealthTold { not_ready: operator.health()?, unsaved: operator.unsaved() })
    }
}

fn protocol(name: &str) -> Result<Protocol, OperatorError> {
    Protocol::ALL
        .into_iter()
        .find(|protocol| protocol.name() == name)
        .ok_or_else(|| OperatorError::Malformed("this relay knows no such protocol".to_owned()))
}

fn protocol_names(protocols: &[Protocol]) -> Vec<String> {
    protocols.iter().map(|protocol| protocol.name().to_owned()).collect()
}
