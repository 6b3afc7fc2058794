//! URLs, proxies and mail servers, without what may be secret in them.

use reqwest::Url;
use toml::{Table, Value};

use super::keys::is_word;
use super::{HIDDEN, Names, quoted};
use crate::net::egress::{Proxy, ProxyUse};
use crate::secret::SecretString;

/// The parts of paths by which endpoints are known, at the built-in providers and at servers that
/// many run themselves (Keycloak, authentik, AD FS). Any other part may be a secret.
const PARTS: [&str; 38] = [
    "",
    "TENANT",
    "adfs",
    "api",
    "application",
    "as",
    "auth",
    "authorization",
    "authorize",
    "common",
    "connect",
    "consumers",
    "device",
    "device_authorization",
    "devicecode",
    "get_token",
    "identity",
    "idp",
    "login",
    "metadata",
    "o",
    "oauth",
    "oauth2",
    "oidc",
    "openid-connect",
    "organizations",
    "protocol",
    "realms",
    "refresh",
    "request_auth",
    "revocation",
    "revoke",
    "token",
    "v1",
    "v2",
    "v2.0",
    "v3",
    "v4",
];

/// A URL: scheme, host, port, and the parts of its path that are known.
pub(super) fn url(text: &str, names: &mut dyn Names) -> String {
    // What a preset has in place of the tenant is no part of a URL.
    let parsed = Url::parse(&text.replace("{tenant}", "TENANT")).ok();
    let Some((url, host)) = parsed.as_ref().and_then(|url| Some((url, url.host_str()?))) else {
        return HIDDEN.to_owned();
    };
    // Where a user name or password has a slash, a question mark or a hash, the host begins behind
    // the last @, and what reads as the host is a part of them.
    let behind = [Some(url.path()), url.query(), url.fragment()];
    if behind.into_iter().flatten().any(|behind| behind.contains('@')) {
        return HIDDEN.to_owned();
    }
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let parts: Vec<String> = url.path().split('/').map(|part| part_of_path(part, names)).collect();
    let shown = format!("{}://{}{port}{}", url.scheme(), names.text(host), parts.join("/"));
    let had_more = url.query().is_some()
        || url.fragment().is_some()
        || !url.username().is_empty()
        || url.password().is_some();
    let more = if had_more { " and more (not shown)" } else { "" };
    format!("{}{more}", quoted(&shown))
}

/// A part of a path, if it is known or names an organisation, as tenants do.
fn part_of_path(part: &str, names: &mut dyn Names) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
    let is_domain = part.contains('.') && part.bytes().all(plain);
    let groups: Vec<usize> = part.split('-').map(str::len).collect();
    // RFC 9562 section 4.
    let is_uuid = groups == [8, 4, 4, 4, 12]
        && part.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
    if PARTS.contains(&part) {
        part.to_owned()
    } else if is_domain || is_uuid {
        names.id(part)
    } else {
        "(…)".to_owned()
    }
}

/// A proxy as it is used, without user name and password.
pub(super) fn proxy(text: &str, names: &mut dyn Names) -> String {
    // Proxies of mail are of every kind that there is.
    match Proxy::take(&SecretString::from(text), ProxyUse::Mail) {
        Err(_) => HIDDEN.to_owned(),
        Ok(proxy) => {
            let more = if proxy.basic().is_some() { " and more (not shown)" } else { "" };
            format!("{}{more}", quoted(&names.text(&proxy.url())))
        }
    }
}

/// A mail server.
pub(super) fn mail_host(host: &Table, names: &mut dyn Names) -> String {
    let text = |key| host.get(key).and_then(Value::as_str);
    let is_name = |name: &&str| {
        name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:".contains(&byte))
    };
    let name = text("host").filter(is_name).map_or(HIDDEN.to_owned(), |name| names.text(name));
    let port = host.get("port").and_then(Value::as_integer).unwrap_or_default();
    let tls = text("tls").filter(|word| is_word(word)).unwrap_or(HIDDEN);
    format!("{name}:{port}, {tls}")
}

#[cfg(test)]
mod tests {
    use super::super::Places;
    use super::*;

    /// Shows all.
    struct Open;

    impl Names for Open {
        fn take_in_place(&mut self, _: &str) {}

        fn name(&mut self, name: &str) -> String {
            name.to_owned()
        }
        fn id(&mut self, id: &str) -> String {
            id.to_owned()
        }
        fn text(&mut self, text: &str) -> String {
            text.to_owned()
        }
        fn places(&self) -> Places {
            Places::Shown
        }
    }

    #[test]
    fn parts_of_a_path_are_shown_if_they_are_known_or_a_tenant() {
        let id = "https://id.example";
        for (path, shown) in [
            ("/realms/mail/protocol/openid-connect/token", None),
            ("/token", Some("/token")),
            ("/{tenant}/oauth2/v2.0/token", Some("/TENANT/oauth2/v2.0/token")),
            ("/contoso.com/oauth2/v2.0/token", Some("/contoso.com/oauth2/v2.0/token")),
            (
                "/8e9c8a5e-6f0c-4f57-a3d7-2b1c5f5c1f00/oauth2/token",
                Some("/8e9c8a5e-6f0c-4f57-a3d7-2b1c5f5c1f00/oauth2/token"),
            ),
            ("/;key=hunter2e", Some("/(…)")),
            ("/5f3a9c0d1e2b4a6978c0/token", Some("/(…)/token")),
        ] {
            let shown = shown.unwrap_or("/realms/(…)/protocol/openid-connect/token");
            assert_eq!(url(&format!("{id}{path}"), &mut Open), format!("\"{id}{shown}\""));
        }
    }

    #[test]
    fn a_url_whose_host_may_be_a_part_of_a_password_is_not_shown() {
        for text in [
            "https://svc:2024/hunter2@id.example",
            "https://svc:2024?hunter2@id.example",
            "https://svc:2024#hunter2@id.example",
            "https://svc@hunter2:20?24@id.example",
            "https://svc:2024\\hunter2@id.example",
            "hunter2",
            "data:hunter2",
        ] {
            assert_eq!(url(text, &mut Open), HIDDEN, "{text}");
        }
    }

    #[test]
    fn a_proxy_is_shown_without_what_it_is_shown() {
        for (text, shown) in [
            ("http://proxy:3128", "\"http://proxy:3128\""),
            ("http://u:p@proxy:3128/", "\"http://proxy:3128\" and more (not shown)"),
            (
                "http://svc:2024/Q3!TopSecret@proxy.corp.example:3128",
                "\"http://proxy.corp.example:3128\" and more (not shown)",
            ),
            (
                "socks5://svc:/TopSecret2@proxy.corp.example:1080",
                "\"socks5://proxy.corp.example:1080\" and more (not shown)",
            ),
            ("http://svc:2?#\\@p", "\"http://p:80\" and more (not shown)"),
            ("svc:TopSecret@proxy", HIDDEN),
            ("ftp://svc:TopSecret@proxy", HIDDEN),
        ] {
            assert_eq!(proxy(text, &mut Open), shown, "{text}");
        }
    }
}
