//! What whoever runs mailbearer asks of it: the shared functions behind the control socket, and
//! later the page.
//!
//! In a running relay it acts on what the relay uses. A command without one makes its own, of the
//! store that it has opened itself; that store ends with the command, so nothing may be left in
//! its memory alone.

mod error;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tracing::info;

pub use self::error::{Class, OperatorError};
use super::accounts::{self, AccountRow, MailError};
use super::consents::Consents;
use crate::account::AccountSettings;
use crate::account::device::DeviceSettings;
use crate::account::directory::{Account, Directory};
use crate::account::password::{Listed, Made, Passwords};
use crate::names::Address;
use crate::names::{AccountPattern, Username};
use crate::oauth::{Aftermath, Authorized, Revoked, Tokens};
use crate::provider::{Grant, GrantId, Protocol};
use crate::relay::online::{Online, Said, Sent, Walk};
use crate::relay::troubles::Troubles;
use crate::secret::{AccessToken, RefreshToken};
use crate::store::{Health, Store};

/// How like a name has to be to be offered in place of one that is not there (Jaro-Winkler; 1 is
/// the same).
const LIKENESS_MIN: f64 = 0.75;

/// How long a command without a relay waits before each further try to write what it has in memory
/// alone: long enough for somebody's rotation of logs to free a disk, short enough to sit through.
const SAVE_PAUSES: [Duration; 4] =
    [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];

/// The parts that an operator acts on.
#[derive(Debug, Clone)]
pub struct Operator {
    /// Where tokens come from.
    pub tokens: Tokens,
    /// The local passwords.
    pub passwords: Arc<Passwords>,
    /// What both keep.
    pub store: Store,
    /// The accounts of the configuration, as it is now.
    pub directory: watch::Receiver<Arc<Directory>>,
    /// The consents that people are giving.
    pub consents: Consents,
    /// The way to the providers' mail servers.
    pub online: Online,
    /// The relay, where one runs.
    pub serving: Option<Serving>,
}

/// A relay that runs.
#[derive(Clone)]
pub struct Serving {
    /// Takes orders to read the configuration again.
    pub reload: mpsc::Sender<Reload>,
    /// Why it is not ready, each in a sentence; nothing if it is.
    pub not_ready: Arc<dyn Fn() -> Vec<String> + Send + Sync>,
    /// What went wrong last with each account.
    pub troubles: Arc<Troubles>,
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving").finish_non_exhaustive()
    }
}

/// An order to read the configuration again. What comes of it: the warnings of the new one, or
/// why the old one stays, in the words of `check`.
pub type Reload = oneshot::Sender<Result<Vec<String>, String>>;

/// A refresh token that somebody brings for an account.
#[derive(Debug, Clone)]
pub struct Consent {
    /// The token itself.
    pub refresh_token: RefreshToken,
    /// Who may have consented besides the account and its mailboxes.
    pub users: Vec<Username>,
}

/// What can be tried of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reachable {
    /// Its name; of a wildcard as the file has it.
    pub account: AccountPattern,
    /// The protocols that its provider has a server for, and that it may have tokens for. None of a
    /// wildcard, which is no name to sign in with.
    pub protocols: Vec<Protocol>,
}

/// Something that was had, and what is wrong if a refresh token is in memory alone since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obtained<T> {
    /// What was asked for.
    pub it: T,
    /// What is wrong with the store and what to do.
    pub unsaved: Option<String>,
}

impl Operator {
    /// Every account of the file, in the order of their names.
    ///
    /// # Errors
    /// When the program ends.
    pub async fn accounts(&self) -> Result<Vec<AccountRow>, OperatorError> {
        let operator = self.clone();
        let rows = blocking(move || {
            let directory = Arc::clone(&operator.directory.borrow());
            let unsaved = operator.unsaved();
            let row = |account: &Arc<AccountSettings>| {
                let status = operator.tokens.status(&accounts::grant_of(account));
                let mail_error = operator.mail_error(&directory, &account.name);
                let devices = accounts::devices_of(account, &directory, &operator.passwords);
                let row = AccountRow::new(account, status, unsaved.clone(), mail_error);
                AccountRow { devices, ..row }
            };
            directory.accounts().into_iter().map(row).collect()
        });
        rows.await
    }

