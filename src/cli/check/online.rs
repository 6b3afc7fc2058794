//! `check --online`: does every account get through to its provider, step by step?
//!
//! Out: of each account and protocol a line for the server, and one for each step.

use std::fmt;
use std::path::PathBuf;

use super::super::columns::{line, widths};
use super::super::errand::{Errand, Visit};
use super::super::{Exit, print, tell};
use super::report;
use crate::config::{Config, Secrets};
use crate::names::Username;
use crate::relay::ListenerSettings;
use crate::web::control::{Failure, GoOnline, ReachableRow, ShowReachable, StepResult, StepRow};
use crate::web::operator::Class;

/// What came of all walks.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Tally {
    done: usize,
    failed: usize,
    /// Of what may go better later.
    temporary: usize,
}

/// Checks the configuration file `named`, or the one that is found, and goes online for `account`,
/// or for every account of it.
pub(in crate::cli) fn run(named: Option<PathBuf>, account: Option<String>) -> Exit {
    let walked = Errand::load(named).and_then(|errand| {
        errand.visit(async |visit| {
            if let Some((path, config)) = errand.file() {
                // A relay has the secrets that it was started with: they need not be here.
                if !visit.is_at_relay() {
                    Config::load(path, Secrets::Verify).map_err(|error| wrong(&error))?;
                }
                show(report(path, config));
            }
            let mut tally = Tally::default();
            for row in visit.ask(&ShowReachable { account }).await? {
                let row = in_use(row, errand.listeners());
                walk_all(visit, row, &mut tally).await;
            }
            Ok(tally)
        })
    });
    match walked {
        Ok(tally) => tally.exit(),
        Err(exit) => exit,
    }
}

/// Goes online for one account by each of its protocols.
async fn walk_all(visit: &mut Visit, row: ReachableRow, tally: &mut Tally) {
    let ReachableRow { account, protocols } = row;
    if protocols.is_empty() {
        show(format_args!("\n{account}: not tried, {}", why_not(&account)));
    }
    for protocol in protocols {
        let ask = GoOnline { account: account.clone(), protocol: protocol.clone() };
        match visit.ask(&ask).await {
            Ok(walked) => {
                show(format_args!("\n{account} by {protocol} at {}", walked.host));
                show(Table(&walked.steps));
                if let Some(problem) = walked.unsaved {
                    tell(format_args!(
                        "warning: the newest refresh token is not written: {problem}"
                    ));
                }
                tally.count(walked.steps.iter().map(|step| step.result));
            }
            Err(Failure { error, fix, exit }) => {
                show(format_args!("\n{account} by {protocol}\n  failed: {error}"));
                if !fix.is_empty() {
                    show(format_args!("    {fix}"));
                }
                let is_temporary = exit == Class::TryLater;
                tally.count([if is_temporary {
                    StepResult::Temporary
                } else {
                    StepResult::Failed
                }]);
            }
        }
    }
}

/// The protocols by which listeners serve the account; all where none does.
fn in_use(row: ReachableRow, listeners: &[ListenerSettings]) -> ReachableRow {
    let ReachableRow { account, protocols } = row;
    let lets_in = |listener: &&ListenerSettings| {
        let (name, allowed) = (Username::parse(&account), listener.accounts.as_deref());
        name.is_ok_and(|name| allowed.is_none_or(|some| some.covers(&name)))
    };
    let served: Vec<&str> = listeners.iter().filter(lets_in).map(|it| it.protocol.name()).collect();
    let in_use = protocols.iter().filter(|it| served.contains(&it.as_str())).cloned();
    let in_use: Vec<String> = in_use.collect();
    ReachableRow { account, protocols: if in_use.is_empty() { protocols } else { in_use } }
}

fn why_not(account: &str) -> String {
    match account.strip_prefix("*@") {
        Some(domain) => format!(
            "it is no name to sign in with: name an address that it covers, as in `mailbearer check \
             --online NAME@{domain}`"
        ),
        None => "its provider has no server that it could use".to_owned(),
    }
}

impl Tally {
    /// Counts one walk.
    fn count(&mut self, results: impl IntoIterator<Item = StepResult>) {
        let mut walk = Self::default();
        for result in results {
            match result {
                StepResult::Ok | StepResult::NotTried => {}
                StepResult::Failed => walk.failed = 1,
                StepResult::Temporary => walk.temporary = 1,
            }
        }
        match walk {
            Self { failed: 1.., .. } => self.failed += 1,
            Self { temporary: 1.., .. } => self.temporary += 1,
            Self { .. } => self.done += 1,
        }
    }

    /// What a script is told. That nothing was tried is no success.
    fn exit(self) -> Exit {
        match self {
            Self { failed: 1.., .. } => Exit::Failed,
            Self { temporary: 1.., .. } => Exit::TryLater,
            Self { done: 1.., .. } => Exit::Done,
            Self { .. } => {
                tell("nothing was tried");
                Exit::Failed
            }
        }
    }
}

