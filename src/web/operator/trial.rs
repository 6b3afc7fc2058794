//! What an operator tries of an account: its tokens, and the way to its mail servers.

use std::sync::Arc;

use super::{Obtained, Operator, OperatorError};
use crate::account::AccountSettings;
use crate::account::directory::Account;
use crate::names::{AccountPattern, Address, Username};
use crate::provider::Protocol;
use crate::relay::online::{Said, Sent, Walk};
use crate::secret::AccessToken;

/// What can be tried of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reachable {
    /// Its name; of a wildcard as the file has it.
    pub account: AccountPattern,
    /// The protocols that its provider has a server for, and that it may have tokens for. None of a
    /// wildcard, which is no name to sign in with.
    pub protocols: Vec<Protocol>,
}

impl Operator {
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
        Ok(directory.accounts().iter().map(|it| of(it.name.clone(), it)).collect())
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
