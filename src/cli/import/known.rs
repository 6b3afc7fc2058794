//! Hosts, endpoints and consent pages of the built-in providers, by which they are known in the file.

use reqwest::Url;

/// Whose hosts end so, be they for mail or for tokens. Those of Microsoft are of one family in each
/// cloud, whatever preset an account has.
const FAMILIES: [(&str, &str); 15] = [
    ("office365.com", "microsoft"),
    ("outlook.com", "microsoft"),
    ("office.com", "microsoft"),
    ("live.com", "microsoft"),
    ("microsoftonline.com", "microsoft"),
    ("office365.us", "microsoft-gcc-high"),
    ("microsoftonline.us", "microsoft-gcc-high"),
    ("outlook.cn", "microsoft-21vianet"),
    ("microsoftonline.cn", "microsoft-21vianet"),
    ("gmail.com", "google"),
    ("googleapis.com", "google"),
    ("google.com", "google"),
    ("yahoo.com", "yahoo"),
    ("aol.com", "aol"),
    ("fastmail.com", "fastmail"),
];

/// Where built-in providers are asked for tokens: host, path, and whose it is. `*` is the tenant.
const TOKEN_ENDPOINTS: [(&str, &str, &str); 9] = [
    ("login.microsoftonline.com", "/*/oauth2/v2.0/token", "microsoft"),
    ("login.microsoftonline.us", "/*/oauth2/v2.0/token", "microsoft-gcc-high"),
    ("login.partner.microsoftonline.cn", "/*/oauth2/v2.0/token", "microsoft-21vianet"),
    ("oauth2.googleapis.com", "/token", "google"),
    ("accounts.google.com", "/o/oauth2/token", "google"),
    ("www.googleapis.com", "/oauth2/v4/token", "google"),
    ("api.login.yahoo.com", "/oauth2/get_token", "yahoo"),
    ("api.login.aol.com", "/oauth2/get_token", "aol"),
    ("api.fastmail.com", "/oauth/refresh", "fastmail"),
];

/// Where people consent at built-in providers, in the same form.
const CONSENT_PAGES: [(&str, &str, &str); 12] = [
    ("login.microsoftonline.com", "/*/oauth2/v2.0/authorize", "microsoft"),
    ("login.microsoftonline.com", "/*/oauth2/v2.0/devicecode", "microsoft"),
    ("login.microsoftonline.us", "/*/oauth2/v2.0/authorize", "microsoft-gcc-high"),
    ("login.microsoftonline.us", "/*/oauth2/v2.0/devicecode", "microsoft-gcc-high"),
    ("login.partner.microsoftonline.cn", "/*/oauth2/v2.0/authorize", "microsoft-21vianet"),
    ("login.partner.microsoftonline.cn", "/*/oauth2/v2.0/devicecode", "microsoft-21vianet"),
    ("accounts.google.com", "/o/oauth2/auth", "google"),
    ("accounts.google.com", "/o/oauth2/v2/auth", "google"),
    ("oauth2.googleapis.com", "/device/code", "google"),
    ("api.login.yahoo.com", "/oauth2/request_auth", "yahoo"),
    ("api.login.aol.com", "/oauth2/request_auth", "aol"),
    ("api.fastmail.com", "/oauth/authorize", "fastmail"),
];

/// Where an account's person consented.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Page {
    /// At the page of the built-in provider whose tokens are asked for, or at that of a provider
    /// that is written anyway; of this tenant, where it has one.
    BuiltIn(Option<String>),
    /// Elsewhere than where the built-in provider has people consent, or with parameters of its own.
    Special,
}

/// What the consent page at `url` is to whoever asks for tokens at `token`.
pub(super) fn page(url: &str, token: &str) -> Page {
    let Some((name, _)) = built_in(token) else { return Page::BuiltIn(None) };
    match known(url, &CONSENT_PAGES) {
        Some((same, tenant)) if same == name => Page::BuiltIn(tenant),
        _ => Page::Special,
    }
}

/// The host of a URL, in lower case; empty where it has none.
pub(super) fn host(url: &str) -> String {
    let url = Url::parse(url).ok();
    url.and_then(|url| url.host_str().map(str::to_ascii_lowercase)).unwrap_or_default()
}

/// The built-in provider that is asked at `token`, and the tenant there.
pub(super) fn built_in(token: &str) -> Option<(&'static str, Option<String>)> {
    known(token, &TOKEN_ENDPOINTS)
}

