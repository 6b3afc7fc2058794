//! The document in which an issuer tells its endpoints (RFC 8414 section 2).

use std::net::IpAddr;

use oauth2::url::{Host, Url};
use serde::Deserialize;

use crate::oauth::route::is_loopback;
use crate::proto::printable;

/// Longest foreign issuer or endpoint shown in an error, in bytes.
const SHOWN_LEN_MAX: usize = 200;

/// How Entra writes the tenant in the document that it gives for several.
const TENANT_PLACE: &str = "{tenantid}";

/// What is used of a document.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Document {
    pub(super) token: Option<Url>,
    pub(super) authorization: Option<Url>,
    pub(super) device_authorization: Option<Url>,
    pub(super) revocation: Option<Url>,
    /// `authorization_response_iss_parameter_supported` (RFC 9207 section 3).
    pub(super) tells_issuer: bool,
}

/// Why nothing of a document is used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// It is none: a page for people, maybe.
    NoMetadata,
    /// What it tells must not be used.
    Unfit {
        /// What is wrong, in a clause.
        cause: String,
        /// What to do, in a clause.
        fix: String,
    },
}

/// The members that are looked at, of whatever else there is.
#[derive(Deserialize)]
struct Members {
    issuer: String,
    token_endpoint: Option<String>,
    authorization_endpoint: Option<String>,
    device_authorization_endpoint: Option<String>,
    revocation_endpoint: Option<String>,
    authorization_response_iss_parameter_supported: Option<bool>,
}

impl Document {
    /// Reads `body`, which came from `issuer` as the configuration writes it; `parsed` is the same.
    ///
    /// # Errors
    /// When nothing of it may be used.
    pub(super) fn read(body: &[u8], parsed: &Url, issuer: &str) -> Result<Self, Unread> {
        let members: Members = serde_json::from_slice(body).map_err(|_| Unread::NoMetadata)?;
        if members.issuer != issuer {
            return Err(mistaken(issuer, &members.issuer));
        }
        let take = |name: &'static str, url: Option<String>| {
            url.map(|url| endpoint(parsed, name, &url)).transpose()
        };
        Ok(Self {
            token: take("token_endpoint", members.token_endpoint)?,
            authorization: take("authorization_endpoint", members.authorization_endpoint)?,
            device_authorization: take(
                "device_authorization_endpoint",
                members.device_authorization_endpoint,
            )?,
            revocation: take("revocation_endpoint", members.revocation_endpoint)?,
            tells_issuer: members.authorization_response_iss_parameter_supported == Some(true),
        })
    }
}

/// The document is another issuer's.
fn mistaken(issuer: &str, told: &str) -> Unread {
    let shown = printable(told.as_bytes(), SHOWN_LEN_MAX);
    let cause = format!("the document of the issuer {issuer:?} is that of {shown:?}");
    let fix = if told.contains(TENANT_PLACE) {
        "write the tenant's own `issuer`, with the directory (tenant) ID in place of common or \
         organizations, or leave it out and write the endpoints one by one"
            .to_owned()
    } else if told.trim_end_matches('/') == issuer.trim_end_matches('/') {
        format!("write `issuer` just as the provider does, {shown:?}")
    } else {
        "check `issuer`; if it is right, somebody answers in its name".to_owned()
    };
    Unread::Unfit { cause, fix }
}

/// The endpoint at `url`: https (RFC 8414 section 2, RFC 6749 section 3.2), or anything on this
/// machine if the issuer is on it as well. An issuer elsewhere has no business with this machine's
/// own services.
fn endpoint(issuer: &Url, name: &'static str, url: &str) -> Result<Url, Unread> {
    let unfit = |reason: &str| {
        let shown = printable(url.as_bytes(), SHOWN_LEN_MAX);
        Unread::Unfit {
            cause: format!("the issuer {issuer} tells {shown:?} as its {name}, {reason}"),
            fix: format!("write `{name}`, or let the provider correct its metadata"),
        }
    };
    let parsed = Url::parse(url).map_err(|_| unfit("which is no URL"))?;
    if parsed.fragment().is_some() || !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(unfit("which holds a fragment, a user name or a password"));
    }
    match parsed.scheme() {
        "https" | "http" if is_near(&parsed) && !is_loopback(issuer) => {
            Err(unfit("which is this machine's own, and not the issuer's"))
        }
        "https" => Ok(parsed),
        "http" if is_loopback(&parsed) => Ok(parsed),
        _ => Err(unfit("which is not https")),
    }
}

