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

use crate::secret::{SecretCommand, SecretFileError, SecretSource, SecretString, read_file};

use super::field::Field;
use super::file::Reported;
use super::problem::reason;

/// The ways to write a secret.
const FORMS: &str = "a string, { env = \"NAME\" }, { file = \"PATH\" } or { command = [\"PROGRAM\", \"ARGUMENT\"] }";

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
            (None, None, Some(command)) => from_command(&command),
            (None, None, None) => Err(self.problem("names no secret", format!("write {FORMS}"))),
            _ => Err(self.problem("names two places of one secret", format!("write {FORMS}"))),
        }
    }

    fn verifies_secrets(&self) -> bool {
        self.file().secrets() == Secrets::Verify
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
    let path = field.path()?;
    if !field.verifies_secrets() {
        return Ok(SecretSource::File(path));
    }
    match read_file(&path) {
        Ok(_) => Ok(SecretSource::File(path)),
        Err(SecretFileError::Unreadable { path, source }) => Err(field.cannot_read(&path, &source)),
        Err(SecretFileError::Unusable { path, problem }) => Err(field.problem(
            format!("names {}, which {problem}", path.display()),
            "name a file that holds the secret, on one line",
        )),
    }
}

/// The program is looked for and not run: it may ask somebody, or take its time.
fn from_command(field: &Field<'_>) -> Result<SecretSource, Reported> {
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
    Ok(SecretSource::Command(SecretCommand::new(program, words.collect())))
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