    /// The last trouble of those who have no other account of `directory` than that of `name`.
    fn mail_error(&self, directory: &Directory, name: &AccountPattern) -> Option<MailError> {
        let troubles = &self.serving.as_ref()?.troubles;
        let is_of_another = |user: &Username| {
            directory.find(user, None).is_none_or(|account| account.settings().name != *name)
        };
        let (user, trouble) = troubles.latest(name, is_of_another)?;
        Some(MailError::new(&user, trouble))
    }

    /// Makes a local password for `name`: an account, an address that a wildcard covers, or a device.
    /// In place of its main one, or one more, which `label` tells from the others; a device has
    /// one alone, good for submission.
    ///
    /// # Errors
    /// When there is nobody of that name, it is a device that never signs in, protocols are named for
    /// a main password, which is for all, the label cannot be or is taken, or nothing can be written.
    pub async fn make_password(
        &self,
        name: &Username,
        label: Option<String>,
        protocols: Vec<Protocol>,
    ) -> Result<Made, OperatorError> {
        if let Some(device) = self.device(name) {
            return self.make_device_password(&device, label.is_some(), &protocols).await;
        }
        let account = self.account(name)?.name().clone();
        if label.is_none() && !protocols.is_empty() {
            return Err(OperatorError::MainPassword { account });
        }
        let passwords = Arc::clone(&self.passwords);
        let (name, named) = (account.clone(), label.clone());
        let made = blocking(move || passwords.make(&name, named.as_deref(), &protocols)).await??;
        let replaced = made.replaced;
        info!(account = account.as_str(), label, replaced, "local password made");
        Ok(made)
    }

    async fn make_device_password(
        &self,
        device: &DeviceSettings,
        is_labelled: bool,
        protocols: &[Protocol],
    ) -> Result<Made, OperatorError> {
        let name = device.name.clone();
        if device.username.is_none() {
            return Err(OperatorError::NoDeviceUsername { device: name });
        }
        if is_labelled || protocols.iter().any(|protocol| *protocol != Protocol::Submission) {
            return Err(OperatorError::OneDevicePassword { device: name });
        }
        let passwords = Arc::clone(&self.passwords);
        let made = blocking(move || passwords.make_for_device(&name)).await??;
        info!(device = device.name.as_str(), replaced = made.replaced, "local password made");
        Ok(made)
    }

    /// The device of that name, if it is one.
    pub fn device(&self, name: &Username) -> Option<Arc<DeviceSettings>> {
        self.directory.borrow().devices().named(name).cloned()
    }

    /// The local passwords that were made for `name`. One that is no account and no device any more
    /// may still have some.
    ///
    /// # Errors
    /// When there are none and there is nobody of that name.
    pub async fn passwords(&self, name: &Username) -> Result<Vec<Listed>, OperatorError> {
        let (kept, whose) = (Arc::clone(&self.passwords), name.clone());
        let passwords = blocking(move || kept.list(&whose)).await?;
        if passwords.is_empty() && self.device(name).is_none() {
            self.account(name)?;
        }
        Ok(passwords)
    }

    /// Ends the local password of `name` that has `label`.
    ///
    /// # Errors
    /// When there is none, or that cannot be written.
    pub async fn revoke_password(
        &self,
        name: &Username,
        label: Option<String>,
    ) -> Result<(), OperatorError> {
        let passwords = Arc::clone(&self.passwords);
        let (whose, labelled) = (name.clone(), label.clone());
        if !blocking(move || passwords.revoke(&whose, labelled.as_deref())).await?? {
            return Err(OperatorError::NoSuchPassword { name: name.clone(), label });
        }
        match self.device(name) {
            Some(device) => info!(device = device.name.as_str(), "local password revoked"),
            None => info!(account = name.as_str(), label, "local password revoked"),
        }
        Ok(())
    }