/// Whether `url` leads to this machine, by whatever name, or to what its own link serves it alone, as
/// clouds do.
fn is_near(url: &Url) -> bool {
    let ip: IpAddr = match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            // RFC 6761 section 6.3.
            return name == "localhost" || name.ends_with(".localhost");
        }
        Some(Host::Ipv4(ip)) => ip.into(),
        Some(Host::Ipv6(ip)) => ip.into(),
        None => return false,
    };
    let ip = ip.to_canonical();
    let is_of_link = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    ip.is_loopback() || ip.is_unspecified() || is_of_link
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ISSUER: &str = "https://id.corp.example/realms/mail";

    fn read_for(issuer: &str, document: &Value) -> Result<Document, Unread> {
        Document::read(document.to_string().as_bytes(), &Url::parse(issuer).unwrap(), issuer)
    }

    fn unfit(issuer: &str, document: &Value) -> (String, String) {
        match read_for(issuer, document) {
            Err(Unread::Unfit { cause, fix }) => (cause, fix),
            other => panic!("{document}: {other:?}"),
        }
    }

    #[test]
    fn document_tells_the_endpoints_of_rfc_8414_section_2() {
        let document = read_for(
            ISSUER,
            &json!({
                "issuer": ISSUER,
                "token_endpoint": "https://id.corp.example/token",
                "authorization_endpoint": "https://login.corp.example/authorize?tenant=1",
                "device_authorization_endpoint": "https://id.corp.example/device", // RFC 8628
                "revocation_endpoint": "https://id.corp.example/revoke",
                "authorization_response_iss_parameter_supported": true, // RFC 9207
                "grant_types_supported": ["authorization_code"],
            }),
        )
        .unwrap();
        let url = |text: &str| Some(Url::parse(text).unwrap());
        assert_eq!(
            document,
            Document {
                token: url("https://id.corp.example/token"),
                authorization: url("https://login.corp.example/authorize?tenant=1"),
                device_authorization: url("https://id.corp.example/device"),
                revocation: url("https://id.corp.example/revoke"),
                tells_issuer: true,
            }
        );
        let least = read_for(ISSUER, &json!({"issuer": ISSUER})).unwrap();
        assert!(least.token.is_none() && !least.tells_issuer);
    }

    #[test]
    fn document_of_another_issuer_is_not_used_and_both_are_told() {
        for (told, fix) in [
            ("https://evil.example", "somebody answers in its name"),
            ("https://id.corp.example/realms/MAIL", "somebody answers in its name"),
            ("https://id.corp.example/realms/mail/", "write `issuer` just as the provider does"),
            ("https://login.microsoftonline.com/{tenantid}/v2.0", "directory (tenant) ID"),
        ] {
            let document = json!({"issuer": told, "token_endpoint": "https://evil.example/token"});
            let (cause, fixed) = unfit(ISSUER, &document);
            assert!(cause.contains(ISSUER) && cause.contains(told), "{cause}");
            assert!(fixed.contains(fix), "{told}: {fixed}");
        }
        let (cause, _) =
            unfit(ISSUER, &json!({"issuer": format!("a\u{1b}[31m{}", "x".repeat(999))}));
        assert!(!cause.contains('\u{1b}') && cause.len() < 400, "{cause}");
    }

    #[test]
    fn endpoint_is_https_unless_issuer_and_endpoint_are_on_this_machine() {
        let told = |issuer: &str, endpoint: &str| {
            let document = json!({"issuer": issuer, "token_endpoint": endpoint});
            read_for(issuer, &document).is_ok()
        };
        assert!(told("http://127.0.0.1:8080/realm", "http://localhost:9/token"));
        assert!(told("http://127.0.0.1:8080/realm", "https://id.corp.example/token"));
        for unsafe_one in [
            "http://id.corp.example/token",
            "http://127.0.0.1:9/token",
            "https://localhost/token",
            "https://LOCALHOST./token",
            "https://admin.localhost/token",
            "https://2130706433/token",
            "https://0.0.0.0/token",
            "https://[::]/token",
            "https://[::1]/token",
            "https://[::ffff:127.0.0.1]/token",
            "https://169.254.169.254/token",
            "https://[::ffff:169.254.169.254]/token",
            "https://[fe80::1]/token",
            "https://user:pass@id.corp.example/token",
            "https://id.corp.example/token#fragment",
            "file:///etc/passwd",
            "token",
            "",
        ] {
            assert!(!told(ISSUER, unsafe_one), "{unsafe_one}");
        }
        let document = json!({"issuer": ISSUER, "revocation_endpoint": "http://a.example/"});
        let (cause, fix) = unfit(ISSUER, &document);
        assert!(cause.contains("revocation_endpoint") && fix.contains("`revocation_endpoint`"));
    }

    #[test]
    fn document_is_none_when_it_is_no_metadata() {
        for body in ["", "<html>", "[]", "{}", r#"{"issuer":7}"#, r#"{"token_endpoint":"x"}"#] {
            let read = Document::read(body.as_bytes(), &Url::parse(ISSUER).unwrap(), ISSUER);
            assert_eq!(read, Err(Unread::NoMetadata), "{body}");
        }
    }
}
