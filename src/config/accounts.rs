//! `[accounts."NAME"]`: who may sign in.

use std::collections::BTreeMap;

use crate::account::{AccountSettings, LocalPassword};
use crate::names::{AccountPattern, Username};
use crate::provider::PerProtocol;

use super::field::Field;
use super::file::Reported;
use super::grants::{GrantKeys, Grants};
use super::later;
use super::local_password;
use super::providers::Providers;
use super::table::Table;

/// The accounts of a file.
pub(super) struct Accounts<'t> {
    /// The names of all, also of those that something else is wrong with, and their keys.
    pub(super) names: BTreeMap<AccountPattern, Field<'t>>,
    /// Those that nothing is wrong with, in the file's order.
    pub(super) settings: Vec<(Field<'t>, AccountSettings)>,
}

impl<'t> Accounts<'t> {
    /// Reads `[accounts]`.
    pub(super) fn read(root: &mut Table<'t>, providers: &Providers<'t>) -> Self {
        let mut accounts = Self { names: BTreeMap::new(), settings: Vec::new() };
        let help = "write an [accounts.\"alice@example.com\"] for each who may sign in";
        let mut grants = Grants::default();
        for (name, field) in root.require_named("accounts", help) {
            let pattern = accounts.name(name, &field);
            let account = account(&field, pattern, providers, &mut grants);
            accounts.settings.extend(account.map(|account| (field, account)));
        }
        accounts
    }

    fn name(&mut self, name: &str, field: &Field<'t>) -> Result<AccountPattern, Reported> {
        let pattern = AccountPattern::parse(name).map_err(|problem| {
            let help = "write a user name, or *@ and a domain for every mailbox of the domain";
            field.problem(format!("is no account: {problem}"), help)
        })?;
        if let Some(first) = self.names.get(&pattern) {
            return Err(field.problem(
                format!("is `{}` again: names ignore case", first.key()),
                "keep one of the two",
            ));
        }
        self.names.insert(pattern.clone(), field.clone());
        Ok(pattern)
    }
}

fn account<'t>(
    field: &Field<'t>,
    pattern: Result<AccountPattern, Reported>,
    providers: &Providers<'t>,
    grants: &mut Grants,
) -> Result<AccountSettings, Reported> {
    let mut table = field.table()?;
    let provider = table.require("provider", "write provider = \"microsoft\", or one of your own");
    let provider = provider.and_then(|field| providers.find(&field));
    let keys = GrantKeys::read(&mut table);
    let local_password = table.read("local_password", |field| {
        let password = local_password::read(&field)?;
        Ok((field, password))
    });
    let mailbox = table.read("mailbox", |field| mailbox(&field, pattern.as_ref().ok()));
    let finished = table.finish(&[later::ACCOUNT, later::DEFAULTS].concat());

    let provider = provider?;
    let grant = grants.make(field, pattern.as_ref().map_err(|reported| *reported), keys, provider);
    finished?;
    let (grant, local_password) = (grant?, local_password?);
    if let Some((field, password)) = &local_password {
        local_password::refuse_any(field, password, grant.kind())?;
    }
    Ok(AccountSettings {
        name: pattern?,
        provider: provider.provider.clone(),
        scopes: provider.scopes.of(grant.kind()),
        grant,
        local_password: local_password.map_or(LocalPassword::None, |(_, password)| password),
        mailbox: mailbox?.unwrap_or_default(),
    })
}

/// One XOAUTH2 user for all protocols, or a table with one for each.
fn mailbox(
    field: &Field<'_>,
    account: Option<&AccountPattern>,
) -> Result<PerProtocol<Option<Username>>, Reported> {
    if matches!(account, Some(AccountPattern::Domain(_))) {
        return Err(field.problem(
            "stands at a wildcard, where every user name is its own mailbox",
            "leave it out, or give this mailbox an account of its own",
        ));
    }
    if !field.is_table() {
        let user = Some(username(field)?);
        return Ok(PerProtocol { submission: user.clone(), imap: user });
    }
    let mut table = field.table()?;
    let submission = table.read("submission", |field| username(&field));
    let imap = table.read("imap", |field| username(&field));
    table.finish(later::PER_PROTOCOL)?;
    Ok(PerProtocol { submission: submission?, imap: imap? })
}

fn username(field: &Field<'_>) -> Result<Username, Reported> {
    Username::parse(field.text()?).map_err(|problem| {
        field.problem(
            format!("is no mailbox: {problem}"),
            "write the address under which the provider knows the mailbox",
        )
    })
}
