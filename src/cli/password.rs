//! `password`: a local password, made ([`made`]) or hashed.
//!
//! `--hash`: a local password as the configuration file wants it.
//! In:  one line on standard input, 1 to [`PASSWORD_LEN_MAX`] bytes. Out: its Argon2id PHC string.

pub(super) mod made;

use std::io::{self, BufRead, IsTerminal as _};

use argon2::password_hash::PasswordHasher as _;
use argon2::{Algorithm, Argon2, Params, Version};
use zeroize::Zeroizing;

use super::{Exit, finish, line, tell};

/// Longest password, in bytes, the line end not counted.
const PASSWORD_LEN_MAX: usize = 1024;

/// Memory in KiB, passes and lanes of Argon2id: the second choice of OWASP's Password Storage Cheat
/// Sheet (19 MiB, 2, 1), which takes some 20 ms and little memory on a small machine.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Reads a password and prints its hash.
pub(super) fn run() -> Exit {
    let stdin = io::stdin().lock();
    if stdin.is_terminal() {
        tell("type the password and press Enter; it is shown as you type");
    }
    let hash = read(stdin).and_then(|password| hash(&password));
    let hash = match hash {
        Ok(hash) => hash,
        Err(error) => {
            tell(&error);
            return error.exit();
        }
    };
    finish(hash)
}

/// Why there is no hash.
#[derive(Debug, thiserror::Error)]
enum PasswordError {
    #[error("standard input holds no password: type or pipe in one line")]
    Empty,
    #[error("the password is longer than 1,024 bytes: choose a shorter one")]
    TooLong,
    #[error("the password holds a NUL, which no mail client can send: choose another")]
    Nul,
    #[error("standard input cannot be read ({0})")]
    Unreadable(#[from] io::Error),
    #[error("the password cannot be hashed ({0})")]
    Hash(argon2::password_hash::Error),
}

impl PasswordError {
    fn exit(&self) -> Exit {
        match self {
            Self::Empty | Self::TooLong | Self::Nul => Exit::Usage,
            Self::Unreadable(_) | Self::Hash(_) => Exit::Failed,
        }
    }
}

fn read(from: impl BufRead) -> Result<Zeroizing<Vec<u8>>, PasswordError> {
    let line = line::read(from, PASSWORD_LEN_MAX)?;
    if line.is_empty() {
        Err(PasswordError::Empty)
    } else if line.len() > PASSWORD_LEN_MAX {
        Err(PasswordError::TooLong)
    } else if line.contains(&0) {
        // RFC 4616 section 2: NUL separates the fields of PLAIN.
        Err(PasswordError::Nul)
    } else {
        Ok(line)
    }
}

fn hash(password: &[u8]) -> Result<String, PasswordError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)
        .map_err(|error| PasswordError::Hash(error.into()))?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash = argon2.hash_password(password).map_err(PasswordError::Hash)?;
    Ok(hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_bytes(bytes: &[u8]) -> Result<Vec<u8>, PasswordError> {
        read(bytes).map(|line| line.to_vec())
    }

    #[test]
    fn a_password_is_the_first_line_without_its_end() {
        for input in [&b"pa ss"[..], b"pa ss\n", b"pa ss\r\n", b"pa ss\nmore\n"] {
            assert_eq!(read_bytes(input).unwrap(), b"pa ss");
        }
        assert_eq!(read_bytes(b" \xe9 \n").unwrap(), b" \xe9 ", "blanks and bytes are kept");
    }

    #[test]
    fn a_password_of_1024_bytes_is_the_longest() {
        for end in ["", "\n", "\r\n"] {
            let longest = [&[b'x'; 1024][..], end.as_bytes()].concat();
            assert_eq!(read_bytes(&longest).unwrap().len(), 1024);
            let longer = [&[b'x'; 1025][..], end.as_bytes()].concat();
            assert!(matches!(read_bytes(&longer), Err(PasswordError::TooLong)));
        }
        assert!(matches!(read_bytes(&[b'x'; 100_000]), Err(PasswordError::TooLong)));
    }

    #[test]
    fn a_password_that_no_client_can_send_is_refused() {
        for input in [&b""[..], b"\n", b"\r\n", b"\npassword\n"] {
            assert!(matches!(read_bytes(input), Err(PasswordError::Empty)));
        }
        assert!(matches!(read_bytes(b"a\0b\n"), Err(PasswordError::Nul)));
    }
}
