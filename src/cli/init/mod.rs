//! `init`: from nothing to a file, a consent and the fields to enter in the old application.
//!
//! Everything is asked before anything is written, so Ctrl-C leaves nothing behind. Then the files
//! are written, all or none; the person consents, if they are to; and the local password is made.

mod arguments;
mod ending;
mod files;
mod finding;
mod interview;
mod service;
mod terminal;

use std::fs;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

pub(super) use self::arguments::InitArgs;
use self::files::{Holds, NewFile, Replace};
use self::interview::{Answers, Interview, Stop};
use self::service::Service;
use self::terminal::{NoAnswer, Terminal};
use super::{Exit, tell};
use crate::config::{Config, Secrets};

/// The name of the file, where none is told.
const FILE_NAME: &str = "mailbearer.toml";

/// Asks, writes, and says what to enter.
pub(super) fn run(named: Option<PathBuf>, arguments: &InitArgs) -> Exit {
    let output = arguments.output.clone().or(named);
    let service = Service::of(arguments);
    let usual = || service.as_ref().map_or(PathBuf::from(FILE_NAME), Service::usual_output);
    let output = output.unwrap_or_else(usual);
    let output = std::path::absolute(&output).unwrap_or(output);
    let terminal = Terminal::find().filter(|_| !arguments.yes);
    match begin(arguments, terminal, service.as_ref(), &output) {
        Ok(exit) => exit,
        Err(stop) => refuse(stop),
    }
}

fn begin(
    arguments: &InitArgs,
    terminal: Option<Terminal>,
    service: Option<&Service>,
    output: &Path,
) -> Result<Exit, Stop> {
    let mut replace = if arguments.force { Replace::Yes } else { Replace::No };
    for path in [Some(output), service.map(Service::path)].into_iter().flatten() {
        replace = may_replace(path, replace, terminal)?;
    }
    if terminal.is_some() {
        tell(format_args!(
            "This writes {}. Enter takes what is proposed; Ctrl-C ends it, and nothing is written.",
            output.display()
        ));
    }
    let answers = Interview::new(arguments, terminal, service, output).hold()?;
    if let Some((path, _)) = &answers.secret {
        replace = may_replace(path, replace, terminal)?;
    }
    Ok(write(service, &answers, output, replace).unwrap_or_else(|exit| exit))
}

/// Asks whether the file at `path` may be replaced, if there is one.
fn may_replace(path: &Path, replace: Replace, terminal: Option<Terminal>) -> Result<Replace, Stop> {
    if replace == Replace::Yes || fs::symlink_metadata(path).is_err() {
        return Ok(replace);
    }
    let shown = path.display();
    let Some(terminal) = terminal else {
        return Err(Stop::Wrong(format!(
            "{shown} is there already: write another by --output, or replace it by --force"
        )));
    };
    let ask = format!("{shown} is there already.");
    let options = ["leave it, and end this".to_owned(), "replace it in the end".to_owned()];
    match terminal.choose(&ask, &options, 0)? {
        1 => Ok(Replace::Yes),
        _ => Err(Stop::NoAnswer(NoAnswer::Ended)),
    }
}

/// Writes the files, and does what comes after.
fn write(
    service: Option<&Service>,
    answers: &Answers,
    output: &Path,
    replace: Replace,
) -> Result<Exit, Exit> {
    let text = answers.draft.text();
    check(&text, output)?;
    let file = |path: &Path, content: &str, holds| NewFile {
        path: path.to_owned(),
        content: Zeroizing::new(content.to_owned()),
        holds,
    };
    let mut new = Vec::new();
    if let Some((path, secret)) = &answers.secret {
        new.push(file(path, secret, Holds::Secret));
    }
    if let Some(service) = service {
        let content = service.content(output, answers.handed_over.as_deref());
        new.push(file(service.path(), &content, Holds::NoSecret));
    }
    new.push(file(output, &text, Holds::NoSecret));
    files::write(&new, replace).map_err(|error| {
        tell(error);
        tell("  make its directory writable for this user, or name another by --output");
        Exit::Failed
    })?;
    for file in &new {
        let note = if file.holds == Holds::Secret { ", for its owner alone" } else { "" };
        tell(format_args!("wrote {}{note}", file.path.display()));
    }
    ending::run(service, answers, output)
}

/// Reads what is to be written as `check` does: whatever single answers could not show is told
/// before there is a file.
fn check(text: &str, output: &Path) -> Result<(), Exit> {
    let dir = output.parent().unwrap_or(Path::new(""));
    // A variable may be set for the service alone.
    let env = |_: &str| Ok("not looked at".to_owned());
    let Err(problems) = Config::parse(text, dir, &env, Secrets::Leave) else { return Ok(()) };
    tell("with these answers the file would not be right, so nothing was written:");
    for problem in problems {
        tell(problem.in_file(output));
    }
    Err(Exit::Config)
}

fn refuse(stop: Stop) -> Exit {
    match stop {
        Stop::NoAnswer(NoAnswer::Ended) => {
            tell("ended; nothing was written");
            Exit::Failed
        }
        Stop::NoAnswer(NoAnswer::Broken(error)) => {
            tell(format_args!("the terminal cannot be used ({error}); nothing was written"));
            tell("  tell the answers by flags: see `mailbearer init --help`");
            Exit::Failed
        }
        Stop::Wrong(problem) => {
            tell(problem);
            Exit::Usage
        }
        Stop::Missing(flags) => {
            tell("nobody can be asked here, and these flags are missing:");
            for flag in flags {
                tell(format_args!("  {flag}"));
            }
            Exit::Usage
        }
    }
}
