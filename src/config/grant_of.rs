//! `accounts.NAME.grant_of`: the grant of another account in place of one's own, for a mailbox that
//! the person may open besides hers.

use std::collections::HashMap;
use std::sync::Arc;

use crate::names::{AccountPattern, Username};

use super::accounts::{Account, Known, Source};
use super::field::Field;
use super::file::Reported;
use super::listeners::At;

/// The accounts of a file, which others may name.
pub(super) struct Lenders<'a, 'c, 't> {
    all: &'a [Account<'c, 't>],
    /// Where each stands that has a name.
    places: HashMap<&'a AccountPattern, usize>,
}

impl<'a, 'c, 't> Lenders<'a, 'c, 't> {
    pub(super) fn new(all: &'a [Account<'c, 't>]) -> Self {
        let named = all.iter().enumerate();
        let places = named.filter_map(|(at, it)| Some((it.pattern.as_ref().ok()?, at))).collect();
        Self { all, places }
    }

    /// The account of that name, and what is known of it.
    fn find<'k>(
        &self,
        name: &AccountPattern,
        known: &'k [Known],
    ) -> Option<(&'a Account<'c, 't>, &'k Known)> {
        let at = *self.places.get(name)?;
        Some((self.all.get(at)?, known.get(at)?))
    }
}

/// What the tokens of `borrower` come from: those of the account that its `grant_of` names, one of
/// `lenders`, whose settings are `known`.
pub(super) fn lender(
    borrower: &Account<'_, '_>,
    (field, whose): &At<'_, String>,
    lenders: &Lenders<'_, '_, '_>,
    known: &[Known],
) -> Result<Source, Reported> {
    let name = named(field, whose);
    let borrower_fits = check_borrower(borrower, field);
    let keys = borrower.keys.refuse_beside_grant_of(whose);
    let name = name?;
    let Some((lender, known)) = lenders.find(&AccountPattern::Exact(name), known) else {
        return Err(stranger(field, whose, lenders.all));
    };
    if borrower.field.key() == lender.field.key() {
        return Err(field.problem(
            "is the account itself",
            "name the account whose grant it uses, or leave grant_of out",
        ));
    }
    if let Some((_, next)) = lender.grant_of.as_ref().map_err(|reported| *reported)? {
        return Err(field.problem(
            format!("is {whose:?}, which uses another's grant itself"),
            format!("name the account that has the grant: grant_of = {next:?}"),
        ));
    }
    borrower_fits.and(keys)?;
    // Whatever is wrong with that account was reported there.
    let Some(settings) = known else { return Err(stranger(field, whose, lenders.all)) };
    let settings = settings.as_ref().map_err(|reported| *reported)?;
    if let (Ok(Some(own)), Some(at)) = (&borrower.provider, &borrower.provider_field)
        && own.provider.name != settings.provider.name
    {
        return Err(at.problem(
            format!("is not \"{}\", the provider of {whose:?}", settings.provider.name),
            "leave it out: the grant is of that provider",
        ));
    }
    borrower.provider.as_ref().map_err(|reported| *reported)?;
    let entry = lender.provider.as_ref().map_err(|reported| *reported)?;
    Ok(Source {
        provider: Arc::clone(&settings.provider),
        grant: Arc::clone(&settings.grant),
        scopes: settings.scopes.clone(),
        sender: entry.and_then(|entry| entry.sender),
    })
}

/// The one account that `whose` names.
fn named(field: &Field<'_>, whose: &str) -> Result<Username, Reported> {
    match AccountPattern::parse(whose) {
        Ok(AccountPattern::Exact(name)) => Ok(name),
        Ok(AccountPattern::Domain(_)) => Err(field
            .problem(format!("is {whose:?}, which stands for many accounts"), "name one account")),
        Err(problem) => Err(field.problem(format!("is no account: {problem}"), "name one account")),
    }
}

/// Reports a wildcard, of which every mailbox would use the one grant.
fn check_borrower(borrower: &Account<'_, '_>, field: &Field<'_>) -> Result<(), Reported> {
    match &borrower.pattern {
        Ok(AccountPattern::Domain(_)) => Err(field.problem(
            "stands at a wildcard, and a grant is lent to one mailbox at a time",
            "write an account for each mailbox, or a grant of its own here",
        )),
        Ok(AccountPattern::Exact(_)) => Ok(()),
        Err(reported) => Err(*reported),
    }
}

fn stranger(field: &Field<'_>, whose: &str, all: &[Account<'_, '_>]) -> Reported {
    let names = all
        .iter()
        .filter_map(|account| account.pattern.as_ref().ok())
        .filter(|pattern| matches!(pattern, AccountPattern::Exact(_)))
        .map(ToString::to_string);
    let near = field.file().near(whose, names);
    field.problem(
        format!("is {whose:?}, and there is no such account{near}"),
        "name an account of this file: one mailbox of a wildcard needs an account of its own",
    )
}