    /// An access token of the account `name` for `protocol`, or for the first that its provider
    /// has a server for.
    ///
    /// # Errors
    /// When there is no such account, or no token.
    pub async fn token(
        &self,
        name: &Username,
        protocol: Option<Protocol>,
    ) -> Result<Obtained<AccessToken>, OperatorError> {
        let account = self.account(name)?;
        let settings = account.settings();
        let protocol = protocol.unwrap_or_else(|| settings.first_protocol());
        consented(&account, protocol)?;
        let grant = settings.grant.for_mailbox(account.mailbox(protocol));
        let token = self.tokens.access_token(&grant, settings.scopes.get(protocol)).await?;
        Ok(Obtained { it: token.access_token, unsaved: self.settle().await })
    }

    /// What can be tried of the account `name`, or of every account of the file, in the order of their
    /// names.
    ///
    /// # Errors
    /// When there is no such account.
    pub fn reachable(&self, name: Option<&Username>) -> Result<Vec<Reachable>, OperatorError> {
        let of = |pattern: AccountPattern, settings: &AccountSettings| {
            let protocols = match pattern {
                AccountPattern::Exact(_) => reachable_protocols(settings),
                AccountPattern::Domain(_) => Vec::new(),
            };
            Reachable { account: pattern, protocols }
        };
        if let Some(name) = name {
            let account = self.account(name)?;
            return Ok(vec![of(AccountPattern::Exact(account.name().clone()), account.settings())]);
        }
        let directory = Arc::clone(&self.directory.borrow());
        Ok(directory.accounts().into_iter().map(|it| of(it.name.clone(), it)).collect())
    }

    /// Goes every step to the server of the account `name` for `protocol`, and signs in there.
    ///
    /// # Errors
    /// When there is no such account or no such server, or no permission to be had for it.
    pub async fn walk(
        &self,
        name: &Username,
        protocol: Protocol,
    ) -> Result<Obtained<Walk>, OperatorError> {
        let account = self.account(name)?;
        consented(&account, protocol)?;
        let it = self.online.walk(&account, protocol).await.map_err(OperatorError::Obstacle)?;
        Ok(Obtained { it, unsaved: self.settle().await })
    }

    /// Sends a test message of the account `name` to `recipient`; what is said is `told`.
    ///
    /// # Errors
    /// When there is no such account, or the provider does not take the message.
    pub async fn send_test(
        &self,
        name: &Username,
        recipient: Address,
        told: impl FnMut(Said) + Send,
    ) -> Result<Obtained<Sent>, OperatorError> {
        let account = self.account(name)?;
        let sent = self.online.send_test(&account, recipient, told).await;
        // Whatever became of the message, a refresh token may have rotated.
        let unsaved = self.settle().await;
        Ok(Obtained { it: sent.map_err(OperatorError::Obstacle)?, unsaved })
    }

    /// Uses the refresh token of `consent` once, and keeps what comes of it as the consent of the
    /// account `name`. Gives who consented, if the provider told, and what was not granted.
    ///
    /// In a running relay a refresh token that cannot be written now is used from memory, and
    /// writing it is tried again; a command alone has no later.
    ///
    /// # Errors
    /// When there is no such account, its grant is no person's, the provider gives no token for it,
    /// or somebody else consented: then what was kept before is as it was. Also when it could not
    /// be kept.
    pub async fn authorize(
        &self,
        name: &Username,
        consent: Consent,
    ) -> Result<Obtained<Authorized>, OperatorError> {
        let account = self.consenting(name)?;
        let settings = account.settings();
        let scopes = settings.scopes.get(settings.first_protocol());
        let Consent { refresh_token, users } = consent;
        let (grant, expected) = (&settings.grant, expected(&account, users));
        let authorized = self.tokens.authorize(grant, scopes, refresh_token, &expected).await?;
        let unsaved = self.settle_consent(authorized.unsaved.clone()).await?;
        let user = authorized.user.as_ref().map(Username::as_str);
        info!(account = account.name().as_str(), user, "consent kept");
        Ok(Obtained { it: authorized, unsaved })
    }

