//! Accounts that nobody can use yet: told at a start and a reload, with what to run.

use tracing::warn;

use super::App;
use crate::account::LocalPassword;
use crate::names::AccountPattern;
use crate::oauth::TokenState;
use crate::provider::GrantId;

impl App {
    /// Says which accounts nobody can use yet, and what to run.
    pub(super) fn tell_of_lacks(&self) {
        for account in self.directory.borrow().accounts() {
            let name = &account.name;
            let has_password = !matches!(account.local_password, LocalPassword::None);
            if !has_password && !self.passwords.any_made_for(name) {
                let hint = match name {
                    AccountPattern::Exact(name) => format!("mailbearer password {name}"),
                    AccountPattern::Domain(domain) => format!("mailbearer password NAME@{domain}"),
                };
                warn!(account = %name, hint, "nobody can sign in, there is no local password");
            }
            if self.tokens.status(&account.grant).state == TokenState::ConsentNeeded {
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
}
