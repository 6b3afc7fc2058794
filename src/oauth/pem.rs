//! PEM (RFC 7468): the first certificate or private key of a text, or what stands there instead.
//!
//! In:  what a [`SecretSource`] holds: bounded, UTF-8. Text around the blocks, CRLF, indentation and
//!      line ends written as `\n`, as JSON has them, do no harm.
//! Out: DER that nobody has looked into, or what to do about the text. Nothing of it is told.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use super::key_problem::{Flaw, KeyPart, KeyProblem};
use crate::secret::{ExposeSecret as _, SecretError, SecretFileError, SecretSource};

/// Reads `source` and has `parse` look into it. May block.
///
/// # Errors
/// When it cannot be read, or `parse` finds a flaw.
pub(super) fn read<T>(
    part: KeyPart,
    source: &SecretSource,
    parse: impl FnOnce(&str) -> Result<T, Flaw>,
) -> Result<T, KeyProblem> {
    let text = source.read().map_err(|error| match binary_flaw(part, &error) {
        Some(flaw) => KeyProblem::of(part, source, flaw),
        None => KeyProblem::unread(part, &error),
    })?;
    parse(text.expose_secret()).map_err(|flaw| KeyProblem::of(part, source, flaw))
}

/// The first certificate of `text`.
///
/// # Errors
/// When there is none that can be decoded.
pub(super) fn certificate(text: &str) -> Result<CertificateDer<'static>, Flaw> {
    let lines = lines(text);
    CertificateDer::from_pem_slice(lines.as_bytes()).map_err(|_| {
        flaw_in(&lines, &NO_CERTIFICATE).unwrap_or_else(|| {
            let fix = "it must contain -----BEGIN CERTIFICATE-----";
            Flaw::halfway("holds no certificate", fix)
        })
    })
}

/// The first private key of `text` that is not encrypted.
///
/// # Errors
/// When there is none that can be decoded.
pub(super) fn private_key(text: &str) -> Result<Zeroizing<PrivateKeyDer<'static>>, Flaw> {
    let lines = lines(text);
    let key = PrivateKeyDer::from_pem_slice(lines.as_bytes()).map(Zeroizing::new);
    key.map_err(|_| {
        flaw_in(&lines, &NO_PRIVATE_KEY).unwrap_or_else(|| {
            let fix = "it must contain -----BEGIN PRIVATE KEY-----";
            Flaw::halfway("holds no private key", fix)
        })
    })
}

/// `text` in plain lines.
fn lines(text: &str) -> Zeroizing<String> {
    // With room for all of it from the start, no copy is left behind where it grew.
    let mut lines = Zeroizing::new(String::with_capacity(text.len() + 1));
    let text = text.trim_start_matches('\u{feff}');
    for line in text.split(['\r', '\n']).flat_map(|line| line.split(r"\n")) {
        let line = line.trim();
        if !line.is_empty() {
            lines.push_str(line);
            lines.push('\n');
        }
    }
    lines
}

/// What a text holds instead of what was looked for.
struct Instead {
    /// What tells it.
    mark: &'static str,
    problem: &'static str,
    fix: &'static str,
}

const PKCS12_FIX: &str = "convert it: openssl pkcs12 -in app.pfx -out app.pem -nodes, and name app.pem as both \
     `certificate` and `private_key`";

const ENCRYPTED: &str = "is encrypted, and there is nobody to ask for its passphrase";

const ENCRYPTED_FIX: &str =
    "store it in clear, readable for mailbearer alone: openssl pkey -in enc.key -out app.key";

/// What stands where a private key should, from the most particular to the most general.
const NO_PRIVATE_KEY: [Instead; 6] = [
    Instead {
        mark: "-----BEGIN ENCRYPTED PRIVATE KEY-----",
        problem: ENCRYPTED,
        fix: ENCRYPTED_FIX,
    },
    // OpenSSL's own form from before PKCS#8 (RFC 1421 section 4.6.1.1).
    Instead { mark: "Proc-Type: 4,ENCRYPTED", problem: ENCRYPTED, fix: ENCRYPTED_FIX },
    Instead {
        mark: "-----BEGIN OPENSSH PRIVATE KEY-----",
        problem: "is an OpenSSH key",
        fix: "convert it: ssh-keygen -p -m PKCS8 -f FILE",
    },
    Instead {
        mark: "PRIVATE KEY-----",
        problem: "is damaged PEM",
        fix: "export the key again, and keep its line ends",
    },
    Instead {
        mark: "-----BEGIN PUBLIC KEY-----",
        problem: "is a public key",
        fix: "name the private key that belongs to it",
    },
    Instead {
        mark: "-----BEGIN CERTIFICATE-----",
        problem: "holds a certificate and no private key",
        fix: "name the private key that belongs to it",
    },
];