    /// What would end if the consent of the account `name` were given back, and which other
    /// accounts use it.
    ///
    /// # Errors
    /// When there is no such account, or its grant is no person's.
    pub async fn foresee_revocation(
        &self,
        name: &Username,
    ) -> Result<(Aftermath, Vec<String>), OperatorError> {
        let grant = Arc::clone(&self.consenting(name)?.settings().grant);
        let directory = Arc::clone(&self.directory.borrow());
        let accounts = directory.accounts().into_iter();
        let kept: Vec<_> = accounts.filter(|it| it.grant.kind().is_kept()).collect();
        let is_owner = |it: &AccountSettings, grant: &Grant| {
            matches!((&it.name, &grant.id),
                (AccountPattern::Exact(name), GrantId::Account(owner)) if name == owner)
        };
        let sharing = kept.iter().filter(|it| it.grant.id == grant.id && !is_owner(it, &grant));
        let sharing = sharing.map(|it| it.name.to_string()).collect();
        let own = kept.iter().filter(|it| is_owner(it, &it.grant));
        let own: Vec<_> = own.map(|it| Arc::clone(&it.grant)).collect();
        let tokens = self.tokens.clone();
        let aftermath = blocking(move || tokens.aftermath(&grant, &own)).await?;
        Ok((aftermath, sharing))
    }

    /// Gives the consent of the account `name` back and forgets it.
    ///
    /// # Errors
    /// When there is no such account, its grant is no person's, or the provider did not take the
    /// consent back; then it is still kept.
    pub async fn revoke(&self, name: &Username) -> Result<Obtained<Revoked>, OperatorError> {
        let account = self.consenting(name)?;
        let it = self.tokens.revoke(&account.settings().grant).await?;
        Ok(Obtained { it, unsaved: self.settle().await })
    }

    /// Has the configuration read again; gives the warnings of the new one.
    ///
    /// # Errors
    /// When no relay runs, or something is wrong with the new one, so that the old one stays.
    pub async fn reload(&self) -> Result<Vec<String>, OperatorError> {
        let serving = self.serving.as_ref().ok_or(OperatorError::NotServing)?;
        let (order, outcome) = oneshot::channel();
        serving.reload.send(order).await.map_err(|_| OperatorError::BrokenOff)?;
        outcome.await.map_err(|_| OperatorError::BrokenOff)?.map_err(OperatorError::Reload)
    }

    /// Why the relay is not ready, each in a sentence; nothing if it is.
    ///
    /// # Errors
    /// When no relay runs.
    pub fn health(&self) -> Result<Vec<String>, OperatorError> {
        let serving = self.serving.as_ref().ok_or(OperatorError::NotServing)?;
        Ok((serving.not_ready)())
    }

    fn account(&self, name: &Username) -> Result<Account, OperatorError> {
        let directory = Arc::clone(&self.directory.borrow());
        directory.find(name, None).ok_or_else(|| {
            let typed = name.folded();
            let devices = directory.devices();
            if let Some(device) = devices.named(name) {
                let (device, account) = (device.name.clone(), device.account.clone());
                return OperatorError::Device { device, account };
            }
            let names = directory.accounts().into_iter().map(|account| account.name.to_string());
            let names = names.chain(devices.all().iter().map(|device| device.name.to_string()));
            // Whoever types a device's user name means the device.
            let called = devices.called(name).map(|device| device.name.to_string());
            let near = called.or_else(|| {
                names
                    .map(|name| (strsim::jaro_winkler(typed.as_str(), &name), name))
                    .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
                    .max_by(|(one, _), (other, _)| one.total_cmp(other))
                    .map(|(_, name)| name)
            });
            OperatorError::NoSuchAccount { name: name.clone(), near }
        })
    }

