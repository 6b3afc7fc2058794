//! `sender` of an account, or of a provider for its accounts: whose address messages carry.

use crate::account::{AccountSettings, Sender};
use crate::names::AccountPattern;

use super::field::Field;
use super::file::Reported;

/// Reads it.
pub(super) fn read(field: &Field<'_>) -> Result<Sender, Reported> {
    let known = [
        ("keep", Sender::Keep),
        ("envelope", Sender::Envelope),
        ("envelope-and-header", Sender::EnvelopeAndHeader),
    ];
    field.choice(&known, &[])
}

/// Reports an account whose messages are to carry its address, and which has none. `account` is its
/// table.
pub(super) fn check(account: &Field<'_>, settings: &AccountSettings) -> Result<(), Reported> {
    // A name that a wildcard covers is known at its sign-in.
    let AccountPattern::Exact(name) = &settings.name else { return Ok(()) };
    if settings.fits_as_sender(name) {
        return Ok(());
    }
    let (key, address) = match &settings.mailbox.submission {
        Some(mailbox) => ("`mailbox` for submission", mailbox),
        None => ("name", name),
    };
    Err(account.problem(
        format!("has `sender`, which writes its address, but its {key}, \"{address}\", is none"),
        "write mailbox = { submission = \"alice@example.com\" } with the address in ASCII, or \
         sender = \"keep\"",
    ))
}
