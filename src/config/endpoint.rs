//! Endpoints of the file, and the tenant that stands in their place holder.

use std::fmt;

use reqwest::Url;

use super::field::Field;
use super::file::Reported;

/// Stands for the account's `tenant` in an endpoint.
const PLACE_HOLDER: &str = "{tenant}";

/// Longest tenant, in bytes: the longest domain name (RFC 1035 section 2.3.4).
const TENANT_LEN_MAX: usize = 253;

/// The endpoints of a provider.
#[derive(Debug, Clone)]
pub(super) struct Endpoints {
    /// Where tokens are asked for.
    pub(super) token: Endpoint,
    /// Where a consent is given back (RFC 7009).
    pub(super) revocation: Option<Endpoint>,
}

impl Endpoints {
    /// Whether one of them has a place for the tenant.
    pub(super) fn take_tenant(&self) -> bool {
        self.token.takes_tenant() || self.revocation.as_ref().is_some_and(Endpoint::takes_tenant)
    }
}

/// An endpoint that secrets or tokens are sent to, maybe with a place for the tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint(String);

impl Endpoint {
    /// The endpoint of a preset, which is known to be right.
    pub(super) fn preset(url: &str) -> Self {
        Self(url.to_owned())
    }

    /// The endpoint that `field` names.
    pub(super) fn read(field: &Field<'_>) -> Result<Self, Reported> {
        let text = field.text()?;
        // The text is not told: a URL may hold a password.
        let example = "write it as \"https://id.example/token\"";
        let url = Url::parse(&text.replace(PLACE_HOLDER, "tenant"))
            .ok()
            .filter(|_| text.bytes().all(|byte| byte.is_ascii_graphic()))
            .filter(Url::has_host)
            .ok_or_else(|| field.problem("is no URL", example))?;
        if !url.username().is_empty() || url.password().is_some() {
            let help = "leave it out of the URL: client_id and client_secret are sent as such";
            return Err(field.problem("holds a user name or password", help));
        }
        // RFC 6749 section 3.2: the endpoint URI must not include a fragment.
        if url.fragment().is_some() {
            return Err(field.problem("holds a fragment (#)", "leave the fragment out"));
        }
        match url.scheme() {
            "https" => Ok(Self(text.to_owned())),
            "http" if is_loopback(&url) => Ok(Self(text.to_owned())),
            _ => Err(field.problem(
                "is not https, and would show secret and token to the network",
                "write https://; http:// is taken for loopback addresses alone",
            )),
        }
    }

    fn takes_tenant(&self) -> bool {
        self.0.contains(PLACE_HOLDER)
    }

    /// The endpoint with `tenant` in its place, if it has one.
    pub(super) fn of_tenant(&self, tenant: Option<&Tenant>) -> String {
        match tenant {
            Some(tenant) => self.0.replace(PLACE_HOLDER, &tenant.0),
            None => self.0.clone(),
        }
    }
}

/// Whether its host is this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    match address {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host == "localhost",
    }
}

/// The words of Entra for any tenant, any but personal accounts, and personal accounts alone.
const SEVERAL_TENANTS: [&str; 3] = ["common", "organizations", "consumers"];

/// A tenant of Entra, or a word for several: in lower case, and safe within a URL.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tenant(String);

impl Tenant {
    /// The tenant that `field` names.
    pub(super) fn read(field: &Field<'_>) -> Result<Self, Reported> {
        let text = field.text()?;
        if is_guid(text) || is_domain(text) || SEVERAL_TENANTS.contains(&text) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(no_tenant(field, text))
        }
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
