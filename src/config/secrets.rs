//! Secrets of the file: a string, `{ env = "NAME" }`, `{ file = "PATH" }` or
//! `{ command = ["PROGRAM", "ARGUMENT"] }`.
//!
//! Nothing that is reported here holds a secret; a variable's name, a file's path and a program's
//! are told.

use std::env::split_paths;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::secret::{SecretCommand, SecretFileError, SecretSource, SecretString, read_file};

use super::field::Field;
use super::file::Reported;
use super::problem::reason;

/// The ways to write a secret.
const FORMS: &str = "a string, { env = \"NAME\" }, { file = \"PATH\" } or { command = [\"PROGRAM\", \"ARGUMENT\"] }";

/// The ways to write a certificate or a private key.
const PEM_FORMS: &str = "the path of a PEM file, PEM itself, { env = \"NAME\" }, { file = \"PATH\" } or { command = [\"PROGRAM\", \"ARGUMENT\"] }";

/// With what PEM begins (RFC 7468 section 2).
const PEM_BEGIN: &str = "-----BEGIN ";

/// With what the base64 of a certificate or of an RSA key begins, be it whole or not: a DER sequence
/// of more than 255 bytes. So does no path that anybody has.
const BASE64_OF_DER: &str = "MII";

/// Longest path, in bytes: Linux takes none that is longer.
const PATH_LEN_MAX: usize = 4096;

/// Whether the secrets that a file names are looked at while the file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrets {
    /// A variable that is not set, a file that cannot be read or a program that is not there is a
    /// problem of the file: for the relay, which needs them all.
    Verify,
    /// It is found out when the secret is used, if it is: for commands, which may need none, and
    /// may be run by somebody who can read none.
    Leave,
}

impl Field<'_> {
    /// The secret that this is. A variable of the environment is read now, a file and a program's
    /// output at each use; [`Secrets::Verify`] looks whether they can be.
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
        let (env, file, command) = (table.take("env"), table.take("file"), table.take("command"));
        table.finish(&[])?;
        match (env, file, command) {
            (Some(env), None, None) => from_env(&env),
            (None, Some(file), None) => from_file(&file),
            (None, None, Some(command)) => from_command(&command).map(SecretSource::Command),
            (None, None, None) => Err(self.problem("names no secret", format!("write {FORMS}"))),
            _ => Err(self.problem("names two places of one secret", format!("write {FORMS}"))),
        }
    }

    /// The secret that this is, in PEM: the text itself where it begins as PEM does, else the path
    /// of a file, or a table as for any secret.
    pub(super) fn pem(&self) -> Result<SecretSource, Reported> {
        if self.is_table() {
            return self.secret_from_elsewhere();
        }
        if !self.is_text() {
            return Err(self.wrong_type(PEM_FORMS));
        }
        let text = self.text()?;
        // RFC 7468 section 2 lets text stand before it, as `openssl pkcs12` writes some.
        if text.contains(PEM_BEGIN) {
            return Ok(SecretSource::Value(SecretString::from(text)));
        }
        if may_be_key(text) {
            return Err(self.problem(
                "is neither PEM nor a path",
                "write the path of a PEM file, or all of it, from -----BEGIN on",
            ));
        }
        // What stands in it is looked at together with what belongs to it.
        Ok(SecretSource::File(self.path()?))
    }

    /// The path of a file with a secret in it, which is read at each use; [`Secrets::Verify`] looks
    /// whether it can be.
    pub(super) fn secret_file(&self) -> Result<PathBuf, Reported> {
        let path = self.path()?;
        self.verify_file(&path)?;
        Ok(path)
    }

    /// Reports that the file at `path`, which this names or stands for, holds no secret.
    pub(super) fn verify_file(&self, path: &Path) -> Result<(), Reported> {
        if !self.verifies_secrets() {
            return Ok(());
        }
        match read_file(path) {
            Ok(_) => Ok(()),
            Err(SecretFileError::Unreadable { path, source }) => {
                Err(self.cannot_read(&path, &source))
            }
            Err(SecretFileError::Unusable { path, problem }) => Err(self.problem(
                format!("names {}, which {problem}", path.display()),
                "name a file that holds the secret, on one line",
            )),
        }
    }

    /// The program that prints a secret.
    pub(super) fn secret_command(&self) -> Result<SecretCommand, Reported> {
        from_command(self)
    }

    /// Whether what is named as secret is looked at.
    pub(super) fn verifies_secrets(&self) -> bool {
        self.file().secrets() == Secrets::Verify
    }
}

