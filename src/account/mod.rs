//! Accounts: who may sign in, with which local password, and as which mailbox that is.

pub mod device;
pub mod directory;
mod made;
pub mod password;

use std::sync::Arc;

use crate::names::{AccountPattern, Address, Username};
use crate::provider::{Grant, PerProtocol, Protocol, Provider};
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
    /// Whose address its messages carry.
    pub sender: Sender,
    /// Whether a listener serves by POP3 this account, or another with the same grant.
    pub is_pop3_served: bool,
}

impl AccountSettings {
    /// Whether `sender` can write the address of the mailbox that `name`, one of its user names,
    /// opens: always where nothing is written.
    pub fn fits_as_sender(&self, name: &Username) -> bool {
        let address = self.mailbox.submission.as_ref().unwrap_or(name);
        self.sender == Sender::Keep || Address::parse(address.as_str()).is_ok()
    }

    /// The first protocol that its provider has a server for.
    pub fn first_protocol(&self) -> Protocol {
        let hosts = &self.provider.hosts;
        let first = Protocol::ALL.into_iter().find(|protocol| hosts.get(*protocol).is_some());
        first.unwrap_or(Protocol::Submission)
    }

    /// The protocols whose scopes a person is asked for.
    ///
    /// POP3 is among them only where a listener speaks it: for others its permission would be more
    /// than they need, one that the application's registration may lack, and one that the consents
    /// of earlier versions do not hold.
    pub fn consented_protocols(&self) -> impl Iterator<Item = Protocol> {
        let is_asked = |protocol: &Protocol| *protocol != Protocol::Pop3 || self.is_pop3_served;
        Protocol::ALL.into_iter().filter(is_asked)
    }

    /// Whether a person's consent is for all that `protocol` needs: where one scope is for every
    /// protocol, as at Google, it is for POP3 as well, whatever listens.
    pub fn is_consented(&self, protocol: Protocol) -> bool {
        let asked = self.consent_scopes();
        self.scopes.get(protocol).iter().all(|scope| asked.contains(scope))
    }

    /// The scopes that a person is asked for, each once, in the order of the protocols.
    pub fn consent_scopes(&self) -> Vec<String> {
        let mut scopes = Vec::new();
        for scope in self.consented_protocols().flat_map(|protocol| self.scopes.get(protocol)) {
            if !scopes.contains(scope) {
                scopes.push(scope.clone());
            }
        }
        scopes
    }
}

/// What becomes of the sender that a client puts into its messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sender {
    /// It is passed on.
    #[default]
    Keep,
    /// MAIL FROM becomes the mailbox.
    Envelope,
    /// MAIL FROM and the header's From become the mailbox; the old From goes to Reply-To.
    EnvelopeAndHeader,
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
