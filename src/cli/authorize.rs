//! `authorize`: keeps a person's consent for an account, or gives it back.
//!
//! In:  a refresh token, one line on standard input. Out: who consented.

use std::io::{self, BufRead, IsTerminal as _};
use std::path::PathBuf;

use serde_json::json;

use super::errand::Errand;
use super::{AuthorizeArgs, Exit, finish, line, tell};
use crate::secret::{RefreshToken, SecretString};
use crate::web::control::{Authorize, Revoke, RevokedWhere, Shown};

/// Does it by the configuration file `named`, or by the one that is found.
pub(super) fn run(named: Option<PathBuf>, arguments: AuthorizeArgs) -> Exit {
    let AuthorizeArgs { account, refresh_token_stdin, users, revoke, json } = arguments;
    let outcome = if revoke {
        give_back(named, &Revoke { account }, json)
    } else if refresh_token_stdin {
        keep(named, account, users, json)
    } else {
        tell("consent by browser is not built yet");
        tell("  get a refresh token by another program and pipe it in with --refresh-token-stdin");
        Err(Exit::Usage)
    };
    outcome.unwrap_or_else(|exit| exit)
}

fn keep(
    named: Option<PathBuf>,
    account: String,
    users: Vec<String>,
    json: bool,
) -> Result<Exit, Exit> {
    let errand = Errand::load(named)?;
    let stdin = io::stdin().lock();
    if stdin.is_terminal() {
        tell(
            "paste the refresh token and press Enter; it is shown, so clear the screen afterwards",
        );
    }
    let refresh_token = read(stdin).map_err(|error| {
        tell(&error);
        error.exit()
    })?;
    let ask = Authorize { account, refresh_token: Shown(refresh_token), users };
    let authorized = errand.carry_out(&ask)?;
    if let Some(problem) = authorized.unsaved {
        tell(format_args!("warning: the consent is in the relay's memory alone: {problem}"));
        tell("  the relay goes on trying to write it: do not end it before");
    }
    let account = ask.account.to_lowercase();
    Ok(if json {
        finish(json!({"authorized": account, "user": authorized.user}))
    } else {
        match authorized.user {
            Some(user) => finish(format_args!("{account}: the consent of {user} is kept")),
            None => finish(format_args!(
                "{account}: a consent is kept; the provider does not tell whose it is"
            )),
        }
    })
}

fn give_back(named: Option<PathBuf>, ask: &Revoke, json: bool) -> Result<Exit, Exit> {
    let revoked = Errand::load(named)?.carry_out(ask)?;
    if let Some(problem) = revoked.unsaved {
        tell(format_args!("warning: the consent may come back after a restart: {problem}"));
    }
    let account = ask.account.to_lowercase();
    Ok(if json {
        finish(json!({"revoked": account, "where": revoked.revoked}))
    } else {
        finish(match revoked.revoked {
            RevokedWhere::AtProvider => format!("{account}: the consent was given back"),
            RevokedWhere::HereAlone => format!(
                "{account}: the consent is forgotten here; the provider has no endpoint to give \
                 it back, so end it on the provider's page of connected applications"
            ),
            RevokedWhere::NothingKept => format!("{account}: no consent was kept"),
        })
    })
}

/// Why there is no refresh token.
#[derive(Debug, thiserror::Error)]
enum InputError {
    #[error("standard input holds no refresh token: pipe in one line")]
    Empty,
    #[error("the refresh token is longer than 65,536 characters: pipe in the token alone")]
    TooLong,
    #[error("the refresh token holds other than printable ASCII: pipe in the token alone")]
    Unprintable,
    #[error("standard input cannot be read ({0})")]
    Unreadable(#[from] io::Error),
}

impl InputError {
    fn exit(&self) -> Exit {
        match self {
            Self::Empty | Self::TooLong | Self::Unprintable => Exit::Usage,
            Self::Unreadable(_) => Exit::Failed,
        }
    }
}

fn read(from: impl BufRead) -> Result<SecretString, InputError> {
    let line = line::read(from, RefreshToken::LEN_MAX)?;
    let token = std::str::from_utf8(&line).map_err(|_| InputError::Unprintable)?.trim();
    match token.len() {
        0 => Err(InputError::Empty),
        1..=RefreshToken::LEN_MAX if RefreshToken::parse(token).is_some() => {
            Ok(SecretString::from(token))
        }
        1..=RefreshToken::LEN_MAX => Err(InputError::Unprintable),
        _ => Err(InputError::TooLong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::ExposeSecret as _;

    #[test]
    fn refresh_token_is_the_first_line_without_blanks_around_it() {
        for input in [&b"0.AX-y_z"[..], b"0.AX-y_z\n", b" 0.AX-y_z \r\n", b"0.AX-y_z\nmore\n"] {
            assert_eq!(read(input).unwrap().expose_secret(), "0.AX-y_z");
        }
        let longest = "x".repeat(RefreshToken::LEN_MAX) + "\r\n";
        assert_eq!(read(longest.as_bytes()).unwrap().expose_secret().len(), 65_536);
    }

    #[test]
    fn refresh_token_is_refused_when_it_can_be_none() {
        for empty in [&b""[..], b"\n", b" \r\n", b"\ntoken\n"] {
            assert!(matches!(read(empty), Err(InputError::Empty)));
        }
        for other in [&b"a\0b"[..], b"a\tb\n", b"\xff\n", "ä".as_bytes()] {
            assert!(matches!(read(other), Err(InputError::Unprintable)));
        }
        assert!(matches!(read(&[b'x'; 65_537][..]), Err(InputError::TooLong)));
        assert!(matches!(read(&[b'x'; 1_000_000][..]), Err(InputError::TooLong)));
    }
}
