//! The directory: which account a user name means, and which device an address or a name is.
//!
//! In:  a user name in any case, and what the listener allows. Out: the account, under the one
//! name it has, folded. An exact name goes before the wildcard of its domain.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::device::{DeviceSettings, Devices};
use super::{AccountSettings, LocalPassword};
use crate::names::{AccountPattern, AccountPatterns, Username};
use crate::provider::Protocol;
use crate::secret::SecretString;

/// Every account and every device of the file.
#[derive(Debug, Default)]
pub struct Directory {
    exact: HashMap<Username, Arc<AccountSettings>>,
    domains: HashMap<String, Arc<AccountSettings>>,
    /// All of both, in the order of their names.
    all: Vec<Arc<AccountSettings>>,
    decoy: Option<SecretString>,
    devices: Devices,
}

impl Directory {
    /// Takes the `[accounts.…]` and the `[devices.…]` tables. Of two that cover the same name in the same way, which the
    /// configuration refuses, the first counts.
    pub fn new(accounts: Vec<AccountSettings>, devices: Vec<DeviceSettings>) -> Self {
        let mut directory = Self { devices: Devices::new(devices), ..Self::default() };
        for settings in accounts.into_iter().map(Arc::new) {
            if let (None, LocalPassword::Hash(hash)) = (&directory.decoy, &settings.local_password)
            {
                directory.decoy = Some(hash.clone());
            }
            match settings.name.clone() {
                AccountPattern::Exact(name) => {
                    directory.exact.entry(name).or_insert(settings);
                }
                AccountPattern::Domain(domain) => {
                    directory.domains.entry(domain).or_insert(settings);
                }
            }
        }
        let accounts = directory.exact.values().chain(directory.domains.values());
        directory.all = accounts.map(Arc::clone).collect();
        directory.all.sort_by(|one, other| one.name.cmp(&other.name));
        directory
    }

    /// The account that `name` means, if there is one and `allowed`, a listener's `accounts`,
    /// covers it.
    pub fn find(&self, name: &Username, allowed: Option<&AccountPatterns>) -> Option<Account> {
        let name = name.folded();
        if !allowed.is_none_or(|allowed| allowed.covers_folded(&name)) {
            return None;
        }
        let settings = self.exact.get(&name).or_else(|| {
            let covers = |it: &&Arc<_>| covers(it, &name);
            self.domains.get(name.domain()?).filter(covers)
        })?;
        let settings = Arc::clone(settings);
        Some(Account { name, settings })
    }

    /// Every account, in the order of their names: exact ones first, then wildcards.
    pub fn accounts(&self) -> &[Arc<AccountSettings>] {
        &self.all
    }

    /// The device at `address`, whose most specific network holds it.
    pub fn device_at(&self, address: IpAddr) -> Option<&Arc<DeviceSettings>> {
        self.devices.at(address)
    }

    /// Every device.
    pub fn devices(&self) -> &Devices {
        &self.devices
    }

    /// The PHC string that stands in where an account has none or there is no account: the first
    /// of the file. `None` when the file has none at all.
    pub(super) fn decoy(&self) -> Option<&SecretString> {
        self.decoy.as_ref()
    }
}

/// Whether a wildcard's account covers `name`. Where the name is put into messages it must be an
/// address, for a client chose it.
fn covers(settings: &AccountSettings, name: &Username) -> bool {
    settings.name.covers(name) && settings.fits_as_sender(name)
}

/// One account: a single one of the file, or one of those that a wildcard covers.
#[derive(Debug, Clone)]
pub struct Account {
    name: Username,
    settings: Arc<AccountSettings>,
}

impl Account {
    /// Its name, folded; under a wildcard the one that the client signs in with.
    pub fn name(&self) -> &Username {
        &self.name
    }

    /// Its table in the file.
    pub fn settings(&self) -> &Arc<AccountSettings> {
        &self.settings
    }

    /// The address that its messages carry where `sender` says so: its mailbox for submission. Where
    /// that is not `keep` it is an [`Address`](crate::names::Address).
    pub fn sender_address(&self) -> &Username {
        self.mailbox(Protocol::Submission)
    }

