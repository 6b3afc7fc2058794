//! The Date and the Message-ID of a message that mailbearer writes or completes.

use std::time::UNIX_EPOCH;

use aws_lc_rs::rand;

use crate::clock::unix_time;
use crate::proto::smtp::Stamp;

/// Random bytes in a Message-ID: as many as in a UUID, so that no two are the same.
const MESSAGE_ID_LEN: usize = 16;

/// The domain of a Message-ID where the sender's address has none that fits.
const NO_DOMAIN: &str = "mailbearer.invalid";

/// Those of a message that is sent now, from an address of `domain`.
pub(super) fn stamp(domain: &str) -> Stamp {
    // RFC 5322 section 3.3 wants the zone in digits; that of HTTP's dates is always GMT.
    let date = httpdate::fmt_http_date(UNIX_EPOCH + unix_time()).replace("GMT", "+0000");
    let mut random = [0_u8; MESSAGE_ID_LEN];
    // Without random numbers there is still the time, to the nanosecond.
    if rand::fill(&mut random).is_err() {
        random = unix_time().as_nanos().to_be_bytes();
    }
    let left: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    // An id-right is a dot-atom (RFC 5322 section 3.6.4); that of a domain in other letters is none.
    let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    let fits = !domain.is_empty() && domain.bytes().all(is_fit);
    let domain = if fits { domain } else { NO_DOMAIN };
    Stamp { date, message_id: format!("<{left}@{domain}>") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_has_a_date_with_its_zone_in_digits_and_an_identifier_of_its_own() {
        let [one, other] = [stamp("contoso.com"), stamp("contoso.com")];
        let date: Vec<&str> = one.date.split(' ').collect();
        assert_eq!((date.len(), date[0].len(), date[5]), (6, 4, "+0000"), "{}", one.date);
        assert!(one.message_id.starts_with('<') && one.message_id.ends_with("@contoso.com>"));
        assert_ne!(one.message_id, other.message_id);
    }

    #[test]
    fn an_identifier_never_holds_a_domain_that_is_no_dot_atom() {
        for domain in ["", "m\u{fc}nchen.example", "[192.0.2.1]", "x>y"] {
            let id = stamp(domain).message_id;
            assert!(id.ends_with("@mailbearer.invalid>") && id.is_ascii(), "{id}");
        }
    }
}
