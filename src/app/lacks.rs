//! Accounts that nobody can use yet: told at a start and a reload, with what to run.

use tracing::warn;

use super::App;
use crate::account::LocalPassword;
use crate::account::directory::Directory;
use crate::names::AccountPattern;
use crate::oauth::TokenState;
use crate::provider::GrantId;

impl App {
    /// Says which accounts nobody can use yet, and what to run.
    pub(super) fn tell_of_lacks(&self) {
        let directory = self.directory.borrow();
        self.tell_of_devices(&directory);
        for account in directory.accounts() {
            let name = &account.name;
            let mut devices = directory.devices().all().iter();
            // It may be there for them alone.
            let has_devices = devices.any(|device| name.covers(&device.account));
            let has_password = !matches!(account.local_password, LocalPassword::None);
            if !has_password && !has_devices && !self.passwords.any_made_for(name) {
                let hint = match name {
                    AccountPattern::Exact(name) => format!("mailbearer password {name}"),
                    AccountPattern::Domain(domain) => format!("mailbearer password NAME@{domain}"),
                };
                warn!(account = %name, hint, "nobody can sign in, there is no local password");
            }
            if self.tokens.state(&account.grant) == TokenState::ConsentNeeded {
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
