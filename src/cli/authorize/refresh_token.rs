//! `authorize --refresh-token-stdin`: keeps a consent that another program got.
//!
//! In:  a refresh token, one line on standard input. Out: who consented.

use std::io::{self, BufRead, IsTerminal as _};

use super::ending;
use super::show::Show;
use crate::cli::errand::Errand;
use crate::cli::{Exit, line, tell};
use crate::secret::{RefreshToken, SecretString};
use crate::web::control::{Authorize, ConsentKept, Shown};

/// Reads a refresh token and has it kept for `account`.
pub(super) fn run(
    errand: &Errand,
    account: String,
    users: Vec<String>,
    show: Show,
) -> Result<Exit, Exit> {
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
    errand.visit(async |visit| {
        let authorized = visit.ask(&ask).await?;
        let kept = ConsentKept {
            account: ask.account.to_lowercase(),
            user: authorized.user,
            missing: authorized.missing,
            unsaved: authorized.unsaved,
        };
        ending::tell_of(errand, visit, &kept, show).await
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
