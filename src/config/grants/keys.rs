//! The keys by which tokens are obtained, as one table of the file has them: an account's, or its
//! provider's as defaults. Which of them a grant takes is told here too.

use std::path::PathBuf;
use std::time::Duration;

use crate::provider::{AssertionAlgorithm, GrantKind};
use crate::secret::{SecretCommand, SecretSource};

use crate::config::endpoint::Endpoints;
use crate::config::field::Field;
use crate::config::file::Reported;
use crate::config::listeners::At;
use crate::config::table::Table;
use crate::config::tenant::Tenant;

/// Longest client id or name of a key, in characters. Entra's client ids have 36, Google's 72; RFC
/// 6749 sets no limit.
const ID_LEN_MAX: usize = 1024;

/// A key that may be left out, and may be wrong.
pub(in crate::config) type Key<'t, T> = Result<Option<At<'t, T>>, Reported>;

/// The word of `client_auth`; without one it is what fits the keys that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) enum AuthWord {
    /// "secret-post".
    SecretPost,
    /// "secret-basic".
    SecretBasic,
    /// "private-key-jwt".
    PrivateKeyJwt,
    /// "none".
    None,
}

/// The keys of a grant in one table.
#[derive(Clone)]
pub(in crate::config) struct GrantKeys<'t> {
    pub(super) kind: Key<'t, GrantKind>,
    pub(super) tenant: Key<'t, Tenant>,
    pub(super) client_id: Key<'t, String>,
    pub(super) client_secret: Key<'t, SecretSource>,
    pub(super) client_secret_expires: Key<'t, Duration>,
    pub(super) client_auth: Key<'t, AuthWord>,
    pub(super) certificate: Key<'t, SecretSource>,
    pub(super) private_key: Key<'t, SecretSource>,
    pub(super) private_key_id: Key<'t, String>,
    pub(super) assertion_algorithm: Key<'t, AssertionAlgorithm>,
    pub(super) assertion_file: Key<'t, PathBuf>,
    pub(super) key_file: Key<'t, PathBuf>,
    pub(super) client_email: Key<'t, String>,
    pub(super) password: Key<'t, SecretSource>,
    pub(super) command: Key<'t, SecretCommand>,
}

impl<'t> GrantKeys<'t> {
    /// No keys.
    pub(in crate::config) fn none() -> Self {
        Self {
            kind: Ok(None),
            tenant: Ok(None),
            client_id: Ok(None),
            client_secret: Ok(None),
            client_secret_expires: Ok(None),
            client_auth: Ok(None),
            certificate: Ok(None),
            private_key: Ok(None),
            private_key_id: Ok(None),
            assertion_algorithm: Ok(None),
            assertion_file: Ok(None),
            key_file: Ok(None),
            client_email: Ok(None),
            password: Ok(None),
            command: Ok(None),
        }
    }

    /// Takes them out of `table`.
    pub(in crate::config) fn read(table: &mut Table<'t>) -> Self {
        let kinds = GrantKind::ALL.map(|kind| (kind.name(), kind));
        let words = [
            ("secret-post", AuthWord::SecretPost),
            ("secret-basic", AuthWord::SecretBasic),
            ("private-key-jwt", AuthWord::PrivateKeyJwt),
            ("none", AuthWord::None),
        ];
        let algorithms =
            [("PS256", AssertionAlgorithm::Ps256), ("RS256", AssertionAlgorithm::Rs256)];
        Self {
            kind: at(table, "grant", |field| field.choice(&kinds, &[])),
            tenant: at(table, "tenant", Tenant::read),
            client_id: at(table, "client_id", client_id),
            client_secret: at(table, "client_secret", Field::secret),
            client_secret_expires: at(table, "client_secret_expires", Field::date),
            client_auth: at(table, "client_auth", |field| field.choice(&words, &[])),
            certificate: at(table, "certificate", Field::pem),
            private_key: at(table, "private_key", Field::pem),
            private_key_id: at(table, "private_key_id", private_key_id),
            assertion_algorithm: at(table, "assertion_algorithm", |field| {
                field.choice(&algorithms, &[])
            }),
            assertion_file: at(table, "assertion_file", Field::secret_file),
            key_file: at(table, "key_file", Field::path),
            client_email: at(table, "client_email", client_email),
            password: at(table, "password", Field::secret),
            command: at(table, "command", Field::secret_command),
        }
    }

    /// Reports a tenant that none of `endpoints` has a place for.
    pub(in crate::config) fn check(&self, endpoints: &Endpoints) -> Result<(), Reported> {
        match &self.tenant {
            Ok(Some((field, _))) if !endpoints.take_tenant() => Err(misplaced(field)),
            _ => Ok(()),
        }
    }

    /// Reports each key that a grant of `kind` does not take.
    pub(super) fn refuse_foreign(&self, kind: GrantKind) -> Result<(), Reported> {
        let mut refused = Ok(());
        for (name, field) in self.written() {
            if !takes(kind, name) {
                let takers = GrantKind::ALL.into_iter().filter(|&kind| takes(kind, name));
                let takers: Vec<String> = takers.map(|kind| format!("\"{kind}\"")).collect();
                refused = Err(field.problem(
                    format!("has no use with grant = \"{kind}\""),
                    format!("leave it out; {name} is for grant = {}", takers.join(" or ")),
                ));
            }
        }
        refused
    }

