//! Names: what a client calls itself, and which account of the configuration that means.

mod address;
mod patterns;

use std::fmt;

pub use address::{Address, AddressError};
pub use patterns::AccountPatterns;

/// A user name as a client sent it or the file names it: 1 to 320 bytes of UTF-8 (RFC 3696:
/// 64 + 1 + 255), no control characters.
///
/// XOAUTH2 separates its fields by byte 0x01, so a control byte in a name could forge a field.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Username(String);

/// Why some bytes are no user name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a user name is 1 to 320 bytes with no control characters")]
pub struct UsernameError;

impl Username {
    /// Longest user name, in bytes of UTF-8.
    pub const LEN_MAX: usize = 320;

    /// Takes `name` if it is 1 to 320 bytes without control characters.
    ///
    /// # Errors
    /// When it is not.
    pub fn parse(name: &str) -> Result<Self, UsernameError> {
        let fits = (1..=Self::LEN_MAX).contains(&name.len());
        if fits && !name.chars().any(char::is_control) {
            Ok(Self(name.to_owned()))
        } else {
            Err(UsernameError)
        }
    }

    /// Takes a name from the wire: UTF-8, or else Latin-1, which devices older than UTF-8 send.
    ///
    /// # Errors
    /// As [`Username::parse`].
    pub fn from_wire(bytes: &[u8]) -> Result<Self, UsernameError> {
        match std::str::from_utf8(bytes) {
            Ok(name) => Self::parse(name),
            Err(_) => Self::parse(&bytes.iter().copied().map(char::from).collect::<String>()),
        }
    }

    /// The name as it was sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name in lower case: the form in which names are compared and kept.
    #[must_use]
    pub fn folded(&self) -> Self {
        Self(self.0.to_lowercase())
    }

    /// What stands behind the last `@`, if anything does.
    pub fn domain(&self) -> Option<&str> {
        self.0.rsplit_once('@').map(|(_, domain)| domain).filter(|domain| !domain.is_empty())
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no pattern of user names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It is no user name either.
    #[error(transparent)]
    Name(#[from] UsernameError),
    /// A `*` stands in a wrong place.
    #[error(
        "a * stands for a whole name before the @ of a domain, as in *@contoso.com, or nowhere"
    )]
    Star,
}

/// Which user names an account, or a listener's `accounts`, covers. Case is ignored.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AccountPattern {
    /// `alice@contoso.com`: this name alone. Kept folded.
    Exact(Username),
    /// `*@contoso.com`: every name of the domain. The domain alone is kept, folded.
    Domain(String),
}

impl AccountPattern {
    /// Takes `alice@contoso.com`, `alice` or `*@contoso.com`.
    ///
    /// # Errors
    /// When it is no user name, or a `*` stands anywhere but alone before the `@`.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let name = Username::parse(text)?.folded();
        match name.as_str().strip_prefix("*@") {
            Some(domain) if !domain.is_empty() && !domain.contains(['*', '@']) => {
                Ok(Self::Domain(domain.to_owned()))
            }
            Some(_) => Err(PatternError::Star),
            None if name.as_str().contains('*') => Err(PatternError::Star),
            None => Ok(Self::Exact(name)),
        }
    }

    /// Whether this pattern covers `name`. A domain never covers a name with a second `@`, an empty
    /// local part or a `*` in it: such a name is no mailbox of that domain, and may be a pattern.
    pub fn covers(&self, name: &Username) -> bool {
        self.covers_folded(&name.folded())
    }

    /// The same of a name that is folded.
    fn covers_folded(&self, name: &Username) -> bool {
        match self {
            Self::Exact(exact) => exact == name,
            Self::Domain(domain) => domain_of_mailbox(name) == Some(domain),
        }
    }

    /// The patterns that cover `name`: itself, and that of its domain if it is a mailbox of one.
    pub fn covering(name: &Username) -> impl Iterator<Item = Self> {
        let name = name.folded();
        let domain = domain_of_mailbox(&name).map(|domain| Self::Domain(domain.to_owned()));
        [Some(Self::Exact(name)), domain].into_iter().flatten()
    }

    /// Whether some name is covered by both.
    pub fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(name), pattern) | (pattern, Self::Exact(name)) => {
                pattern.covers_folded(name)
            }
            (Self::Domain(one), Self::Domain(two)) => one == two,
        }
    }
}

