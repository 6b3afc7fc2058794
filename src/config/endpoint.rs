//! Endpoints of the file, and the place holder that stands for the tenant in them.

use reqwest::Url;

use crate::oauth::is_loopback;
use crate::provider::GrantKind;

use super::field::Field;
use super::file::Reported;
use super::tenant::Tenant;

/// Stands for the account's `tenant` in an endpoint.
const PLACE_HOLDER: &str = "{tenant}";

/// The hosts at which Entra gives tokens, one for each of its clouds (Microsoft's "National clouds
/// authentication endpoints").
const ENTRA_HOSTS: [&str; 3] =
    ["login.microsoftonline.com", "login.microsoftonline.us", "login.partner.microsoftonline.cn"];

/// The endpoints of a provider, as a preset or the file names them.
#[derive(Debug, Clone, Default)]
pub(super) struct Endpoints {
    /// Its issuer identifier.
    pub(super) issuer: Option<Endpoint>,
    /// Whether the file names the issuer, which then tells the endpoints that are not named.
    pub(super) is_discovered: bool,
    /// Whether its authorization responses must name the issuer (RFC 9207).
    pub(super) tells_issuer: bool,
    /// Where tokens are asked for.
    pub(super) token: Option<Endpoint>,
    /// Where a person consents.
    pub(super) authorization: Option<Endpoint>,
    /// Where the device flow begins (RFC 8628).
    pub(super) device_authorization: Option<Endpoint>,
    /// Where a consent is given back (RFC 7009).
    pub(super) revocation: Option<Endpoint>,
}

impl Endpoints {
    /// Whether one of them has a place for the tenant.
    pub(super) fn take_tenant(&self) -> bool {
        let all = [
            &self.issuer,
            &self.token,
            &self.authorization,
            &self.device_authorization,
            &self.revocation,
        ];
        all.into_iter().flatten().any(Endpoint::takes_tenant)
    }

    /// Whether a grant of `kind` asks at one that has a place for the tenant. Who consents elsewhere
    /// does not need the others: they are left out where there is no tenant.
    pub(super) fn need_tenant(&self, kind: GrantKind) -> bool {
        let issuer = self.issuer.as_ref().filter(|_| self.is_discovered);
        let token = self.token.as_ref().or(issuer);
        let device = self.device_authorization.as_ref().or(issuer);
        let device = device.filter(|_| kind == GrantKind::DeviceCode);
        token.into_iter().chain(device).any(Endpoint::takes_tenant)
    }

    /// Whether tokens are asked of Entra.
    pub(super) fn are_of_entra(&self) -> bool {
        let asked = self.token.as_ref().or(self.issuer.as_ref());
        asked.and_then(Endpoint::host).is_some_and(|host| ENTRA_HOSTS.contains(&host.as_str()))
    }
}

/// An endpoint that secrets or tokens are sent to, maybe with a place for the tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint(String);

impl Endpoint {
    /// The endpoint of a preset, which is known to be right.
    pub(super) fn preset(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The endpoint that `field` names.
    pub(super) fn read(field: &Field<'_>) -> Result<Self, Reported> {
        let endpoint = Self::read_in_clear(field)?;
        endpoint.refuse_in_clear(field)?;
        Ok(endpoint)
    }

    /// The endpoint that `field` names, which may be one that is asked in clear: whoever uses it
    /// has to look, by [`Self::refuse_in_clear`].
    pub(super) fn read_in_clear(field: &Field<'_>) -> Result<Self, Reported> {
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
        // RFC 6749 sections 3.1 and 3.2: an endpoint URI must not include a fragment.
        if url.fragment().is_some() {
            return Err(field.problem("holds a fragment (#)", "leave the fragment out"));
        }
        match url.scheme() {
            "https" | "http" => Ok(Self(text.to_owned())),
            _ => Err(in_clear(field)),
        }
    }

    /// The issuer identifier that `field` names.
    pub(super) fn read_issuer(field: &Field<'_>) -> Result<Self, Reported> {
        let issuer = Self::read(field)?;
        // RFC 8414 section 2: no query and no fragment components.
        if issuer.0.contains('?') {
            let help = "write the issuer as its own metadata names it, character by character";
            return Err(field.problem("holds a query (?), which no issuer has", help));
        }
        Ok(issuer)
    }

    /// Reports this endpoint, which `field` names, if it would be asked in clear over a network.
    pub(super) fn refuse_in_clear(&self, field: &Field<'_>) -> Result<(), Reported> {
        let url = self.url();
        if url.is_some_and(|url| url.scheme() == "https" || is_loopback(&url)) {
            Ok(())
        } else {
            Err(in_clear(field))
        }
    }

    /// The endpoint with `tenant` in its place, if it has one; none where the tenant is missing.
    pub(super) fn of_tenant(&self, tenant: Option<&Tenant>) -> Option<String> {
        match tenant {
            Some(tenant) => Some(self.0.replace(PLACE_HOLDER, tenant.as_str())),
            None => (!self.takes_tenant()).then(|| self.0.clone()),
        }
    }

    /// The same path at another `origin`: scheme and host, without a slash at its end.
    pub(super) fn at(&self, origin: &str) -> Self {
        let path = self.0.splitn(4, '/').nth(3).unwrap_or_default();
        Self(format!("{origin}/{path}"))
    }

    fn takes_tenant(&self) -> bool {
        self.0.contains(PLACE_HOLDER)
    }

    fn host(&self) -> Option<String> {
        self.url()?.host_str().map(str::to_owned)
    }

    fn url(&self) -> Option<Url> {
        Url::parse(&self.0.replace(PLACE_HOLDER, "tenant")).ok()
    }
}

fn in_clear(field: &Field<'_>) -> Reported {
    field.problem(
        "is not https, and would show secret and token to the network",
        "write https://; http:// is taken for loopback addresses alone, and as token_endpoint of \
         managed identities",
    )
}

/// The origin that `text` is, without a slash at its end: https, or http at a loopback address.
pub(super) fn origin(text: &str) -> Option<&str> {
    let url = Url::parse(text).ok()?;
    let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let is_anonymous = url.username().is_empty() && url.password().is_none();
    let is_safe = url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url));
    let is_origin = is_bare && is_anonymous && is_safe && url.has_host();
    is_origin.then(|| text.trim_end_matches('/'))
}
