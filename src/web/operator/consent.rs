//! The consents that accounts live by: kept, given back, and what would end with one.

use std::sync::Arc;

use tracing::info;

use super::{Obtained, Operator, OperatorError, blocking};
use crate::account::AccountSettings;
use crate::account::directory::Account;
use crate::names::{AccountPattern, Username};
use crate::oauth::{Aftermath, Authorized, Revoked};
use crate::provider::{Grant, GrantId, Protocol};
use crate::secret::RefreshToken;

/// A refresh token that somebody brings for an account.
#[derive(Debug, Clone)]
pub struct Consent {
    /// The token itself.
    pub refresh_token: RefreshToken,
    /// Who may have consented besides the account and its mailboxes.
    pub users: Vec<Username>,
}

impl Operator {
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
        let accounts = directory.accounts().iter();
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

    /// The account `name` if its grant is a person's consent, and its own.
    pub(in crate::web) fn consenting(&self, name: &Username) -> Result<Account, OperatorError> {
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

    /// What is wrong if a new consent is in memory alone, as `unsaved` says.
    ///
    /// # Errors
    /// When no relay runs that would write it later.
    pub(in crate::web) async fn settle_consent(
        &self,
        unsaved: Option<String>,
    ) -> Result<Option<String>, OperatorError> {
        let unsaved = if unsaved.is_some() { self.settle().await } else { None };
        match (unsaved, &self.serving) {
            (Some(problem), None) => Err(OperatorError::NotKept { problem }),
            (unsaved, _) => Ok(unsaved),
        }
    }
}

/// Who may give the consent of `account`: it, its mailboxes, and `users`.
pub(in crate::web) fn expected(account: &Account, users: Vec<Username>) -> Vec<Username> {
    let mailboxes = Protocol::ALL.map(|protocol| account.mailbox(protocol).clone());
    let mut expected = vec![account.name().clone()];
    for user in mailboxes.into_iter().chain(users) {
        if !expected.iter().any(|known| known.folded() == user.folded()) {
            expected.push(user);
        }
    }
    expected
}
