//! `support-bundle`: what whoever helps wants to know, in one text that is safe to paste.

mod names;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use zeroize::Zeroizing;

use self::names::Shown;
use super::errand::Errand;
use super::{Exit, finish, tell};
use crate::clock;
use crate::config::{
    Config, ConfigError, FILE_LEN_MAX, Machine, Names as _, Secrets, is_key, is_of_words, locate,
    redacted,
};
use crate::web::accounts::AccountRow;
use crate::web::control::{ClosedRow, Facts, GatherFacts};
use crate::web::moment::Moment;

/// Accounts whose state is told: beyond, their number alone.
const ACCOUNTS_MAX: usize = 500;

/// Longest bundle, in bytes: more is taken by few who are asked for help.
const BUNDLE_LEN_MAX: usize = 1024 * 1024;

/// What `support-bundle` is asked for.
#[derive(Debug, Args)]
pub(super) struct SupportBundleArgs {
    /// Write it to this file instead of standard output. One that is there is left alone.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Show name-1, name-2, … in place of accounts, devices, mail addresses and addresses of
    /// machines, and no client IDs, tenants, paths, programs and variables. Hosts of other domains
    /// than the accounts' stay.
    #[arg(long)]
    hide_names: bool,
}

/// Gathers it for the configuration file `named`, or the one that is found. A file with problems is
/// a reason to ask for help, so there is a bundle of it as well.
pub(super) fn run(named: Option<PathBuf>, arguments: &SupportBundleArgs) -> Exit {
    let path = match locate(named) {
        Ok(path) => path,
        Err(not_found) => {
            tell(not_found);
            tell("  `mailbearer init` writes one; one that is elsewhere is named with -c FILE");
            return Exit::Config;
        }
    };
    let mut names = Shown::new(arguments.hide_names);
    let loaded = Config::load(&path, Secrets::Leave);
    let errand = match &loaded {
        Ok(_) => Errand::load(Some(path.clone())),
        // A relay that runs does so with what it has read.
        Err(_) => Errand::to_relay(Some(path.clone())),
    };
    let facts = errand.and_then(|errand| errand.carry_out(&GatherFacts {})).ok();
    let file = read(&path);
    let configured = |names: &mut Shown| file.as_deref().and_then(|file| shown(file, &path, names));
    for place in [std::path::absolute(&path), path.canonicalize()].into_iter().flatten() {
        names.take_in_place(&place.to_string_lossy());
    }
    // Names are known before the first text is shown that they may stand in.
    configured(&mut names);
    if let Some(facts) = &facts {
        take_in(facts, &mut names);
    }
    let mut text = head();
    text.push_str(&configuration(&loaded, configured(&mut names).as_deref()));
    text.push_str(&of_relay(facts.as_ref(), &mut names));
    cut(&mut text);
    match &arguments.output {
        None => finish(text.trim_end()),
        Some(output) => write(output, &text),
    }
}

/// The file, where it can be one.
fn read(path: &Path) -> Option<Zeroizing<String>> {
    let file = std::fs::read_to_string(path).map(Zeroizing::new).ok()?;
    Some(file).filter(|file| u64::try_from(file.len()).is_ok_and(|len| len <= FILE_LEN_MAX))
}

/// The `file` at `path`, as it may be shown.
fn shown(file: &str, path: &Path, names: &mut Shown) -> Option<String> {
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
    let machine = Machine {
        directory: directory.unwrap_or(Path::new(".")),
        env: &|name| std::env::var_os(name),
    };
    redacted(file, &machine, names)
}

/// Takes in the names of a relay, whose file may be another.
fn take_in(facts: &Facts, names: &mut Shown) {
    for row in &facts.accounts {
        names.of(&row.account);
        let user = row.user.iter().chain(row.mail_error.as_ref().map(|error| &error.account));
        let devices = row.devices.iter();
        let devices = devices.flat_map(|row| [&row.device].into_iter().chain(&row.username));
        for name in user.chain(devices) {
            names.of(name);
        }
    }
    for row in &facts.sessions {
        for name in row.account.iter().chain(Some(&row.listener).filter(|name| !is_of_words(name)))
        {
            names.of(name);
        }
    }
}

fn head() -> String {
    let system = rustix::system::uname();
    format!(
        "mailbearer support bundle\n\
         made at: {}\n\
         version: {}\n\
         system: {} {} ({})\n",
        Moment::new(clock::unix_time()).rfc_3339(),
        env!("CARGO_PKG_VERSION"),
        system.sysname().to_string_lossy(),
        system.release().to_string_lossy(),
        std::env::consts::ARCH,
    )
}