/// Whether `text`, which stands where a path is due, may be a key or a file of keys itself. A path is
/// told when it cannot be read, and these are not to be told.
pub(super) fn may_be_key(text: &str) -> bool {
    text.len() > PATH_LEN_MAX
        || text.contains(PEM_BEGIN)
        || text.starts_with(BASE64_OF_DER)
        || text.trim_start().starts_with('{') // JSON, as Google's key files are
        || is_der_in_base64(text)
}

/// Whether `text` is the base64 of one DER sequence: a key on an elliptic curve is shorter than those
/// that [`BASE64_OF_DER`] tells.
fn is_der_in_base64(text: &str) -> bool {
    let Ok(der) = STANDARD.decode(text.trim()).map(Zeroizing::new) else { return false };
    // X.690 section 8.1.3: a length in one byte, or in the one behind 0x81.
    match der.as_slice() {
        [0x30, 0x81, len, content @ ..] | [0x30, len @ 0..=0x7f, content @ ..] => {
            usize::from(*len) == content.len()
        }
        _ => false,
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
    let source = SecretSource::env(name, field.file().env(name));
    if let SecretSource::Env { value: Err(problem), .. } = &source
        && field.verifies_secrets()
    {
        let help = format!("set {name} for the process that reads this file");
        let message = format!("names the environment variable {name}, which {problem}");
        return Err(field.problem(message, help));
    }
    Ok(source)
}

fn from_file(field: &Field<'_>) -> Result<SecretSource, Reported> {
    Ok(SecretSource::File(field.secret_file()?))
}

/// The program is looked for and not run: it may ask somebody, or take its time.
fn from_command(field: &Field<'_>) -> Result<SecretCommand, Reported> {
    if field.is_text() {
        return Err(field.problem(
            "is a string, not a list, and no shell takes it apart",
            "write the program and each of its arguments: [\"pass\", \"show\", \"mail/contoso\"]",
        ));
    }
    // What is no word is not told: an argument may be secret.
    let words = field.each(|word| match word.text()? {
        text if text.contains('\0') => Err(word.problem("holds a NUL", "leave the NUL out")),
        text => Ok(text.to_owned()),
    })?;
    let mut words = words.into_iter().map(|(_, word)| word);
    let program = words.next().unwrap_or_default();
    if program.is_empty() || program.contains(char::is_control) {
        return Err(field.problem("names no program", "write the path or name of a program first"));
    }
    let program = if program.contains('/') {
        let path = field.file().path(&program);
        if field.verifies_secrets() {
            refuse_no_program(field, &path)?;
        }
        path
    } else {
        if field.verifies_secrets() && !is_in_path(field, &program) {
            return Err(field.problem(
                format!("names the program {program:?}, which is in no directory of $PATH"),
                "install it, or write its whole path",
            ));
        }
        PathBuf::from(program)
    };
    Ok(SecretCommand::new(program, words.collect()))
}

fn refuse_no_program(field: &Field<'_>, path: &Path) -> Result<(), Reported> {
    let problem = match is_program(path) {
        Ok(true) => return Ok(()),
        Ok(false) => "it is no executable file".to_owned(),
        Err(error) => reason(&error),
    };
    let shown = path.display();
    Err(field.problem(
        format!("names {shown}, which cannot be run ({problem})"),
        "make it executable, or correct the path: it is relative to this file",
    ))
}

/// Whether the program would be found; so it is taken for where there is no `$PATH` to look at.
fn is_in_path(field: &Field<'_>, program: &str) -> bool {
    let path = field.file().env("PATH");
    path.is_err()
        || path
            .iter()
            .flat_map(split_paths)
            .any(|dir| is_program(&dir.join(program)).is_ok_and(|is_program| is_program))
}

fn is_program(path: &Path) -> io::Result<bool> {
    let found = fs::metadata(path)?;
    Ok(found.is_file() && found.permissions().mode() & 0o111 != 0)
}
