//! How an account's tokens are had, and what its client shows.
//!
//! Secret: values of accounts are; they go into the table alone.

use std::path::Path;

use toml::Value;

use super::accounts::{Grant, Options};
use super::document::Table;
use super::notes::Of;
use super::servers::beside;
use super::service_account;

/// With what the sample's own texts begin that somebody was to replace.
const SAMPLE: &str = "*** your";

/// Writes how its tokens are had, and what its client shows.
pub(super) fn write_client(
    options: &Options<'_>,
    grant: Grant,
    base: &Path,
    table: &mut Table,
    notes: &mut Of<'_, '_>,
) {
    table.set("grant", grant.name());
    if grant == Grant::ServiceAccount {
        let kind = options.get("client_id").unwrap_or_default();
        let key = options.get("client_secret").unwrap_or_default();
        return service_account::write(kind, key, base, table, notes);
    }
    let client_id = options.get("client_id").unwrap_or_default();
    let secret = options.get("client_secret");
    if client_id.contains(SAMPLE) || secret.is_some_and(|secret| secret.contains(SAMPLE)) {
        let said = "Its client still has texts of the sample: write `client_id`, and \
                    `client_secret` or no such line.";
        notes.add(table, said);
    }
    table.set("client_id", client_id);
    let files = options.get("jwt_certificate_path").zip(options.get("jwt_key_path"));
    let file = |what| {
        Value::Table([("file".to_owned(), beside_name(options, what))].into_iter().collect())
    };
    match (secret, options.get("client_secret_encrypted"), files) {
        (Some(secret), ..) => table.set("client_secret", secret),
        (None, Some(_), _) => {
            table.set("client_secret", file("client-secret"));
            let said = "`client_secret_encrypted` is sealed with the password of the mail program, \
                        and cannot be read here: write the secret into the file that is named.";
            notes.add(table, said);
        }
        (None, None, Some((certificate, key))) => {
            table.set("certificate", beside(base, certificate));
            table.set("private_key", beside(base, key));
            table.set("assertion_algorithm", "RS256");
        }
        (None, None, None) if grant == Grant::ClientCredentials => {
            table.set("client_secret", file("client-secret"));
        }
        (None, None, None) => {}
    }
    if files.is_some() && (secret.is_some() || options.get("client_secret_encrypted").is_some()) {
        let said =
            "Its certificate was not used, because there is a client secret; nor is it here.";
        notes.add(table, said);
    }
    if grant == Grant::Password {
        table.set("password", file("password"));
        let said = "The mail program's password was the person's own, and was passed on. It is kept \
                    here instead: write it into the file that is named. Better: grant = \
                    \"authorization-code\", and one consent.";
        notes.add(table, said);
    }
}

/// A file for what has to be written by hand.
fn beside_name(options: &Options<'_>, what: &str) -> Value {
    let plain = |char: char| char.is_ascii_alphanumeric() || "@.-_".contains(char);
    let name = options.section.name.trim_start_matches('@');
    let name: String = name.chars().map(|char| if plain(char) { char } else { '_' }).collect();
    format!("{name}.{what}").into()
}

/// Tells of the secret that the mail program showed.
pub(super) fn tell_of_password_secret(
    options: &Options<'_>,
    table: &mut Table,
    notes: &mut Of<'_, '_>,
) {
    let others = ["client_secret", "client_secret_encrypted", "jwt_certificate_path"];
    if others.iter().all(|key| options.get(key).is_none()) {
        let said = "The mail program's password was the client secret \
                    (`use_login_password_as_client_credentials_secret`): write the secret into the \
                    file that is named, and make a local password.";
        notes.add(table, said);
    }
}

/// Tells of what has no key here.
pub(super) fn tell_of_the_rest(
    options: &Options<'_>,
    grant: Grant,
    table: &mut Table,
    notes: &mut Of<'_, '_>,
) {
    if options.section.get("refresh_token").or(options.section.get("access_token")).is_some() {
        let said = if grant.is_consent() {
            "Its tokens are sealed with the password of the mail program and are not taken over: \
             consent once more, see above."
        } else {
            "Its tokens are not taken over, and need not be: new ones are asked for."
        };
        notes.add(table, said);
    }
    if grant != Grant::AuthorizationCode {
        return;
    }
    let redirect = options.get("redirect_uri");
    if redirect.is_some_and(|uri| uri.trim_end_matches('/') != "http://localhost") {
        let said = "`redirect_uri` has no counterpart: `mailbearer authorize` prints first which one \
                    the registration needs; with `web.public_url` it is that and /oauth/callback.";
        notes.add(table, said);
    }
    if options.get("redirect_listen_address").is_some() {
        let said = "`redirect_listen_address` has no counterpart: `mailbearer authorize --paste` \
                    needs no port, and the page ([web]) listens at its own address.";
        notes.add(table, said);
    }
}
