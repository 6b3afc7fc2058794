//! Accounts: who may sign in, with which local password, and as which mailbox that is.

pub mod directory;
mod made;
pub mod password;

use std::sync::Arc;

use crate::names::{AccountPattern, Username};
use crate::provider::{Grant, PerProtocol, Provider};
use crate::secret::{ExposeSecret as _, SecretSource, SecretString};

/// One `[accounts.…]` table.
#[derive(Debug, Clone)]
pub struct AccountSettings {
    /// The user names it covers.
    pub name: AccountPattern,
    /// Whose mail servers it uses.
    pub provider: Arc<Provider>,
    /// How its tokens are obtained. Accounts of one application share it.
    pub grant: Arc<Grant>,
    /// Scopes to ask for, in the file's order.
    pub scopes: PerProtocol<Vec<String>>,
    /// What the legacy client must show.
    pub local_password: LocalPassword,
    /// The XOAUTH2 user where it is not the account itself.
    pub mailbox: PerProtocol<Option<Username>>,
}

/// What a legacy client must show to use an account.
#[derive(Debug, Clone)]
pub enum LocalPassword {
    /// An Argon2 PHC string.
    Hash(SecretString),
    /// A plain password from the environment or a file.
    Plain(SecretSource),
    /// Whatever it shows, from this machine: a loopback peer or a unix socket. Only for a person's
    /// own grant.
    Any,
    /// None in the file: only one that was made by `mailbearer password`.
    None,
}

impl LocalPassword {
    /// Whether both let in who shows the same. What stands in a file of its own is not looked at:
    /// it is the same where the file is.
    pub fn is_same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Hash(one), Self::Hash(other)) => one.expose_secret() == other.expose_secret(),
            (Self::Plain(one), Self::Plain(other)) => one.is_same_as(other),
            (Self::Any, Self::Any) | (Self::None, Self::None) => true,
            (Self::Hash(_) | Self::Plain(_) | Self::Any | Self::None, _) => false,
        }
    }
}
