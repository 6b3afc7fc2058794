//! From when until when a certificate is good, and what there is to tell of that.

use std::time::Duration;

use rustls::pki_types::CertificateDer;
use x509_cert::der::Decode as _;

/// How long before its end a certificate is warned of: whoever has to renew it may be away for some
/// weeks, and a client of ACME does it 30 days before by itself.
pub const ENDS_SOON: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The time in which a certificate is good (RFC 5280 section 4.1.2.5), since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// `notBefore`.
    pub begins_at: Duration,
    /// `notAfter`.
    pub ends_at: Duration,
}

/// What a moment is to a [`Validity`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It has not begun.
    Early,
    /// It has begun, and its end is far.
    Good,
    /// It ends within [`ENDS_SOON`].
    EndsSoon,
    /// It is over.
    Ended,
}

impl Validity {
    /// That of `certificate`, if it can be read.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let parsed = x509_cert::Certificate::from_der(certificate).ok()?;
        Some(parsed.tbs_certificate().validity().into())
    }

    /// What `now`, since 1970, is to it.
    pub fn standing(&self, now: Duration) -> Standing {
        if self.ends_at <= now {
            Standing::Ended
        } else if now < self.begins_at {
            Standing::Early
        } else if self.ends_at.saturating_sub(now) <= ENDS_SOON {
            Standing::EndsSoon
        } else {
            Standing::Good
        }
    }
}

impl From<&x509_cert::time::Validity> for Validity {
    fn from(validity: &x509_cert::time::Validity) -> Self {
        Self {
            begins_at: validity.not_before.to_unix_duration(),
            ends_at: validity.not_after.to_unix_duration(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn standing_changes_with_the_first_second_the_last_30_days_and_the_end() {
        let (begins_at, ends_at) = (ENDS_SOON, ENDS_SOON * 4);
        let validity = Validity { begins_at, ends_at };
        let soon = ends_at - ENDS_SOON;
        for (now, standing) in [
            (Duration::ZERO, Standing::Early),
            (begins_at - SECOND, Standing::Early),
            (begins_at, Standing::Good),
            (soon - SECOND, Standing::Good),
            (soon, Standing::EndsSoon),
            (ends_at - SECOND, Standing::EndsSoon),
            (ends_at, Standing::Ended),
            (Duration::MAX, Standing::Ended),
        ] {
            assert_eq!(validity.standing(now), standing, "{now:?}");
        }
    }

    #[test]
    fn standing_of_a_time_that_ends_before_it_begins_is_ended() {
        let validity = Validity { begins_at: 2 * SECOND, ends_at: SECOND };
        assert_eq!(validity.standing(SECOND), Standing::Ended);
        assert_eq!(validity.standing(Duration::ZERO), Standing::Early);
    }
}