    /// Reports each key, for the grant is that of the account `whose`.
    pub(in crate::config) fn refuse_beside_grant_of(&self, whose: &str) -> Result<(), Reported> {
        let mut refused = Ok(());
        for (_, field) in self.written() {
            refused = Err(field.problem(
                format!("has no use beside `grant_of`: the grant is that of \"{whose}\""),
                "leave it out, or leave out `grant_of`",
            ));
        }
        refused
    }

    /// The keys that are there and right, `grant` first.
    fn written(&self) -> Vec<(&'static str, &Field<'t>)> {
        let keys = [
            ("grant", field(&self.kind)),
            ("tenant", field(&self.tenant)),
            ("client_id", field(&self.client_id)),
            ("client_secret", field(&self.client_secret)),
            ("client_secret_expires", field(&self.client_secret_expires)),
            ("client_auth", field(&self.client_auth)),
            ("certificate", field(&self.certificate)),
            ("private_key", field(&self.private_key)),
            ("private_key_id", field(&self.private_key_id)),
            ("assertion_algorithm", field(&self.assertion_algorithm)),
            ("assertion_file", field(&self.assertion_file)),
            ("key_file", field(&self.key_file)),
            ("client_email", field(&self.client_email)),
            ("password", field(&self.password)),
            ("command", field(&self.command)),
        ];
        keys.into_iter().filter_map(|(name, field)| Some((name, field?))).collect()
    }
}

/// Whether a grant of `kind` takes the key `name`: the table of grants in the documentation.
fn takes(kind: GrantKind, name: &str) -> bool {
    let is_client = match kind {
        GrantKind::AuthorizationCode
        | GrantKind::DeviceCode
        | GrantKind::ClientCredentials
        | GrantKind::Password => true,
        GrantKind::ServiceAccount
        | GrantKind::WorkloadIdentity
        | GrantKind::ManagedIdentity
        | GrantKind::Command => false,
    };
    match name {
        "tenant" => !matches!(kind, GrantKind::ManagedIdentity | GrantKind::Command),
        "client_id" => !matches!(kind, GrantKind::ServiceAccount | GrantKind::Command),
        "private_key" | "private_key_id" => is_client || kind == GrantKind::ServiceAccount,
        "assertion_file" => is_client || kind == GrantKind::WorkloadIdentity,
        "key_file" | "client_email" => kind == GrantKind::ServiceAccount,
        "password" => kind == GrantKind::Password,
        "command" => kind == GrantKind::Command,
        "client_secret"
        | "client_secret_expires"
        | "client_auth"
        | "certificate"
        | "assertion_algorithm" => is_client,
        _ => true,
    }
}

/// Reports a tenant that has no place.
pub(super) fn misplaced(tenant: &Field<'_>) -> Reported {
    tenant.problem(
        "has no place in the provider's endpoints",
        "leave it out, or write {tenant} where it belongs in `token_endpoint`",
    )
}

fn at<'t, T>(
    table: &mut Table<'t>,
    key: &'static str,
    read: impl FnOnce(&Field<'t>) -> Result<T, Reported>,
) -> Key<'t, T> {
    table.read(key, |field| {
        let value = read(&field)?;
        Ok((field, value))
    })
}

fn field<'k, 't, T>(key: &'k Key<'t, T>) -> Option<&'k Field<'t>> {
    key.as_ref().ok()?.as_ref().map(|(field, _)| field)
}

/// Takes what may be a client id.
pub(super) fn is_id(text: &str) -> bool {
    // RFC 6749 appendix A.1: printable ASCII.
    let printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    printable && (1..=ID_LEN_MAX).contains(&text.len())
}

fn client_id(field: &Field<'_>) -> Result<String, Reported> {
    let text = field.text()?;
    if is_id(text) {
        return Ok(text.to_owned());
    }
    Err(field.problem(
        "is no client id",
        "write the application (client) ID: printable ASCII, at most 1,024 characters",
    ))
}

fn private_key_id(field: &Field<'_>) -> Result<String, Reported> {
    let text = field.text()?;
    if is_id(text) {
        return Ok(text.to_owned());
    }
    Err(field.problem(
        "is no name of a key",
        "write the key's ID (kid) as the provider shows it: printable ASCII, at most 1,024 \
         characters",
    ))
}

fn client_email(field: &Field<'_>) -> Result<String, Reported> {
    let text = field.text()?;
    // It stands in log lines and in the name under which tokens are kept.
    if is_id(text) && text.contains('@') && !text.contains(' ') {
        return Ok(text.to_owned());
    }
    Err(field.problem(
        "is no address of a service account",
        "write what stands as client_email in Google's JSON: \
         NAME@PROJECT.iam.gserviceaccount.com",
    ))
}