/// Whose `url` is among `endpoints`, and the tenant there.
fn known(
    url: &str,
    endpoints: &[(&str, &str, &'static str)],
) -> Option<(&'static str, Option<String>)> {
    // The tenant of a sample is no part of a URL, so the text is looked at.
    let rest = url.strip_prefix("https://")?;
    let (host, path) = rest.split_at_checked(rest.find('/')?)?;
    endpoints.iter().find_map(|(known, wanted, name)| {
        if !host.eq_ignore_ascii_case(known) {
            return None;
        }
        let Some((before, behind)) = wanted.split_once('*') else {
            return (path == *wanted).then_some((*name, None));
        };
        let tenant = path.strip_prefix(before)?.strip_suffix(behind)?;
        (!tenant.contains(['/', '?', '#'])).then(|| (*name, Some(tenant.to_owned())))
    })
}

/// What the hosts of one provider have in common: its name if it is known, else the last two labels.
pub(super) fn family(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    let known = FAMILIES.iter().find(|(end, _)| {
        host.strip_suffix(end).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    });
    known.map_or_else(
        || {
            let mut labels: Vec<&str> = host.rsplit('.').take(2).collect();
            labels.reverse();
            labels.join(".")
        },
        |(_, name)| (*name).to_owned(),
    )
}

/// Whether that is a family and not the end of a host.
pub(super) fn is_known(family: &str) -> bool {
    FAMILIES.iter().any(|(_, name)| *name == family)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_providers_are_known_by_their_token_endpoint() {
        for (token, name, tenant) in [
            ("https://login.microsoftonline.com/common/oauth2/v2.0/token", "microsoft", "common"),
            (
                "https://LOGIN.microsoftonline.us/x.example/oauth2/v2.0/token",
                "microsoft-gcc-high",
                "x.example",
            ),
            (
                "https://login.partner.microsoftonline.cn/t/oauth2/v2.0/token",
                "microsoft-21vianet",
                "t",
            ),
            ("https://oauth2.googleapis.com/token", "google", ""),
            ("https://api.login.yahoo.com/oauth2/get_token", "yahoo", ""),
            ("https://api.login.aol.com/oauth2/get_token", "aol", ""),
            ("https://api.fastmail.com/oauth/refresh", "fastmail", ""),
        ] {
            let tenant = Some(tenant.to_owned()).filter(|tenant| !tenant.is_empty());
            assert_eq!(built_in(token), Some((name, tenant)), "{token}");
        }
        for other in [
            "http://oauth2.googleapis.com/token",
            "https://oauth2.googleapis.com/token2",
            "https://oauth2.googleapis.com.example/token",
            "https://login.microsoftonline.com/t/oauth2/token",
            "https://login.microsoftonline.com/a/b/oauth2/v2.0/token",
            "nothing",
        ] {
            assert_eq!(built_in(other), None, "{other}");
        }
    }

    #[test]
    fn consent_pages_are_compared_with_the_built_in_one_whole() {
        let entra = "https://login.microsoftonline.com";
        let token = format!("{entra}/contoso.com/oauth2/v2.0/token");
        for (url, tenant) in [
            ("/common/oauth2/v2.0/authorize", Some("common")),
            ("/contoso.com/oauth2/v2.0/devicecode", Some("contoso.com")),
            ("/common/oauth2/v2.0/authorize?prompt=login", None),
            ("/common?/oauth2/v2.0/authorize", None),
            ("/common/oauth2/authorize", None),
            (".example/common/oauth2/v2.0/authorize", None),
        ] {
            let tenant = tenant.map(str::to_owned);
            let wanted = tenant.map_or(Page::Special, |tenant| Page::BuiltIn(Some(tenant)));
            assert_eq!(page(&format!("{entra}{url}"), &token), wanted, "{url}");
        }
        let google = "https://accounts.google.com/o/oauth2/auth";
        assert_eq!(page(google, "https://oauth2.googleapis.com/token"), Page::BuiltIn(None));
        assert_eq!(page(google, &token), Page::Special);
        assert_eq!(page("https://id.example/a?b", "https://id.example/t"), Page::BuiltIn(None));
    }

    #[test]
    fn hosts_are_of_one_family_by_whole_labels() {
        assert_eq!(family("smtp-mail.outlook.com"), "microsoft");
        assert_eq!(family("Imap.Gmail.com"), "google");
        assert_eq!(family("notgmail.com"), "notgmail.com");
        assert_eq!(family("id.corp.example"), family("imap.corp.example"));
    }
}
