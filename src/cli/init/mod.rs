//! `init`: from nothing to a file, a consent and the fields to enter in the old application.
//!
//! Everything is asked before anything is written, so Ctrl-C leaves nothing behind. Then the files
//! are written, all or none; the person consents, if they are to; and the local password is made.

mod arguments;
mod ending;
mod files;
mod finding;
mod interview;
mod places;
mod service;
mod signals;
mod terminal;

use std::path::{Path, PathBuf};
use std::{env, fs};

use zeroize::Zeroizing;

pub(super) use self::arguments::InitArgs;
use self::files::{Holds, NewFile, Replace};
use self::interview::{Interview, Stop};
use self::service::Service;
use self::signals::Signals;
use self::terminal::{NoAnswer, Terminal};
use super::errand::Errand;
use super::{Exit, tell};
use crate::config::template::Draft;
use crate::config::{Config, Secrets};
use crate::store::StoreSettings;

/// The name of the file, where none is told.
const FILE_NAME: &str = "mailbearer.toml";

/// The environment variable that names the file for every command.
const VARIABLE: &str = "MAILBEARER_CONFIG";

/// Asks, writes, and says what to enter.
pub(super) fn run(named: Option<PathBuf>, arguments: &InitArgs) -> Exit {
    let service = Service::of(arguments);
    let usual = || match &service {
        Some(service) => service.usual_output(),
        // Where every other command will look.
        None => {
            let named = env::var_os(VARIABLE).filter(|value| !value.is_empty());
            named.map_or(PathBuf::from(FILE_NAME), PathBuf::from)
        }
    };
    let output = arguments.output.clone().or(named).unwrap_or_else(usual);
    let output = std::path::absolute(&output).unwrap_or(output);
    if output.to_str().is_none() {
        return refuse(Stop::Wrong(format!(
            "--output: {output:?} is no UTF-8, so nothing could name it: choose another place"
        )));
    }
    let terminal = Terminal::find().filter(|_| !arguments.yes);
    let init = Init { arguments, terminal, service: service.as_ref(), output: &output };
    init.run().unwrap_or_else(refuse)
}

/// What is to be made, and who can be asked about it.
#[derive(Clone, Copy)]
struct Init<'a> {
    arguments: &'a InitArgs,
    terminal: Option<Terminal>,
    service: Option<&'a Service>,
    /// The configuration file.
    output: &'a Path,
}

impl Init<'_> {
    fn run(self) -> Result<Exit, Stop> {
        let Self { arguments, terminal, service, output } = self;
        if let Some(service) = service {
            service.check_output(output)?;
            if places::is_same(service.path(), output) {
                let problem = "--output: the configuration and the service have a file each";
                return Err(Stop::Wrong(problem.to_owned()));
            }
        }
        let replace = self.may_replace(output)?;
        let described = service.map(|it| Ok::<_, Stop>((it, self.may_replace(it.path())?)));
        let described = described.transpose()?;
        for path in [Some(output), service.map(Service::path)].into_iter().flatten() {
            files::probe(path)?;
        }
        if terminal.is_some() {
            tell(format_args!(
                "This writes {}. Enter takes what is proposed; Ctrl-C ends it, and nothing is \
                 written.",
                output.display()
            ));
        }
        let mut answers = Interview::new(arguments, terminal, service, output).hold()?;
        self.check(&mut answers.draft)?;
        let typed = answers.secret.as_ref().map(|(path, _)| path.as_path());
        let written: Vec<&Path> =
            [Some(output), service.map(Service::path), typed].into_iter().flatten().collect();
        places::check(&written, &places::read_for(&answers.draft, typed))?;
        let handed_over = match service {
            Some(service) => {
                let typed = answers.secret.as_ref().map(|(path, _)| path.as_path());
                service.take_over(&mut answers.draft, typed)?
            }
            None => Vec::new(),
        };
        let mut new = Vec::new();
        if let Some((path, secret)) = &answers.secret {
            let (path, content) = (path.clone(), secret.clone());
            let replace = self.may_replace(&path)?;
            new.push(NewFile { path, content, holds: Holds::Secret, replace });
        }
        let open = |path: &Path, content, replace| NewFile {
            path: path.to_owned(),
            content: Zeroizing::new(content),
            holds: Holds::NoSecret,
            replace,
        };
        if let Some((service, replace)) = described {
            let variable = answers.draft.variable();
            let content = service.content(output, &handed_over, variable);
            new.push(open(service.path(), content, replace));
        }
        new.push(open(output, answers.draft.text(), replace));

        let signals = Signals::hold();
        files::write(&new)?;
        for file in &new {
            let note = if file.holds == Holds::Secret { ", for its owner alone" } else { "" };
            tell(format_args!("wrote {}{note}", file.path.display()));
        }
        signals.release();
        match service {
            Some(service) => {
                ending::tell_of_service(service, &answers.draft, &handed_over, output);
                Ok(Exit::Done)
            }
            None => ending::run(&answers, output, &signals).map_err(Stop::Told),
        }
    }

    /// Asks whether the file at `path` may be replaced, if there is one: each for itself.
    fn may_replace(self, path: &Path) -> Result<Replace, Stop> {
        if self.arguments.force {
            return Ok(Replace::Yes);
        }
        if fs::symlink_metadata(path).is_err() {
            return Ok(Replace::No);
        }
        let shown = path.display();
        let Some(terminal) = self.terminal else {
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

    /// Looks at the file as a whole. Where the state directory that it would have is another file's,
    /// it gets one of its own.
    fn check(self, draft: &mut Draft) -> Result<(), Stop> {
        let output = self.output;
        let store = check(&draft.text(), output).map_err(Stop::Told)?;
        if self.service.is_some() || !Errand::is_of_another(output, &store) {
            return Ok(());
        }
        let stem = output.file_stem().unwrap_or_default().to_string_lossy();
        let own = format!("{stem}.state/mailbearer.redb");
        tell(format_args!(
            "a relay with another file runs on {}, so this file names a place of its own: {own}",
            store.path.parent().unwrap_or(&store.path).display()
        ));
        draft.store = Some(own);
        check(&draft.text(), output).map(drop).map_err(Stop::Told)
    }
}

/// Reads what is to be written as `check` does: whatever single answers could not show is told
/// before there is a file.
fn check(text: &str, output: &Path) -> Result<StoreSettings, Exit> {
    let dir = output.parent().unwrap_or(Path::new(""));
    // A variable may be set for the service alone.
    let env = |name: &str| Ok(env::var(name).unwrap_or_else(|_| "not looked at".to_owned()));
    let problems = match Config::parse(text, dir, &env, Secrets::Leave) {
        Ok(config) => return Ok(config.store),
        Err(problems) => problems,
    };
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
        Stop::Unwritable(error) => {
            tell(error);
            tell("  make its directory writable for this user, or name another by --output");
            Exit::Failed
        }
        Stop::Told(exit) => exit,
        Stop::Missing(flags) => {
            tell("nobody can be asked here, and these flags are missing:");
            for flag in flags {
                tell(format_args!("  {flag}"));
            }
            Exit::Usage
        }
    }
}