/// The steps of a walk, with what to do below those that failed.
struct Table<'a>(&'a [StepRow]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cells = |row: &StepRow| {
            let word = match row.result {
                StepResult::Ok => "ok",
                StepResult::Failed => "failed",
                StepResult::Temporary => "not now",
                StepResult::NotTried => "not tried",
            };
            [row.step.clone(), word.to_owned(), row.told.clone()]
        };
        let rows: Vec<_> = self.0.iter().map(cells).collect();
        let widths = widths(&rows);
        for (position, (row, step)) in rows.iter().zip(self.0).enumerate() {
            let end = if position == 0 { "" } else { "\n" };
            write!(f, "{end}  {}", line(row, &widths))?;
            if !step.fix.is_empty() {
                write!(f, "\n    {}", step.fix)?;
            }
        }
        Ok(())
    }
}

/// Prints a line. Whoever reads no more still gets the exit code.
fn show(line: impl fmt::Display) {
    let _ = print(line);
}

fn wrong(error: &impl fmt::Display) -> Failure {
    Failure { error: error.to_string(), fix: String::new(), exit: Class::Configuration }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::names::AccountPattern;
    use crate::provider::Protocol;
    use crate::relay::ListenerTls;

    fn row(step: &str, result: StepResult, told: &str, fix: &str) -> StepRow {
        StepRow { step: step.into(), result, told: told.into(), fix: fix.into() }
    }

    #[test]
    fn steps_are_told_in_columns_with_the_fix_below() {
        let rows = [
            row("DNS", StepResult::Ok, "127.0.0.1", ""),
            row("TCP", StepResult::Temporary, "it accepts no connection", "look at the port"),
            row("TLS", StepResult::NotTried, "", ""),
            row(
                "token",
                StepResult::Failed,
                "nobody has consented",
                "run `mailbearer authorize a`",
            ),
            row("XOAUTH2", StepResult::NotTried, "", ""),
        ];
        assert_eq!(
            Table(&rows).to_string(),
            "  DNS      ok         127.0.0.1\n\
             \u{20} TCP      not now    it accepts no connection\n\
             \u{20}   look at the port\n\
             \u{20} TLS      not tried\n\
             \u{20} token    failed     nobody has consented\n\
             \u{20}   run `mailbearer authorize a`\n\
             \u{20} XOAUTH2  not tried"
        );
    }

    #[test]
    fn protocols_in_use_are_those_of_listeners_that_let_the_account_in() {
        let listener = |protocol, accounts: Option<&str>| ListenerSettings {
            name: "one".to_owned(),
            protocol,
            addresses: Vec::new(),
            allow: Vec::new(),
            proxy_protocol_from: Vec::new(),
            accounts: accounts
                .map(|it| Arc::new([&AccountPattern::parse(it).unwrap()].into_iter().collect())),
            upstream: None,
            tls: ListenerTls::None,
            require_tls: None,
            devices: false,
        };
        let listeners = [
            listener(Protocol::Submission, None),
            listener(Protocol::Imap, Some("*@contoso.com")),
            listener(Protocol::Pop3, Some("bob@contoso.com")),
        ];
        let all = ["submission", "imap", "pop3"].map(str::to_owned).to_vec();
        let walked = |account: &str, listeners: &[ListenerSettings]| {
            let row = ReachableRow { account: account.to_owned(), protocols: all.clone() };
            in_use(row, listeners).protocols
        };
        assert_eq!(walked("alice@contoso.com", &listeners), ["submission", "imap"]);
        assert_eq!(walked("bob@contoso.com", &listeners), all);
        assert_eq!(walked("eve@fabrikam.com", &listeners), ["submission"]);
        // Nobody serves it: whatever its provider has is worth a try.
        assert_eq!(walked("eve@fabrikam.com", &listeners[1..]), all);
    }

    #[test]
    fn exit_is_75_only_where_nothing_failed_for_good() {
        let exit = |walks: &[&[StepResult]]| {
            let mut tally = Tally::default();
            for walk in walks {
                tally.count(walk.iter().copied());
            }
            tally.exit()
        };
        use StepResult::{Failed, NotTried, Ok, Temporary};
        assert_eq!(exit(&[&[Ok, Ok]]), Exit::Done);
        assert_eq!(exit(&[&[Ok, Ok], &[Ok, Temporary, NotTried]]), Exit::TryLater);
        assert_eq!(exit(&[&[Temporary, NotTried], &[Ok, Failed]]), Exit::Failed);
        assert_eq!(exit(&[&[Temporary, Failed, NotTried]]), Exit::Failed);
        assert_eq!(exit(&[]), Exit::Failed);
    }
}