/// The file, and what is wrong with it: which keys, not in which words, for those may repeat what
/// was written in a wrong place.
fn configuration(loaded: &Result<Config, ConfigError>, shown: Option<&str>) -> String {
    let mut text = "\n== configuration, redacted\n".to_owned();
    let problems = match loaded {
        Ok(config) => &config.warnings,
        Err(ConfigError::Problems { problems, .. }) => problems,
        Err(ConfigError::Unreadable { .. }) => {
            return text + "it cannot be read by this user\n";
        }
        Err(ConfigError::TooLong { .. } | ConfigError::NotUtf8 { .. }) => {
            return text + "it is no configuration: too long, or no UTF-8\n";
        }
    };
    text.push_str(shown.unwrap_or("it is no TOML, so nothing of it is shown\n"));
    let kind = if loaded.is_ok() { "warnings" } else { "problems" };
    let _ = writeln!(text, "\n== {kind} of `mailbearer check`: {}", problems.len());
    for problem in problems {
        // The whole key has names in it, and what was written as one by mistake.
        let key = problem.key.as_deref().and_then(|key| key.rsplit('.').next());
        let key = key.filter(|key| is_key(key)).unwrap_or("(not shown)");
        let _ = writeln!(text, "line {}: {key}", problem.line); // a String takes everything
    }
    text
}

/// What the relay tells; this process, where none runs.
fn of_relay(facts: Option<&Facts>, names: &mut Shown) -> String {
    let mut text = "\n== relay\n".to_owned();
    let Some(facts) = facts else { return text + "nothing is known of it\n" };
    let state = match facts.not_ready.as_deref() {
        None => "none runs".to_owned(),
        Some([]) => format!("version {}, ready", facts.version),
        Some(reasons) => {
            format!("version {}, not ready: {}", facts.version, names.text(&reasons.join("; ")))
        }
    };
    let _ = writeln!(text, "{state}");
    if let Some(unsaved) = &facts.unsaved {
        let _ = writeln!(text, "the store is not written: {}", names.text(unsaved));
    }
    let _ = writeln!(text, "\n== accounts: {}", facts.accounts.len());
    for row in facts.accounts.iter().take(ACCOUNTS_MAX) {
        text.push_str(&account(row, names));
    }
    let _ = writeln!(text, "\n== sessions that ended last: {}", facts.sessions.len());
    for row in &facts.sessions {
        text.push_str(&session(row, names));
    }
    text
}

/// One line of JSON, as `accounts --json` has it.
fn account(row: &AccountRow, names: &mut Shown) -> String {
    names.json(row) + "\n"
}

fn session(row: &ClosedRow, names: &mut Shown) -> String {
    let from = names.address(&row.from);
    let mut line = format!(
        "{} {} {} from={from} account={} outcome={} reason={} side={} messages={} up_bytes={} \
         down_bytes={} lasted_s={}",
        row.at.rfc_3339(),
        names.text(&row.listener),
        row.protocol,
        row.account.as_deref().map_or_else(|| "-".to_owned(), |account| names.of(account)),
        row.outcome,
        row.reason,
        row.side,
        row.messages.unwrap_or_default(),
        row.up_bytes,
        row.down_bytes,
        row.lasted_s,
    );
    for (name, said) in [
        ("error", &row.error),
        ("last_reply", &row.last_reply),
        ("cause", &row.cause),
        ("hint", &row.hint),
    ] {
        if let Some(said) = said {
            let _ = write!(line, " {name}={:?}", names.text(said));
        }
    }
    line + "\n"
}

/// Keeps it within [`BUNDLE_LEN_MAX`].
fn cut(text: &mut String) {
    const END: &str = "\n(cut off here: it is longer than 1 MiB)\n";
    if text.len() > BUNDLE_LEN_MAX {
        text.truncate(text.floor_char_boundary(BUNDLE_LEN_MAX - END.len()));
        text.push_str(END);
    }
}

fn write(output: &Path, text: &str) -> Exit {
    let created = std::fs::File::create_new(output);
    let written =
        created.and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()));
    match written {
        Ok(()) => finish(format_args!("written to {}", output.display())),
        Err(error) => {
            tell(format_args!(
                "{output:?} cannot be written ({error}): name a new file in a directory of yours"
            ));
            Exit::Failed
        }
    }
}
