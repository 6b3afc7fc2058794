//! `certificate` and `private_key`: what a listener or the page shows of itself under TLS.

use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use crate::net::tls::server::{CertificateError, CertificateFiles, Half, Shown};
use crate::net::tls::validity::{Standing, Validity};

use super::date::day;
use super::field::Field;
use super::file::Reported;
use super::listeners::At;
use super::secrets::Secrets;
use super::table::Table;

/// How to get the next certificate.
const RENEW: &str = "renew it, for clients refuse one that has ended: run `mailbearer certificates` \
                     again if that made it";

/// The two keys as a table has them, before they are compared.
pub(super) struct Pair<'t> {
    certificate: Result<Option<At<'t, PathBuf>>, Reported>,
    private_key: Result<Option<At<'t, PathBuf>>, Reported>,
}

impl<'t> Pair<'t> {
    /// Takes them out of `table`.
    pub(super) fn take(table: &mut Table<'t>) -> Self {
        Self {
            certificate: table.read("certificate", path),
            private_key: table.read("private_key", path),
        }
    }

    /// Reports those that are written, where there is no use for them.
    pub(super) fn forbid(self, message: &str, help: &str) -> Result<(), Reported> {
        let mut forbidden = Ok(());
        for key in [self.certificate, self.private_key] {
            forbidden = forbidden.and(match key {
                Ok(Some((field, _))) => Err(field.problem(message, help)),
                Ok(None) => Ok(()),
                Err(reported) => Err(reported),
            });
        }
        forbidden
    }

    /// The certificate and its key; none where neither is written. They are read now to see that
    /// they belong together: by those who need them, for others may not be able to read the key.
    pub(super) fn read(self) -> Result<Option<CertificateFiles>, Reported> {
        let (certificate, private_key) = (self.certificate?, self.private_key?);
        let ((field, certificate), (key_field, private_key)) = match (certificate, private_key) {
            (None, None) => return Ok(None),
            (Some(certificate), Some(private_key)) => (certificate, private_key),
            (Some((field, _)), None) => {
                return Err(field.problem(
                    "needs `private_key` beside it",
                    "write private_key = \"PATH\" with the key of this certificate (PEM)",
                ));
            }
            (None, Some((field, _))) => {
                return Err(field.problem(
                    "needs `certificate` beside it",
                    "write certificate = \"PATH\" with the certificate of this key (PEM)",
                ));
            }
        };
        let files = CertificateFiles { certificate, private_key };
        if field.file().secrets() == Secrets::Verify {
            let shown = Shown::read(&files).map_err(|error| refuse(&field, &key_field, error))?;
            if let Some(validity) = shown.validity() {
                warn_of(&field, validity, RENEW);
            }
        }
        Ok(Some(files))
    }
}

/// Warns at `certificate`, which names one, if it is not good now, or not for long; `renew` says how
/// to get the next.
pub(super) fn warn_of(certificate: &Field<'_>, validity: Validity, renew: &str) {
    let Validity { begins_at, ends_at } = validity;
    match validity.standing(certificate.file().now()) {
        Standing::Good => {}
        Standing::Early => certificate.warning(
            format!("names a certificate that is not good before {}", second(begins_at)),
            "set this machine's clock if it is wrong, or wait until then",
        ),
        Standing::EndsSoon => {
            certificate.warning(format!("names a certificate that ends on {}", day(ends_at)), renew)
        }
        Standing::Ended => certificate
            .warning(format!("names a certificate that ended on {}", day(ends_at)), renew),
    }
}

/// A moment since 1970, to the second: that of a certificate made today tells nothing by its day.
fn second(moment: Duration) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + moment).to_string()
}

fn path(field: Field<'_>) -> Result<At<'_, PathBuf>, Reported> {
    let path = field.path()?;
    Ok((field, path))
}

fn refuse(certificate: &Field<'_>, private_key: &Field<'_>, error: CertificateError) -> Reported {
    let of = |half| match half {
        Half::Certificate => certificate,
        Half::PrivateKey => private_key,
    };
    match error {
        CertificateError::Unreadable { half, path, source } => of(half).cannot_read(&path, &source),
        CertificateError::Unusable { half, path, problem, fix } => {
            of(half).problem(format!("names {}, which {problem}", path.display()), fix)
        }
        CertificateError::Mismatch { certificate, .. } => private_key.problem(
            format!("is not the key of the certificate in {}", certificate.display()),
            "name the pair that was issued together, the server's own certificate first in its file",
        ),
        CertificateError::Refused { path, source } => certificate.problem(
            format!("names {}, which cannot be used ({source})", path.display()),
            "take an RSA key of 2048 bits or more, or one on P-256",
        ),
    }
}
