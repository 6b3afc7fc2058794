//! An address that a message is from or to, where mailbearer writes it.
//!
//! Sources: RFC 5321 sections 4.1.2 (Dot-string, Domain) and 4.5.3.1 (lengths), RFC 5322 section
//! 3.2.3 (the same local part stands in a header without quotes).
//! In: what somebody typed. Out: an address that can stand in a command and in a header as it is.

use std::fmt;

/// `local@domain` in ASCII, without quotes, comments or literals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(String);

/// Why a text is no [`Address`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// There is not just one `@` in it.
    #[error("an address has one @: alice@contoso.com")]
    At,
    /// What stands before the `@` is no Dot-string.
    #[error(
        "what stands before the @ is 1 to 64 letters, digits, dots and other signs that need no \
         quotes, and begins with no hyphen"
    )]
    LocalPart,
    /// What stands behind the `@` is no Domain.
    #[error(
        "what stands behind the @ is a domain of letters, digits, dots and hyphens, one with other \
         letters in the form xn--"
    )]
    Domain,
    /// It has more than [`Address::LEN_MAX`] bytes.
    #[error("an address has at most 254 characters")]
    Length,
}

impl Address {
    /// Longest address, in bytes: a path has 256 with its brackets (RFC 5321 section 4.5.3.1.3).
    pub const LEN_MAX: usize = 254;

    /// Takes `text` if it is an address that needs no quotes.
    ///
    /// One that begins with a hyphen is refused, which RFC 5321 allows: it is a mistyped option.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let (local, domain) = text.split_once('@').ok_or(AddressError::At)?;
        if domain.contains('@') {
            return Err(AddressError::At);
        }
        let is_atom = |atom: &str| !atom.is_empty() && atom.bytes().all(is_atext);
        let is_short = local.len() <= LOCAL_PART_LEN_MAX;
        if !is_short || local.starts_with('-') || !local.split('.').all(is_atom) {
            return Err(AddressError::LocalPart);
        }
        if !domain.split('.').all(is_label) {
            return Err(AddressError::Domain);
        }
        if text.len() > Self::LEN_MAX {
            return Err(AddressError::Length);
        }
        Ok(Self(text.to_owned()))
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands behind the `@`.
    pub fn domain(&self) -> &str {
        self.0.split_once('@').map_or("", |(_, domain)| domain)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Longest local part, in bytes (RFC 5321 section 4.5.3.1.1).
const LOCAL_PART_LEN_MAX: usize = 64;

/// Longest label of a domain, in bytes (RFC 1035 section 2.3.4).
const LABEL_LEN_MAX: usize = 63;

/// RFC 5322 section 3.2.3.
fn is_atext(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte)
}

/// RFC 5321 section 4.1.2: `sub-domain = Let-dig [Ldh-str]`, which ends with no hyphen.
fn is_label(label: &str) -> bool {
    let is_ldh = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=LABEL_LEN_MAX).contains(&label.len())
        && label.bytes().all(is_ldh)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_is_taken_when_it_needs_no_quotes() {
        let longest = format!("{}@x", "a".repeat(64));
        for good in ["alice@contoso.com", "a.b+c@x-y.example", "o'neil@localhost", "1@1", &longest]
        {
            let address = Address::parse(good).unwrap();
            assert_eq!(address.as_str(), good);
        }
        assert_eq!(Address::parse("a@b.example").unwrap().domain(), "b.example");
    }

    #[test]
    fn address_is_refused_when_it_could_forge_a_command_or_a_header() {
        for bad in [
            "a@b\r\nRCPT TO:<c@d>",
            "a\r\n@b",
            "a@b\n",
            "a@b>",
            "<a@b",
            "a b@c",
            "a@b c",
            "a,b@c",
            "\"a\"@b",
            "a\0@b",
            "a\u{7f}@b",
            "a(b)@c",
            "a@[127.0.0.1]",
        ] {
            assert!(Address::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn address_is_refused_with_what_is_wrong_with_it() {
        let domain = format!("{0}.{0}.{0}.{1}", "d".repeat(60), "d".repeat(13));
        let too_long = format!("{}@{domain}", "a".repeat(59));
        assert_eq!(too_long.len(), Address::LEN_MAX + 2);
        for (bad, error) in [
            ("", AddressError::At),
            ("alice", AddressError::At),
            ("a@b@c", AddressError::At),
            ("@b", AddressError::LocalPart),
            ("a..b@c", AddressError::LocalPart),
            (".a@b", AddressError::LocalPart),
            ("--to@b", AddressError::LocalPart),
            ("m\u{fc}ller@b", AddressError::LocalPart),
            (&format!("{}@x", "a".repeat(65)), AddressError::LocalPart),
            ("a@", AddressError::Domain),
            ("a@b.", AddressError::Domain),
            ("a@-b", AddressError::Domain),
            ("a@b-", AddressError::Domain),
            ("a@m\u{fc}ller.example", AddressError::Domain),
            (&format!("a@{}", "b".repeat(64)), AddressError::Domain),
            (&too_long, AddressError::Length),
        ] {
            assert_eq!(Address::parse(bad), Err(error), "{bad}");
        }
        assert!(Address::parse(&too_long[2..]).is_ok());
    }
}