/// The domain whose pattern covers `name`, which is folded.
fn domain_of_mailbox(name: &Username) -> Option<&str> {
    let (local, domain) = name.as_str().split_once('@')?;
    (!local.is_empty() && !local.contains('*')).then_some(domain)
}

impl fmt::Display for AccountPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name.as_str()),
            Self::Domain(domain) => write!(f, "*@{domain}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_name_with_control_characters_is_refused() {
        for bad in ["", "a\u{1}b", "a\r\nb", "a\0", "a\u{7f}", "a\u{85}b"] {
            assert_eq!(Username::parse(bad), Err(UsernameError), "{bad:?}");
        }
        assert_eq!(Username::parse(&"a".repeat(321)), Err(UsernameError));
        assert!(Username::parse(&"a".repeat(320)).is_ok());
    }

    #[test]
    fn a_latin_1_user_name_is_read_when_it_is_no_utf_8() {
        assert_eq!(Username::from_wire(b"m\xfcller").unwrap().as_str(), "müller");
        assert_eq!(Username::from_wire("müller".as_bytes()).unwrap().as_str(), "müller");
        assert!(Username::from_wire(b"\x85\xff").is_err(), "0x85 is a control character");
    }

    #[test]
    fn a_wildcard_covers_the_mailboxes_of_its_domain_alone() {
        let pattern = AccountPattern::parse("*@Contoso.com").unwrap();
        let covers = |name| pattern.covers(&Username::parse(name).unwrap());
        assert!(covers("alice@contoso.com") && covers("ALICE@CONTOSO.COM"));
        for other in ["alice", "@contoso.com", "a@b@contoso.com", "a@x.contoso.com", "a@ontoso.com"]
        {
            assert!(!covers(other), "{other}");
        }
        // A pattern is no name of a mailbox, or one password would seem to open all of them.
        assert!(!covers("*@contoso.com") && !covers("a*@contoso.com"));
    }

    #[test]
    fn patterns_that_cover_a_name_are_known_by_it() {
        let texts = ["alice@x.example", "*@x.example", "bob@x.example", "*@y.example", "alice"];
        let known = texts.map(|text| AccountPattern::parse(text).unwrap());
        for text in ["Alice@X.example", "alice", "bob@y.example", "a@b@x.example", "@x.example"] {
            let name = Username::parse(text).unwrap();
            let covering: Vec<_> = AccountPattern::covering(&name).collect();
            for pattern in &known {
                assert_eq!(covering.contains(pattern), pattern.covers(&name), "{pattern} {text}");
            }
        }
    }

    #[test]
    fn patterns_overlap_when_one_name_fits_both() {
        let overlap = |one, two| {
            let (one, two) = (AccountPattern::parse(one), AccountPattern::parse(two));
            one.unwrap().overlaps(&two.unwrap())
        };
        assert!(overlap("a@x.example", "A@X.example") && overlap("*@x.example", "*@X.example"));
        assert!(overlap("*@x.example", "a@x.example") && overlap("a@x.example", "*@x.example"));
        assert!(!overlap("*@x.example", "*@y.example") && !overlap("a@x.example", "b@x.example"));
    }

    #[test]
    fn a_star_stands_alone_before_the_at_sign_or_nowhere() {
        for bad in ["*", "*@", "a*@b", "*@*", "*@a@b", "**@b"] {
            assert_eq!(AccountPattern::parse(bad), Err(PatternError::Star), "{bad}");
        }
    }
}
