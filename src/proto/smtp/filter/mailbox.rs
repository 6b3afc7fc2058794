//! The address that a sender becomes.

use std::fmt;

use crate::names::Username;

/// An address that may stand in MAIL FROM and in From: as it is: ASCII, one `@`, atoms and dots on
/// both sides of it, at most 320 bytes.
///
/// One beyond ASCII is none: it would need SMTPUTF8 (RFC 6531) in each transaction, which the devices
/// that senders are rewritten for do not ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox(String);

impl Mailbox {
    /// Takes `name` if it is such an address.
    pub fn parse(name: &Username) -> Option<Self> {
        let (local_part, domain) = name.as_str().split_once('@')?;
        let local_part_fits = !local_part.is_empty() && local_part.bytes().all(is_atext_or_dot);
        let is_of_domain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let domain_fits = !domain.is_empty() && domain.bytes().all(is_of_domain);
        (local_part_fits && domain_fits).then(|| Self(name.as_str().to_owned()))
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `atext` of RFC 5322 section 3.2.3, or the dot of a dot-atom.
fn is_atext_or_dot(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mailbox_is_an_address_that_needs_no_quoting() {
        let parse = |name: &str| Mailbox::parse(&Username::parse(name).unwrap());
        for name in ["a@b", "Scan.2+x_y-z@Contoso.COM", "o'hara@x.example", "a.@x_y.example"] {
            assert_eq!(parse(name).unwrap().as_str(), name);
        }
        for bad in [
            "scanner",
            "@b",
            "a@",
            "a@b@c",
            "a b@c",
            "a@b c",
            "a>@b",
            "<a@b>",
            "\"a\"@b",
            "a,b@c",
            "a@[127.0.0.1]",
            "a(x)@b",
            "a\\@b",
            "a@b>",
            "m\u{fc}ller@b",
            "a@m\u{fc}ller.example",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
