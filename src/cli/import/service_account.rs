//! A Google service account: that program has its key in `client_secret`, as a path where
//! `client_id` is `file`, and as JSON where it is `key`.

use std::path::Path;

use serde::Deserialize;

use super::document::Table;
use super::notes::Of;
use super::servers::beside;

/// Of Google's JSON what identifies the key, and the key.
#[derive(Deserialize)]
struct Key {
    client_email: String,
    private_key_id: String,
    private_key: String,
}

/// Writes the key of `kind` into `table`.
pub(super) fn write(kind: &str, key: &str, base: &Path, table: &mut Table, notes: &mut Of<'_, '_>) {
    match kind {
        "file" => table.set("key_file", beside(base, key)),
        "key" => match serde_json::from_str::<Key>(key) {
            Ok(key) => {
                table.set("client_email", key.client_email);
                table.set("private_key_id", key.private_key_id);
                table.set("private_key", key.private_key);
            }
            // What is wrong is not told in the parser's words, which may repeat the key.
            Err(_) => {
                table.set("key_file", "service-account.json");
                let said = "`client_secret` is not the JSON of a service account's key: save that \
                            as the file that is named.";
                notes.add(table, said);
            }
        },
        _ => {
            table.set("key_file", "service-account.json");
            let said = "`client_id` is neither `file` nor `key`, so where the service account's key \
                        is was not told: name it by `key_file`.";
            notes.add(table, said);
        }
    }
}
