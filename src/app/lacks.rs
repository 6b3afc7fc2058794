//! Accounts that nobody can use yet: told at a start and a reload, with what to run.

use std::collections::HashSet;

use tracing::warn;

use super::App;
use crate::account::LocalPassword;
use crate::account::directory::Directory;
use crate::names::{AccountPattern, AccountPatterns, Username};
use crate::oauth::TokenState;
use crate::provider::GrantId;

/// Lines of each kind, of devices, too: who reads twenty knows, and `accounts` shows all accounts.
const TOLD_MAX: usize = 20;

impl App {
    /// Says which accounts and devices nobody can use yet, and what to run; of many the first ones by
    /// name, and how many others there are. Wildcards go before all, since each is a whole domain.
    pub(super) fn tell_of_lacks(&self) {
        let (mut locked, mut unconsented) = (0_usize, 0_usize);
        let directory = self.directory.borrow();
        let with_password = self.passwords.names();
        tell_of_devices(&directory, &with_password);
        let devices = directory.devices().all().iter().map(|device| device.account.clone());
        // An account may be there for its devices alone.
        let names = with_password.into_iter().chain(devices).map(AccountPattern::Exact);
        let in_use: AccountPatterns = names.collect::<Vec<_>>().iter().collect();
        let (wildcards, exact): (Vec<_>, Vec<_>) = directory
            .accounts()
            .iter()
            .partition(|account| matches!(account.name, AccountPattern::Domain(_)));
        for account in wildcards.into_iter().chain(exact) {
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
}

/// Says which devices have to sign in and have no password to do it by.
fn tell_of_devices(directory: &Directory, with_password: &HashSet<Username>) {
    let devices = directory.devices().all().iter();
    let locked: Vec<_> = devices
        .filter(|device| device.networks.is_empty() && !with_password.contains(&device.name))
        .collect();
    for device in locked.iter().take(TOLD_MAX) {
        let name = &device.name;
        let hint = format!("mailbearer password {name}");
        warn!(device = %name, hint, "it cannot sign in, there is no local password");
    }
    if let Some(others @ 1..) = locked.len().checked_sub(TOLD_MAX) {
        let hint = "mailbearer password NAME";
        warn!(devices = others, hint, "others cannot sign in, either");
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::fs::{self, File};
    use std::path::Path;

    use tracing_subscriber::util::SubscriberInitExt as _;

    use super::*;
    use crate::app::Backing;
    use crate::config::{Config, Secrets};

    /// A configuration without a local password, with these accounts and as many devices.
    fn config(accounts: &[String], devices: usize) -> Config {
        let mut text = r#"
            [listeners.submission]
            protocol = "submission"
            address = "127.0.0.1:0"
            [providers.own]
            token_endpoint = "http://127.0.0.1:1/token"
            scopes = ["mail"]
            submission = { host = "127.0.0.1", port = 1, tls = "starttls" }
        "#
        .to_owned();
        for name in accounts {
            let keys = "provider = \"own\"\nclient_id = \"app\"\nclient_secret = { env = \"S\" }\n\
                        grant = \"client-credentials\"";
            writeln!(text, "[accounts.{name:?}]\n{keys}").unwrap();
        }
        for nth in 0..devices {
            let keys = "account = \"zoe@contoso.com\"";
            writeln!(text, "[devices.Scanner-{nth:02}]\n{keys}\nusername = \"s{nth}\"").unwrap();
        }
        let env = |_: &str| Ok("secret".to_owned());
        Config::parse(&text, Path::new(""), &env, Secrets::Verify).unwrap()
    }

    /// What is told of a relay with that configuration, by lines.
    fn told(app: &App) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let file = File::create(&path).unwrap();
        let log = tracing_subscriber::fmt().with_ansi(false).with_writer(file).finish();
        // While there is one subscriber alone, `tracing` (0.1) believes that nobody listens to a line
        // whose first thread has none: another test's, here.
        let _second = tracing::Dispatch::new(tracing_subscriber::registry());
        let _guard = log.set_default();
        app.tell_of_lacks();
        fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
    }

    #[tokio::test]
    async fn a_domain_that_nobody_can_use_is_told_however_many_accounts_are_like_it() {
        let accounts = (0..=TOLD_MAX).map(|nth| format!("user{nth:02}@contoso.com"));
        let accounts: Vec<_> = accounts.chain(["*@contoso.com".to_owned()]).collect();
        let app = App::bind(config(&accounts, 0), Backing::in_memory()).unwrap();
        let lines = told(&app);
        assert!(lines.iter().any(|line| line.contains("account=*@contoso.com")), "{lines:#?}");
        let of_accounts = lines.iter().filter(|line| line.contains("there is no local password"));
        assert_eq!(of_accounts.count(), TOLD_MAX);
        assert!(lines.last().unwrap().contains("accounts=2"), "{lines:#?}");
    }

    #[tokio::test]
    async fn devices_without_a_password_are_told_up_to_twenty_and_counted_beyond() {
        let accounts = ["zoe@contoso.com".to_owned()];
        let app = App::bind(config(&accounts, TOLD_MAX + 2), Backing::in_memory()).unwrap();
        let first = Username::parse("SCANNER-00").unwrap();
        app.passwords.make_for_device(&first).unwrap();
        let lines = told(&app);
        let named = lines.iter().filter(|line| line.contains("device=scanner-"));
        assert_eq!(named.count(), TOLD_MAX, "{lines:#?}");
        assert!(!lines.iter().any(|line| line.contains("scanner-00")), "it has one: {lines:#?}");
        assert!(lines.last().unwrap().contains("devices=1"), "{lines:#?}");
    }
}
