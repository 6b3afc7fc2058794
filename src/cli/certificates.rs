//! `certificates`: an authority of one's own, and a certificate of it for the listeners.
//!
//! Out: `ca.pem`, `ca.key`, `server.pem` and `server.key` in the directory that is named (PEM; keys
//!      for their owner alone), and on standard output what to do with them.
//! Again: an authority that is there is used again, so that devices go on trusting it, and the
//!      server's certificate is made anew, for the names that it had and those that are added.

mod authority;
mod directory;
mod names;
mod report;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

use crate::clock::unix_time;

use self::authority::{Authority, Issued};
use self::directory::Directory;
use self::names::{Name, Names};
use self::report::Report;
use super::{CertificatesArgs, Exit, finish, tell};

/// Makes them.
pub(super) fn run(arguments: &CertificatesArgs) -> Exit {
    match make(&arguments.out, &arguments.names, &host_name()) {
        Ok(report) => finish(report),
        Err(error) => {
            tell(&error);
            error.exit()
        }
    }
}

/// Makes what is missing in the directory `out`, for this machine, whose name is `host`, and for the
/// names `asked`.
fn make(out: &Path, asked: &[String], host: &str) -> Result<Report, CertificatesError> {
    let now = unix_time();
    let asked = asked.iter().map(|text| Name::parse(text)).collect::<Result<Vec<_>, _>>()?;
    let directory = Directory::open(out)?;
    let kept = directory.authority(now)?;
    let mut of_machine = Names::of_this_machine(host);
    if let Some(bases) = kept.as_ref().and_then(Authority::permitted) {
        // The machine may be called otherwise since; nobody asked for that name.
        of_machine.retain(|name| name.is_below(bases));
    }
    let mut names = Names::default();
    names.add(asked);
    names.add(directory.names()?);
    names.add(of_machine);

    let (authority, is_new) = match kept {
        Some(authority) => (authority, false),
        None => (Authority::make(&names, host, now)?, true),
    };
    refuse_strange(&names, &authority, &directory)?;
    // Nothing is written before all of it can be.
    let issued = authority.issue(&names, now)?;
    if is_new {
        directory.keep_authority(&authority)?;
    }
    let Issued { certificate, key, ends_at } = issued;
    directory.keep_server(&certificate, &key)?;
    Ok(Report { directory, authority, is_new, names, ends_at })
}

/// Refuses names that devices would not take from the authority.
fn refuse_strange(
    names: &Names,
    authority: &Authority,
    directory: &Directory,
) -> Result<(), CertificatesError> {
    let Some(bases) = authority.permitted() else { return Ok(()) };
    let refused = names.iter().filter(|name| !name.is_below(bases));
    let refused: Vec<String> = refused.map(ToString::to_string).collect();
    if refused.is_empty() {
        return Ok(());
    }
    let (path, permitted) = (directory.ca_pem(), bases.join(", "));
    Err(CertificatesError::NotPermitted { path, permitted, refused: refused.join(", ") })
}

/// What this machine calls itself.
fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Why there are no certificates.
#[derive(Debug, thiserror::Error)]
enum CertificatesError {
    #[error(
        "--name {text:?} is neither a host name nor an IP address: write what devices enter as \
         their server, without a port; in ASCII (xn--...), and no wildcard"
    )]
    Name { text: String },
    #[error(
        "{path:?} cannot be read ({source}): run this as its owner, or name another directory with \
         --out"
    )]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{path:?} cannot be written ({source}): name a directory of yours with --out")]
    Unwritable { path: PathBuf, source: io::Error },
    #[error(
        "{present:?} is there, and {missing:?} is not: put it back, or name another directory with \
         --out and have the devices trust the new authority"
    )]
    Half { present: PathBuf, missing: PathBuf },
    #[error(
        "{path:?} is open to other users, who could pretend to be any server to the devices: run \
         `chmod 600 {word}` if nobody has it, else name another directory with --out and have the \
         devices trust the new authority"
    )]
    Open { path: PathBuf, word: String },
    #[error(
        "{path:?} {problem}: name another directory with --out, and have the devices trust the new \
         authority"
    )]
    Unusable { path: PathBuf, problem: &'static str },
    #[error(
        "the authority in {path:?} was made for {permitted}, and certificates of it for {refused} \
         are refused: name another directory with --out, and have the devices trust the new \
         authority"
    )]
    NotPermitted { path: PathBuf, permitted: String, refused: String },
    #[error("the certificates cannot be made ({0})")]
    Make(String),
}

impl CertificatesError {
    fn exit(&self) -> Exit {
        match self {
            Self::Name { .. } => Exit::Usage,
            Self::Unreadable { .. }
            | Self::Unwritable { .. }
            | Self::Half { .. }
            | Self::Open { .. }
            | Self::Unusable { .. }
            | Self::NotPermitted { .. }
            | Self::Make(_) => Exit::Failed,
        }
    }
}

/// Of a library that says no to what is right; it happens only when one is broken.
impl From<rcgen::Error> for CertificatesError {
    fn from(error: rcgen::Error) -> Self {
        Self::Make(error.to_string())
    }
}

impl From<x509_cert::der::Error> for CertificatesError {
    fn from(error: x509_cert::der::Error) -> Self {
        Self::Make(error.to_string())
    }
}
