//! `[accounts."NAME"]`: who may sign in.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::account::{AccountSettings, LocalPassword, Sender};
use crate::names::{AccountPattern, Username};
use crate::provider::{Grant, PerProtocol, Provider};

use super::field::Field;
use super::file::Reported;
use super::grant_of::{self, Lenders};
use super::grants::{GrantKeys, Grants};
use super::listeners::At;
use super::local_password;
use super::providers::{ProviderEntry, Providers};
use super::sender;
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
        let mut read = Vec::new();
        for (name, field) in root.require_named("accounts", help) {
            let pattern = accounts.name(name, &field);
            read.extend(Account::read(field, pattern, providers).ok());
        }
        let mut grants = Grants::default();
        let mut settings: Vec<_> =
            read.iter().map(|account| account.settings(&mut grants).transpose()).collect();
        // Those that use another account's grant come when that one is known.
        let lenders = Lenders::new(&read);
        for (at, account) in read.iter().enumerate() {
            let borrowed = account.borrowed(&lenders, &settings);
            if let (Some(borrowed), Some(settings)) = (borrowed, settings.get_mut(at)) {
                *settings = Some(borrowed);
            }
        }
        let settings = read.into_iter().zip(settings);
        accounts.settings = settings
            .filter_map(|(account, settings)| Some((account.field, settings?.ok()?)))
            .collect();
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

/// The settings of an account as far as they are known: none for one that uses another's grant,
/// before that one is.
pub(super) type Known = Option<Result<AccountSettings, Reported>>;

/// An account's table, key by key.
pub(super) struct Account<'a, 't> {
    pub(super) field: Field<'t>,
    pub(super) pattern: Result<AccountPattern, Reported>,
    pub(super) provider: Result<Option<&'a ProviderEntry<'t>>, Reported>,
    pub(super) provider_field: Option<Field<'t>>,
    pub(super) keys: GrantKeys<'t>,
    /// Whose grant it uses instead of one of its own.
    pub(super) grant_of: Result<Option<At<'t, String>>, Reported>,
    local_password: Result<Option<At<'t, LocalPassword>>, Reported>,
    mailbox: Result<Option<PerProtocol<Option<Username>>>, Reported>,
    sender: Result<Option<Sender>, Reported>,
    finished: Result<(), Reported>,
}

impl<'a, 't> Account<'a, 't> {
    fn read(
        field: Field<'t>,
        pattern: Result<AccountPattern, Reported>,
        providers: &'a Providers<'t>,
    ) -> Result<Self, Reported> {
        let mut table = field.table()?;
        let provider_field = table.take("provider");
        let provider = provider_field.as_ref().map(|field| providers.find(field)).transpose();
        let keys = GrantKeys::read(&mut table);
        let grant_of = table.read("grant_of", |field| {
            let whose = field.text()?.to_owned();
            Ok((field, whose))
        });
        let local_password = table.read("local_password", |field| {
            let password = local_password::read(&field)?;
            Ok((field, password))
        });
        let mailbox = table.read("mailbox", |field| mailbox(&field, pattern.as_ref().ok()));
        let sender = table.read("sender", |field| sender::read(&field));
        let misplaced = refuse_misplaced(&mut table);
        let finished = table.finish(&[]).and(misplaced);
        Ok(Self {
            field,
            pattern,
            provider,
            provider_field,
            keys,
            grant_of,
            local_password,
            mailbox,
            sender,
            finished,
        })
    }

    /// The account with its own grant; none if it uses another's.
    fn settings(&self, grants: &mut Grants) -> Result<Option<AccountSettings>, Reported> {
        if self.grant_of.as_ref().map_err(|reported| *reported)?.is_some() {
            return Ok(None);
        }
        let provider = self.provider?.ok_or_else(|| {
            self.field.lacks("provider", "write provider = \"microsoft\", or one of your own")
        })?;
        let names = self.pattern.as_ref().map_err(|reported| *reported);
        let grant = grants.make(&self.field, names, &self.keys, provider);
        self.finished?;
        let grant = grant?;
        let scopes = provider.scopes.of(grant.kind());
        let (sender, provider) = (provider.sender, Arc::clone(&provider.provider));
        self.with(Source { provider, grant, scopes, sender }).map(Some)
    }

    /// The account with the grant of another, if it says so.
    fn borrowed(
        &self,
        lenders: &Lenders<'_, '_, '_>,
        known: &[Known],
    ) -> Option<Result<AccountSettings, Reported>> {
        let at = self.grant_of.as_ref().ok()?.as_ref()?;
        let lender = grant_of::lender(self, at, lenders, known);
        Some(lender.and_then(|source| {
            self.finished?;
            self.with(source)
        }))
    }

    /// The account, by what its tokens come from.
    fn with(&self, source: Source) -> Result<AccountSettings, Reported> {
        let local_password = self.local_password.as_ref().map_err(|reported| *reported)?;
        if let Some((field, password)) = local_password {
            local_password::refuse_any(field, password, source.grant.kind())?;
        }
        let local_password = local_password.as_ref();
        let settings = AccountSettings {
            name: self.pattern.clone()?,
            provider: source.provider,
            scopes: source.scopes,
            grant: source.grant,
            local_password: local_password
                .map_or(LocalPassword::None, |(_, password)| password.clone()),
            mailbox: self.mailbox.clone()?.unwrap_or_default(),
            sender: self.sender?.or(source.sender).unwrap_or_default(),
            // Known once all accounts are: see `relations::mark_pop3`.
            is_pop3_served: false,
        };
        sender::check(&self.field, &settings)?;
        Ok(settings)
    }
}

/// What an account's tokens come from.
pub(super) struct Source {
    pub(super) provider: Arc<Provider>,
    pub(super) grant: Arc<Grant>,
    pub(super) scopes: PerProtocol<Vec<String>>,
    /// `sender` where the account leaves it out.
    pub(super) sender: Option<Sender>,
}

/// Reports the keys of other tables that are looked for at an account.
fn refuse_misplaced(table: &mut Table<'_>) -> Result<(), Reported> {
    let of_provider =
        ("belongs to a provider", "write it in the provider's table, for each of its mailboxes");
    let of_device = (
        "belongs to a device",
        "write it in the [devices.NAME] of those that send as this account",
    );
    let mut refused = Ok(());
    for (key, (message, help)) in [
        ("concurrent_sessions", of_provider),
        ("messages_per_minute", of_provider),
        ("senders", of_device),
        ("messages_per_hour", of_device),
    ] {
        refused = refused.and(table.forbid(key, message, help));
    }
    refused
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
        return Ok(PerProtocol::of_each(user));
    }
    let mut table = field.table()?;
    let submission = table.read("submission", |field| username(&field));
    let imap = table.read("imap", |field| username(&field));
    let pop3 = table.read("pop3", |field| username(&field));
    table.finish(&[])?;
    Ok(PerProtocol { submission: submission?, imap: imap?, pop3: pop3? })
}

fn username(field: &Field<'_>) -> Result<Username, Reported> {
    Username::parse(field.text()?).map_err(|problem| {
        field.problem(
            format!("is no mailbox: {problem}"),
            "write the address under which the provider knows the mailbox",
        )
    })
}
