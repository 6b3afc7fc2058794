//! Keys and certificates that the file names, looked at while it is read: for whoever needs them
//! all. Reading them is the `oauth` floor's; here it is told where they stand.

use crate::oauth::{self, KeyPart};
use crate::provider::{ClientKey, ServiceAccount, ServiceAccountKey};
use crate::secret::SecretSource;

use super::certificate;
use super::field::Field;
use super::file::Reported;

/// Reports a client's key that cannot sign for it; its private key stands at `private_key`, its
/// certificate at `certificate`. A program is not run to see what it prints.
pub(super) fn check(
    private_key: &Field<'_>,
    certificate: Option<&Field<'_>>,
    key: &ClientKey,
) -> Result<(), Reported> {
    let is_printed = |source: &SecretSource| matches!(source, SecretSource::Command(_));
    let is_left = is_printed(&key.private_key) || key.certificate.as_ref().is_some_and(is_printed);
    if is_left || !private_key.verifies_secrets() {
        return Ok(());
    }
    let at = certificate.unwrap_or(private_key);
    let facts = oauth::check_client_key(key).map_err(|problem| {
        let at = if problem.part() == KeyPart::PrivateKey { private_key } else { at };
        at.problem(problem.to_string(), problem.fix())
    })?;
    if let Some(validity) = facts.certificate {
        let renew = "make a new one, and register it at the provider before that day";
        certificate::warn_of(at, validity, renew);
    }
    Ok(())
}

/// Reports a service account's key that cannot sign for it.
pub(super) fn check_service_account(
    field: &Field<'_>,
    account: &ServiceAccount,
) -> Result<(), Reported> {
    let is_printed = matches!(
        &account.key,
        ServiceAccountKey::Written { private_key: SecretSource::Command(_), .. }
    );
    if is_printed || !field.verifies_secrets() {
        return Ok(());
    }
    oauth::check_service_account(account)
        .map(drop)
        .map_err(|problem| field.problem(problem.to_string(), problem.fix()))
}
