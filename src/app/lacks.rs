//! Accounts that nobody can use yet: told at a start and a reload, with what to run.

use tracing::warn;

use super::App;
use crate::account::LocalPassword;
use crate::account::directory::Directory;
use crate::names::{AccountPattern, AccountPatterns};
use crate::oauth::TokenState;
use crate::provider::GrantId;

/// Lines of each kind: who reads twenty knows, and `accounts` shows all.
const TOLD_MAX: usize = 20;

impl App {
    /// Says which accounts nobody can use yet, and what to run; of many the first ones by name, and
    /// how many others there are.
    pub(super) fn tell_of_lacks(&self) {
        let (mut locked, mut unconsented) = (0_usize, 0_usize);
        let directory = self.directory.borrow();
        self.tell_of_devices(&directory);
        let devices = directory.devices().all().iter().map(|device| device.account.clone());
        // An account may be there for its devices alone.
        let names = self.passwords.names().into_iter().chain(devices).map(AccountPattern::Exact);
        let in_use: AccountPatterns = names.collect::<Vec<_>>().iter().collect();
        for account in directory.accounts() {
            let name = &account.name;
            let has_password = !matches!(account.local_password, LocalPassword::None);
            let is_locked = !has_password && !in_use.overlaps(name);
            locked += usize::from(is_locked);
            if is_locked && locked <= TOLD_MAX {
                let hint = match name {
                    AccountPattern::Exact(name) => format!("mailbearer password {name}"),
                    AccountPattern::Domain(domain) => format!("mailbearer password NAME@{domain}"),
                };
                warn!(account = %name, hint, "nobody can sign in, there is no local password");
            }
            let lacks_consent = self.tokens.state(&account.grant) == TokenState::ConsentNeeded;
            unconsented += usize::from(lacks_consent);
            if lacks_consent && unconsented <= TOLD_MAX {
                let hint = match &account.grant.id {
                    // Its own name, unless it has `grant_of`.
                    GrantId::Account(owner) => format!("mailbearer authorize {owner}"),
                    GrantId::Application { .. } | GrantId::ServiceAccount { .. } => {
                        format!("mailbearer authorize {name}")
                    }
                };
                warn!(account = %name, hint, "consent is needed before anybody can sign in");
            }
        }
        let hint = "mailbearer accounts";
        if let Some(others @ 1..) = locked.checked_sub(TOLD_MAX) {
            warn!(accounts = others, hint, "nobody can sign in to others, either");
        }
        if let Some(others @ 1..) = unconsented.checked_sub(TOLD_MAX) {
            warn!(accounts = others, hint, "consent is needed for others, too");
        }
    }

    /// Says which devices have to sign in and have no password to do it by.
    fn tell_of_devices(&self, directory: &Directory) {
        for device in directory.devices().all() {
            let name = &device.name;
            if device.networks.is_empty() && self.passwords.list(name).is_empty() {
                let hint = format!("mailbearer password {name}");
                warn!(device = %name, hint, "it cannot sign in, there is no local password");
            }
        }
    }
}