    /// The mailbox that it opens at the provider, which is the XOAUTH2 user.
    pub fn mailbox(&self, protocol: Protocol) -> &Username {
        self.settings.mailbox.get(protocol).as_ref().unwrap_or(&self.name)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::account::Sender;
    use crate::provider::{Grant, PerProtocol, Provider};

    pub(in crate::account) fn settings(pattern: &str, password: LocalPassword) -> AccountSettings {
        AccountSettings {
            name: AccountPattern::parse(pattern).unwrap(),
            provider: Arc::new(Provider::unknown("corp")),
            grant: Arc::new(Grant::of_application()),
            scopes: PerProtocol::default(),
            local_password: password,
            mailbox: PerProtocol::default(),
            sender: Sender::Keep,
            is_pop3_served: false,
        }
    }

    pub(in crate::account) fn name(name: &str) -> Username {
        Username::parse(name).unwrap()
    }

    fn directory() -> Directory {
        let mut shared = settings("shared@contoso.com", LocalPassword::None);
        shared.mailbox.submission = Some(name("delegate@contoso.com"));
        Directory::new(
            vec![
                settings("*@contoso.com", LocalPassword::None),
                shared,
                settings("Printer", LocalPassword::None),
            ],
            Vec::new(),
        )
    }

    #[test]
    fn account_is_found_whatever_the_case() {
        let account = directory().find(&name("PRINTER"), None).unwrap();
        assert_eq!(account.name().as_str(), "printer");
        assert!(directory().find(&name("printer2"), None).is_none());
    }

    #[test]
    fn accounts_are_in_the_order_of_their_names() {
        let names: Vec<_> =
            directory().accounts().iter().map(|account| account.name.to_string()).collect();
        assert_eq!(names, ["printer", "shared@contoso.com", "*@contoso.com"]);
    }

    #[test]
    fn wildcard_gives_the_name_that_was_asked_for() {
        let account = directory().find(&name("Alice@Contoso.com"), None).unwrap();
        assert_eq!(account.name().as_str(), "alice@contoso.com");
        assert_eq!(account.mailbox(Protocol::Imap).as_str(), "alice@contoso.com");
        for other in ["alice@fabrikam.com", "@contoso.com", "a@b@contoso.com", "contoso.com"] {
            assert!(directory().find(&name(other), None).is_none(), "{other}");
        }
    }

    #[test]
    fn wildcard_that_writes_senders_covers_names_that_are_addresses_alone() {
        let mut all = settings("*@contoso.com", LocalPassword::None);
        let kept = Directory::new(vec![all.clone()], Vec::new());
        all.sender = Sender::Envelope;
        let rewritten = Directory::new(vec![all], Vec::new());
        for (username, is_address) in [
            ("alice@contoso.com", true),
            ("a> SIZE=1@contoso.com", false),
            ("a b@contoso.com", false),
        ] {
            assert!(kept.find(&name(username), None).is_some(), "{username}");
            assert_eq!(rewritten.find(&name(username), None).is_some(), is_address, "{username}");
        }
    }

    #[test]
    fn sender_is_the_mailbox_for_submission_and_else_the_account() {
        let sender = |username: &str| {
            directory().find(&name(username), None).unwrap().sender_address().to_string()
        };
        assert_eq!(sender("shared@contoso.com"), "delegate@contoso.com");
        assert_eq!(sender("Alice@contoso.com"), "alice@contoso.com");
    }

    #[test]
    fn exact_name_goes_before_the_wildcard() {
        let account = directory().find(&name("shared@contoso.com"), None).unwrap();
        assert_eq!(account.mailbox(Protocol::Submission).as_str(), "delegate@contoso.com");
        assert_eq!(account.mailbox(Protocol::Imap).as_str(), "shared@contoso.com");
    }

    #[test]
    fn account_is_not_found_where_the_listener_does_not_allow_it() {
        let directory = directory();
        let allowed = [&AccountPattern::parse("alice@contoso.com").unwrap()];
        let allowed = allowed.into_iter().collect();
        assert!(directory.find(&name("ALICE@contoso.com"), Some(&allowed)).is_some());
        assert!(directory.find(&name("bob@contoso.com"), Some(&allowed)).is_none());
        assert!(directory.find(&name("printer"), Some(&allowed)).is_none());
        assert!(directory.find(&name("printer"), Some(&AccountPatterns::default())).is_none());
    }
}
