//! Why a proxy that was reached leads nowhere.

use std::io;

/// That a proxy does not connect to a mail server.
#[derive(Debug, thiserror::Error)]
#[error("the proxy {proxy} (`egress.mail_proxy`), asked for {host}, {problem}")]
pub struct ProxyError {
    /// Its host and port.
    pub proxy: String,
    /// Host and port of the mail server.
    pub host: String,
    /// Why not.
    pub problem: ProxyProblem,
}

/// What a proxy does in place of connecting; the end of a sentence that begins with the proxy.
#[derive(Debug, thiserror::Error)]
pub enum ProxyProblem {
    /// It closed the connection, or the connection broke.
    #[error("broke off the connection ({0}): see its log, and whether it lets this machine in")]
    Broke(#[from] io::Error),
    /// It said nothing in time: mostly because it waits for the mail server itself.
    #[error(
        "did not connect in time: see whether its machine reaches that server, and what is in \
         between"
    )]
    Silent,
    /// What it said is not of the protocol.
    #[error("{0}: check whether it is a proxy of that kind, and the port")]
    Strange(&'static str),
    /// It takes nobody without a name and a password.
    #[error(
        "wants a user name and a password: write them into the URL, {0}://USER:PASSWORD@HOST:PORT"
    )]
    CredentialsWanted(&'static str),
    /// It does not take this name or password.
    #[error("refuses the user name or the password that stand in the URL: correct them")]
    CredentialsRefused,
    /// Its rules do not allow the connection.
    #[error("does not allow that ({0}): have it allow connections to that host and port")]
    Forbidden(String),
    /// It tried, and could not connect.
    #[error("cannot connect ({0}): see whether its machine resolves and reaches that server")]
    Unreachable(String),
}

impl ProxyProblem {
    /// Whether the same may go better later, with nobody doing anything.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Broke(_) | Self::Silent | Self::Unreachable(_) => true,
            Self::Strange(_)
            | Self::CredentialsWanted(_)
            | Self::CredentialsRefused
            | Self::Forbidden(_) => false,
        }
    }
}