/// What stands where a certificate should, likewise.
const NO_CERTIFICATE: [Instead; 5] = [
    Instead {
        mark: "-----BEGIN CERTIFICATE-----",
        problem: "is damaged PEM",
        fix: "export the certificate again, and keep its line ends",
    },
    Instead {
        mark: "-----BEGIN PKCS7-----",
        problem: "is a PKCS#7 file",
        fix: "convert it: openssl pkcs7 -in app.p7b -print_certs -out app.pem",
    },
    Instead {
        mark: "REQUEST-----",
        problem: "is a request for a certificate",
        fix: "name the certificate that was made from it",
    },
    Instead {
        mark: "PRIVATE KEY-----",
        problem: "holds a private key and no certificate",
        fix: "name the certificate that belongs to it",
    },
    Instead {
        mark: "-----BEGIN PUBLIC KEY-----",
        problem: "is a bare public key",
        fix: "name the certificate, or leave `certificate` out and write `key_id`",
    },
];

/// What `lines` hold instead of what was looked for, if that is known.
fn flaw_in(lines: &str, known: &[Instead]) -> Option<Flaw> {
    if let Some(instead) = known.iter().find(|instead| lines.contains(instead.mark)) {
        let flaw = Flaw::lasting(instead.problem, instead.fix);
        // A file that is being written lacks its end.
        return Some(Flaw { may_be_halfway: instead.problem == "is damaged PEM", ..flaw });
    }
    // DER begins with a SEQUENCE of more than 255 bytes, in base64 `MI`: Azure Key Vault hands
    // PKCS#12 out so.
    (!lines.contains("-----") && lines.starts_with("MI")).then(|| {
        Flaw::lasting(
            "is base64 without PEM's first and last line",
            format!(
                "if it is a PKCS#12 of Azure Key Vault: openssl base64 -d -A -in FILE -out \
                 app.pfx; then {PKCS12_FIX}"
            ),
        )
    })
}

/// What is wrong with a file that is no text because it is DER.
fn binary_flaw(part: KeyPart, error: &SecretError) -> Option<Flaw> {
    let SecretError::File(SecretFileError::Unusable { path, .. }) = error else { return None };
    match (Binary::of(path)?, part) {
        (_, KeyPart::KeyFile) => {
            let fix = "make a key of the type JSON in Google Cloud's console";
            Some(Flaw::lasting("is no JSON file", fix))
        }
        (Binary::Pkcs12, KeyPart::Certificate | KeyPart::PrivateKey) => {
            Some(Flaw::lasting("is a PKCS#12 file", PKCS12_FIX))
        }
        (Binary::Der, KeyPart::Certificate) => Some(Flaw::lasting(
            "is DER",
            "convert it: openssl x509 -inform der -in app.cer -out app.pem",
        )),
        (Binary::Der, KeyPart::PrivateKey) => Some(Flaw::lasting(
            "is DER",
            "convert it: openssl pkey -inform der -in app.der -out app.key",
        )),
    }
}

/// What is in a file that is no text.
enum Binary {
    /// PFX (RFC 7292 section 4): a SEQUENCE that begins with the version, 3.
    Pkcs12,
    /// Some other SEQUENCE: a certificate, a key.
    Der,
}

impl Binary {
    /// Looks at the beginning of the file at `path`.
    fn of(path: &Path) -> Option<Self> {
        // Opening a pipe would wait for somebody to write into it, maybe for ever.
        fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        let mut beginning = [0; 8];
        let len = File::open(path).ok()?.read(&mut beginning).ok()?;
        // A SEQUENCE and its length in the forms of X.690 section 8.1.3.
        let content = match beginning.get(..len)? {
            [0x30, 0x82, _, _, content @ ..]
            | [0x30, 0x83, _, _, _, content @ ..]
            | [0x30, 0x81, _, content @ ..]
            | [0x30, 0..=0x80, content @ ..] => content,
            _ => return None,
        };
        Some(if content.starts_with(&[0x02, 0x01, 0x03]) { Self::Pkcs12 } else { Self::Der })
    }
}
