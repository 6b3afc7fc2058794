//! The tenant of an account: whose directory at Entra it is of.

use std::fmt;

use super::field::Field;
use super::file::Reported;

/// Longest tenant, in bytes: the longest domain name (RFC 1035 section 2.3.4).
const TENANT_LEN_MAX: usize = 253;

/// The words of Entra for any tenant, any but personal accounts, and personal accounts alone.
const SEVERAL_TENANTS: [&str; 3] = ["common", "organizations", "consumers"];

/// A tenant of Entra, or a word for several: in lower case, and safe within a URL.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tenant(String);

impl Tenant {
    /// The tenant that `field` names.
    pub(super) fn read(field: &Field<'_>) -> Result<Self, Reported> {
        let text = field.text()?;
        match Self::parse_single(text) {
            Some(tenant) => Ok(tenant),
            None if SEVERAL_TENANTS.contains(&text) => Ok(Self(text.to_owned())),
            None => Err(no_tenant(field, text)),
        }
    }

    /// The tenant in `text`, which is no word for several.
    pub(super) fn parse_single(text: &str) -> Option<Self> {
        (is_guid(text) || is_domain(text)).then(|| Self(text.to_ascii_lowercase()))
    }

    /// What stands where the tenant is not known and nobody is asked: a name that no tenant has
    /// (RFC 2606 section 2).
    pub(super) fn stand_in() -> Self {
        Self("tenant.invalid".to_owned())
    }

    /// The tenant as it stands in a URL.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Reports a word for several tenants, none of which an application could mean.
    pub(super) fn refuse_several(&self, field: &Field<'_>) -> Result<(), Reported> {
        if SEVERAL_TENANTS.contains(&self.0.as_str()) {
            Err(no_tenant(field, &self.0))
        } else {
            Ok(())
        }
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn no_tenant(field: &Field<'_>, text: &str) -> Reported {
    field.problem(
        format!("is {text:?}, which is no tenant"),
        "write the directory (tenant) ID or a domain of the organisation; \"common\" and its like \
         are for people who sign in themselves",
    )
}

fn is_guid(text: &str) -> bool {
    let lens = text.split('-').map(str::len);
    lens.eq([8, 4, 4, 4, 12]) && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte == b'-' || byte.is_ascii_alphanumeric())
    };
    text.len() <= TENANT_LEN_MAX && text.contains('.') && text.split('.').all(label)
}
