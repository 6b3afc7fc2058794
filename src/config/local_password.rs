//! `accounts.NAME.local_password`: what a legacy client must show to mailbearer.

use argon2::Params;
use argon2::password_hash::phc::PasswordHash;

use crate::account::LocalPassword;
use crate::provider::GrantKind;
use crate::secret::{SecretSource, SecretString, is_argon2_hash};

use super::field::Field;
use super::file::Reported;
use super::secrets::Secrets;

/// Most memory that the verification of one password may take, in KiB. OWASP advises 7 to 46 MiB;
/// this much for each sign-in would let strangers empty the machine.
const MEMORY_MAX_KIB: u32 = 1024 * 1024;

/// Reads it. A string is an Argon2 PHC string, or "any"; a plain password stands elsewhere.
pub(super) fn read(field: &Field<'_>) -> Result<LocalPassword, Reported> {
    if !field.is_text() {
        return plain(field);
    }
    let text = field.text()?;
    if text == "any" {
        return Ok(LocalPassword::Any);
    }
    // Not even a part of the text is told: it may be the password itself.
    let hash = PasswordHash::new(text).ok().filter(|hash| {
        argon2::Algorithm::try_from(hash.algorithm.as_str()).is_ok()
            && hash.salt.is_some()
            && hash.hash.is_some()
    });
    let params = hash.as_ref().and_then(|hash| Params::try_from(hash).ok()).ok_or_else(|| {
        field.problem(
            "is no Argon2 hash of a password",
            "write what `mailbearer password --hash` prints, or keep a plain password elsewhere: \
             { env = \"NAME\" } or { file = \"PATH\" }",
        )
    })?;
    if params.m_cost() > MEMORY_MAX_KIB {
        return Err(field.problem(
            "takes more than 1 GiB of memory at each sign-in",
            "write what `mailbearer password --hash` prints, or a hash with a smaller m=",
        ));
    }
    Ok(LocalPassword::Hash(SecretString::from(text)))
}

/// Refuses "any" where it would open more than one person's mailbox.
pub(super) fn refuse_any(
    field: &Field<'_>,
    password: &LocalPassword,
    kind: GrantKind,
) -> Result<(), Reported> {
    if !matches!(password, LocalPassword::Any) || kind.is_personal() {
        return Ok(());
    }
    Err(field.problem(
        "is \"any\", which an application's grant never takes",
        format!(
            "make a password by `mailbearer password`: {kind} reaches every mailbox that it may \
             use, so a client has to show one"
        ),
    ))
}

fn plain(field: &Field<'_>) -> Result<LocalPassword, Reported> {
    let source = field.secret()?;
    if matches!(source, SecretSource::Command(_)) {
        return Err(field.problem(
            "is a { command }, which whoever can connect could make run, by every sign-in",
            "write { env = \"NAME\" } or { file = \"PATH\" }, or make a password by `mailbearer \
             password`",
        ));
    }
    // Only what was looked at can be judged; what cannot be read was reported.
    let is_hash = field.file().secrets() == Secrets::Verify
        && source.read().is_ok_and(|secret| is_argon2_hash(&secret));
    if is_hash {
        field.warning(
            "names a plain password, and an Argon2 hash stands there, which no client will show",
            "write the hash itself here, as a string: local_password = \"$argon2id$...\"",
        );
    }
    Ok(LocalPassword::Plain(source))
}
