//! `send-test`: one message of an account through the real path, with the provider's own replies.

use std::path::PathBuf;

use super::errand::Errand;
use super::{Exit, SendTestArgs, finish, print, tell};
use crate::web::control::{SaidRow, SendTest};

/// Sends a test message by the configuration file `named`, or by the one that is found.
pub(super) fn run(named: Option<PathBuf>, arguments: SendTestArgs) -> Exit {
    let SendTestArgs { account, to } = arguments;
    let ask = SendTest { account, to };
    let sent = Errand::load(named).and_then(|errand| {
        errand.visit(async |visit| {
            // Whoever reads no more still gets the exit code.
            visit.listen(&ask, |said| drop(print(told(&said)))).await
        })
    });
    match sent {
        Ok(sent) => {
            if let Some(problem) = sent.unsaved {
                tell(format_args!("warning: the newest refresh token is not written: {problem}"));
            }
            finish(format_args!("the provider has taken the message: {}", sent.reply))
        }
        Err(exit) => exit,
    }
}

/// What was said, as a line.
fn told(said: &SaidRow) -> String {
    match said {
        SaidRow::SignedIn { host, mailbox } => format!("signed in at {host} as {mailbox}"),
        SaidRow::Reply { to, reply } => format!("{to} -> {reply}"),
    }
}
