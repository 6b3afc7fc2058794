//! `password NAME`: makes a local password, shows which were made, ends one.
//!
//! Out: the password alone on standard output, for scripts; on standard error what it is for and
//!      what to enter in the mail client.

use std::path::PathBuf;

use crate::cli::errand::Errand;
use crate::cli::servers::Served;
use crate::cli::{Exit, PasswordArgs, columns, finish, servers, tell};
use crate::secret::ExposeSecret as _;
use crate::store::shell_word;
use crate::web::control::{ListPasswords, MakePassword, PasswordRow, RevokePassword};

/// Does it by the configuration file `named`, or by the one that is found.
pub(in crate::cli) fn run(named: Option<PathBuf>, arguments: PasswordArgs) -> Exit {
    let PasswordArgs { name, label, protocols, list, json, revoke, hash: _ } = arguments;
    let name = name.unwrap_or_default();
    let outcome = Errand::load(named).and_then(|errand| match revoke {
        _ if list => show(&errand, name, json),
        Some(label) => end(&errand, RevokePassword { name, label }),
        None => make(&errand, MakePassword { name, label, protocols }),
    });
    outcome.unwrap_or_else(|exit| exit)
}

fn make(errand: &Errand, ask: MakePassword) -> Result<Exit, Exit> {
    let made = errand.carry_out(&ask)?;
    let (name, device) = (ask.name.to_lowercase(), made.device);
    let printed = finish(made.password.0.expose_secret());
    if printed != Exit::Done {
        let label = ask.label.map_or_else(String::new, |label| format!(" {}", shell_word(&label)));
        let name = shell_word(&name);
        tell("  the password was made, and nobody has seen it");
        tell(format_args!("  run `mailbearer password {name} --revoke{label}`, and make another"));
        return Ok(printed);
    }
    let label = ask.label.map_or_else(String::new, |label| format!(" ({label})"));
    let protocols = listed(&made.protocols);
    tell(format_args!("a local password for {name}{label}, good for {protocols}, told this once"));
    if made.replaced {
        tell("the one before, without a label as well, stopped working");
    }
    let (username, program, served) = match &device {
        Some(device) => (&device.username, "device", Served::Device(&device.account)),
        None => (&name, "mail client", Served::Account(&name)),
    };
    let servers = servers::lines(errand.listeners(), served, &made.protocols);
    if servers.is_empty() {
        let also = if device.is_some() { ", with `devices = true`" } else { "" };
        tell(format_args!(
            "no listener of the file serves {protocols} to {name}: write one first{also}"
        ));
        return Ok(Exit::Done);
    }
    tell(format_args!("enter in the {program}, beside that password:"));
    tell(format_args!("  user name   {username}"));
    for line in servers {
        tell(format_args!("  {line}"));
    }
    Ok(Exit::Done)
}

/// Makes the first local password of the account `name`, and shows what to enter in the old
/// application, all of it on standard output.
///
/// # Errors
/// The exit code, when it is not made or nobody reads it; it has been told why.
pub(in crate::cli) fn first(errand: &Errand, name: &str) -> Result<(), Exit> {
    let ask = MakePassword { name: name.to_owned(), label: None, protocols: Vec::new() };
    let made = errand.carry_out(&ask)?;
    if made.replaced {
        tell("the local password made before, without a label as well, stopped working");
    }
    let mut lines = vec!["enter in the application:".to_owned()];
    lines.extend(
        servers::lines(errand.listeners(), Served::Account(name), &made.protocols)
            .into_iter()
            .map(|line| format!("  {line}")),
    );
    lines.push(format!("  user name   {name}"));
    lines.push(format!("  password    {}", made.password.0.expose_secret()));
    let shown = finish(lines.join("\n"));
    if shown == Exit::Done { Ok(()) } else { Err(shown) }
}

/// Names in a sentence: `submission, imap and pop3`.
fn listed(names: &[String]) -> String {
    match names.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} and {last}", others.join(", ")),
        _ => names.concat(),
    }
}

fn show(errand: &Errand, name: String, json: bool) -> Result<Exit, Exit> {
    let rows = errand.carry_out(&ListPasswords { name })?;
    if json {
        return serde_json::to_string_pretty(&rows).map(finish).map_err(|error| {
            tell(format_args!("the list cannot be written ({error})"));
            Exit::Failed
        });
    }
    Ok(finish(table(&rows)))
}

fn end(errand: &Errand, ask: RevokePassword) -> Result<Exit, Exit> {
    errand.carry_out(&ask)?;
    let label = ask.label.map_or_else(|| "without a label".to_owned(), |it| format!("{it:?}"));
    Ok(finish(format_args!("{}: the local password {label} works no more", ask.name)))
}

/// The rows under their headings.
fn table(rows: &[PasswordRow]) -> String {
    if rows.is_empty() {
        return "no local password was made".to_owned();
    }
    let mut lines = vec![["LABEL", "GOOD FOR", "MADE", "LAST USED"].map(str::to_owned)];
    lines.extend(rows.iter().map(|row| {
        let label = row.label.clone().unwrap_or_else(|| columns::NONE.to_owned());
        let used = row.last_used_at.map_or_else(|| columns::NONE.to_owned(), String::from);
        [label, row.protocols.join(", "), row.made_at.day(), used]
    }));
    let widths = columns::widths(&lines);
    let mut lines: Vec<_> = lines.iter().map(|line| columns::line(line, &widths)).collect();
    lines.push("last used: since the relay started".to_owned());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::web::moment::Moment;

    #[test]
    fn protocols_stand_in_a_sentence() {
        let all = ["submission", "imap", "pop3"].map(str::to_owned);
        assert_eq!(listed(&all[..1]), "submission");
        assert_eq!(listed(&all[..2]), "submission and imap");
        assert_eq!(listed(&all), "submission, imap and pop3");
    }

    #[test]
    fn list_shows_label_protocols_and_day() {
        let made_at = Moment::new(Duration::from_secs(1_803_202_200));
        let row = |label: Option<&str>, protocols: &[&str], last_used_at| PasswordRow {
            label: label.map(str::to_owned),
            protocols: protocols.iter().map(|name| (*name).to_owned()).collect(),
            made_at,
            last_used_at,
        };
        let rows = [
            row(None, &["submission", "imap"], Some(made_at)),
            row(Some("scanner"), &["submission"], None),
        ];
        assert_eq!(
            table(&rows),
            "LABEL    GOOD FOR          MADE        LAST USED\n\
             —        submission, imap  2027-02-21  2027-02-21T09:30:00Z\n\
             scanner  submission        2027-02-21  —\n\
             last used: since the relay started"
        );
        assert_eq!(table(&[]), "no local password was made");
    }
}