    /// The account `name` if its grant is a person's consent, and its own.
    pub(super) fn consenting(&self, name: &Username) -> Result<Account, OperatorError> {
        let account = self.account(name)?;
        let grant = &account.settings().grant;
        match &grant.id {
            _ if !grant.kind().is_kept() => {
                let (account, grant) = (account.name().clone(), grant.kind());
                Err(OperatorError::NoConsent { account, grant })
            }
            GrantId::Account(owner) if owner != account.name() => {
                let (account, owner) = (account.name().clone(), owner.clone());
                Err(OperatorError::ConsentOfAnother { account, owner })
            }
            GrantId::Account(_) | GrantId::Application { .. } | GrantId::ServiceAccount { .. } => {
                Ok(account)
            }
        }
    }

    /// What is wrong if the store could not be written last.
    pub fn unsaved(&self) -> Option<String> {
        match self.store.health() {
            Health::Saved => None,
            Health::Unsaved { problem } => Some(problem),
        }
    }

    /// What is wrong if a new consent is in memory alone, as `unsaved` says.
    ///
    /// # Errors
    /// When no relay runs that would write it later.
    pub(super) async fn settle_consent(
        &self,
        unsaved: Option<String>,
    ) -> Result<Option<String>, OperatorError> {
        let unsaved = if unsaved.is_some() { self.settle().await } else { None };
        match (unsaved, &self.serving) {
            (Some(problem), None) => Err(OperatorError::NotKept { problem }),
            (unsaved, _) => Ok(unsaved),
        }
    }

    /// What is wrong if something is in memory alone. Without a relay, which would go on trying,
    /// it is tried for some seconds to write it.
    async fn settle(&self) -> Option<String> {
        let mut unsaved = self.unsaved();
        if self.serving.is_some() {
            return unsaved;
        }
        for pause in SAVE_PAUSES {
            unsaved.as_ref()?;
            tokio::time::sleep(pause).await;
            let store = self.store.clone();
            let _ = blocking(move || store.save()).await; // told by the store's health
            unsaved = self.unsaved();
        }
        unsaved
    }
}

/// Refuses a protocol that the person of `account` is not asked to consent to.
fn consented(account: &Account, protocol: Protocol) -> Result<(), OperatorError> {
    if may_have_tokens(account.settings(), protocol) {
        return Ok(());
    }
    Err(OperatorError::NotConsentedTo { account: account.name().clone(), protocol })
}

fn may_have_tokens(settings: &AccountSettings, protocol: Protocol) -> bool {
    !settings.grant.kind().is_kept() || settings.is_consented(protocol)
}

fn reachable_protocols(settings: &AccountSettings) -> Vec<Protocol> {
    let hosts = &settings.provider.hosts;
    let is_reachable = |protocol: &Protocol| {
        hosts.get(*protocol).is_some() && may_have_tokens(settings, *protocol)
    };
    Protocol::ALL.into_iter().filter(is_reachable).collect()
}

/// Who may give the consent of `account`: it, its mailboxes, and `users`.
pub(super) fn expected(account: &Account, users: Vec<Username>) -> Vec<Username> {
    let mailboxes = Protocol::ALL.map(|protocol| account.mailbox(protocol).clone());
    let mut expected = vec![account.name().clone()];
    for user in mailboxes.into_iter().chain(users) {
        if !expected.iter().any(|known| known.folded() == user.folded()) {
            expected.push(user);
        }
    }
    expected
}

/// Runs what waits for the disk where it holds up nobody.
async fn blocking<T: Send + 'static>(
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<T, OperatorError> {
    tokio::task::spawn_blocking(run).await.map_err(|_| OperatorError::BrokenOff)
}
