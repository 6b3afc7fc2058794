//! Secrets of the file: a string, `{ env = "NAME" }` or `{ file = "PATH" }`.
//!
//! Nothing that is reported here holds a secret; a variable's name and a file's path are told.

use std::env::VarError;

use crate::secret::{SecretFileError, SecretSource, SecretString, read_file};

use super::field::Field;
use super::file::Reported;
use super::later;

/// The ways to write a secret.
const FORMS: &str = "a string, { env = \"NAME\" } or { file = \"PATH\" }";

impl Field<'_> {
    /// The secret that this is. An environment variable is read now; a file is read at each use,
    /// and now to see that it can be.
    pub(super) fn secret(&self) -> Result<SecretSource, Reported> {
        if self.is_table() {
            return self.secret_from_elsewhere();
        }
        if !self.is_text() {
            return Err(self.wrong_type(FORMS));
        }
        match self.text()? {
            "" => Err(self.problem("is empty", format!("write the secret: {FORMS}"))),
            secret => Ok(SecretSource::Value(SecretString::from(secret))),
        }
    }

    fn secret_from_elsewhere(&self) -> Result<SecretSource, Reported> {
        let mut table = self.table()?;
        let (env, file) = (table.take("env"), table.take("file"));
        table.finish(later::SECRET)?;
        match (env, file) {
            (Some(env), None) => from_env(&env),
            (None, Some(file)) => from_file(&file),
            (Some(_), Some(_)) => {
                Err(self.problem("names two places of one secret", format!("write {FORMS}")))
            }
            (None, None) => Err(self.problem("names no secret", format!("write {FORMS}"))),
        }
    }
}

fn from_env(field: &Field<'_>) -> Result<SecretSource, Reported> {
    let name = field.text()?;
    // What is no name of a variable is not repeated: it may be the secret itself.
    let is_name = !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !is_name {
        let help = "write the name of the variable that holds the secret: letters, digits and _";
        return Err(field.problem("is no name of an environment variable", help));
    }
    let unusable = |problem| {
        let help = format!("set {name} for the process that reads this file");
        field.problem(format!("names the environment variable {name}, which {problem}"), help)
    };
    match field.file().env(name) {
        Ok(secret) if secret.is_empty() => Err(unusable("is empty")),
        Ok(secret) => Ok(SecretSource::Value(SecretString::from(secret))),
        Err(VarError::NotPresent) => Err(unusable("is not set")),
        Err(VarError::NotUnicode(_)) => Err(unusable("is not UTF-8 text")),
    }
}

fn from_file(field: &Field<'_>) -> Result<SecretSource, Reported> {
    let path = field.path()?;
    match read_file(&path) {
        Ok(_) => Ok(SecretSource::File(path)),
        Err(SecretFileError::Unreadable { path, source }) => Err(field.cannot_read(&path, &source)),
        Err(SecretFileError::Unusable { path, problem }) => Err(field.problem(
            format!("names {}, which {problem}", path.display()),
            "name a file that holds the secret, on one line",
        )),
    }
}
