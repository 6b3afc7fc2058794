//! Each built-in provider, compared with what its provider documents.

use super::*;
use crate::provider::{AuthorizationServer, ClientAuth, GrantId, GrantKind, LoopbackRedirect, Way};

/// A file with one account of `provider`, and `keys` in its table.
fn file(provider: &str, keys: &str) -> String {
    let [listener, _] = GOOD.split("[accounts").collect::<Vec<_>>().try_into().unwrap();
    format!("{listener}[accounts.\"alice@example.com\"]\nprovider = {provider:?}\n{keys}\n")
}

fn account(provider: &str, keys: &str) -> AccountSettings {
    let config =
        parse(&file(provider, keys)).unwrap_or_else(|problems| panic!("{provider}: {problems:#?}"));
    assert_eq!(warnings(&config), Vec::<String>::new());
    config.accounts.into_iter().next().unwrap()
}

const PERSON: &str = "grant = \"authorization-code\"\nclient_id = \"app\"";
const OF_TENANT: &str =
    "grant = \"authorization-code\"\nclient_id = \"app\"\ntenant = \"contoso.com\"";
const APPLICATION: &str = "grant = \"client-credentials\"\nclient_id = \"app\"\ntenant = \
                           \"contoso.com\"\nclient_secret = { env = \"SECRET\" }";

fn entra(login: &str, tenant: &str) -> AuthorizationServer {
    let endpoint = |name| Some(format!("https://{login}/{tenant}/oauth2/v2.0/{name}"));
    AuthorizationServer {
        token_endpoint: endpoint("token"),
        authorization_endpoint: endpoint("authorize"),
        device_authorization_endpoint: endpoint("devicecode"),
        authorization_params: vec![("prompt".into(), "select_account".into())],
        loopback_redirect: LoopbackRedirect::Localhost,
        ..AuthorizationServer::default()
    }
}

fn hosts(account: &AccountSettings) -> [Option<(String, UpstreamTls)>; 3] {
    let hosts = &account.provider.hosts;
    [&hosts.submission, &hosts.imap, &hosts.pop3]
        .map(|host| Some((host.as_ref()?.to_string(), host.as_ref()?.tls)))
}

fn days(days: u64) -> Option<Duration> {
    Some(Duration::from_secs(days * 24 * 60 * 60))
}

/// Microsoft's "National clouds authentication endpoints" (login hosts), "OAuth 2.0 authorization
/// code flow" and "device authorization grant" (paths), "Authenticate an IMAP, POP or SMTP
/// connection using OAuth" (scopes), "Settings for POP and IMAP access" and "Troubleshoot issues with
/// High Volume Email" (hosts), "Refresh tokens in the Microsoft identity platform" (90 days).
#[test]
fn exchange_online_is_as_microsoft_documents_it_in_each_cloud() {
    let com = "login.microsoftonline.com";
    for (name, login, submission, imap, resource, resource_of_applications) in [
        (
            "microsoft",
            com,
            "smtp.office365.com:587",
            Some("outlook.office365.com:993"),
            "outlook.office.com",
            "outlook.office365.com",
        ),
        (
            "microsoft-hve",
            com,
            "smtp.hve.mx.microsoft:587",
            None,
            "outlook.office.com",
            "outlook.office365.com",
        ),
        (
            "microsoft-gcc-high",
            "login.microsoftonline.us",
            "smtp.office365.us:587",
            Some("outlook.office365.us:993"),
            "outlook.office365.us",
            "outlook.office365.us",
        ),
        (
            "microsoft-dod",
            "login.microsoftonline.us",
            "outlook-dod.office365.us:587",
            Some("outlook-dod.office365.us:993"),
            "outlook-dod.office365.us",
            "outlook-dod.office365.us",
        ),
        (
            "microsoft-21vianet",
            "login.partner.microsoftonline.cn",
            "smtp.partner.outlook.cn:587",
            Some("partner.outlook.cn:993"),
            "partner.outlook.cn",
            "partner.outlook.cn",
        ),
    ] {
        let person = account(name, OF_TENANT);
        assert_eq!(person.grant.server, entra(login, "contoso.com"), "{name}");
        assert_eq!(person.grant.refresh_idle, days(90), "{name}");
        let expected = [
            Some((submission.to_owned(), UpstreamTls::StartTls)),
            imap.map(|imap| (imap.to_owned(), UpstreamTls::Implicit)),
            imap.map(|imap| (imap.replace(":993", ":995"), UpstreamTls::Implicit)),
        ];
        assert_eq!(hosts(&person), expected, "{name}");
        assert_eq!(person.provider.mechanism, Mechanism::Xoauth2);
        assert!(person.provider.is_untried);
        let [submission, imap, pop3] = [
            ["SMTP.Send", "offline_access", "openid", "profile"],
            ["IMAP.AccessAsUser.All", "offline_access", "openid", "profile"],
            ["POP.AccessAsUser.All", "offline_access", "openid", "profile"],
        ]
        .map(|[permission, consent @ ..]| {
            let scope = format!("https://{resource}/{permission}");
            [&scope].into_iter().map(String::as_str).chain(consent).map(str::to_owned).collect()
        });
        assert_eq!(person.scopes, PerProtocol { submission, imap, pop3 }, "{name}");

        let application = account(name, APPLICATION);
        assert_eq!(application.grant.server, entra(login, "contoso.com"), "{name}");
        assert_eq!(application.grant.refresh_idle, None);
        let id = GrantId::Application {
            provider: name.to_owned(),
            tenant: Some("contoso.com".to_owned()),
            client_id: "app".to_owned(),
        };
        assert_eq!(application.grant.id, id);
        let scopes = [format!("https://{resource_of_applications}/.default")];
        assert_eq!(application.scopes, PerProtocol::of_each(scopes.to_vec()), "{name}");
    }
}

/// The tenant of personal accounts is "consumers" ("OAuth 2.0 authorization code flow").
#[test]
fn outlook_com_is_for_people_with_personal_accounts() {
    let person = account("outlook-com", PERSON);
    assert_eq!(person.grant.server, entra("login.microsoftonline.com", "consumers"));
    assert_eq!(person.grant.refresh_idle, days(90));
    assert_eq!(
        hosts(&person),
        [
            Some(("smtp-mail.outlook.com:587".to_owned(), UpstreamTls::StartTls)),
            Some(("outlook.office365.com:993".to_owned(), UpstreamTls::Implicit)),
            Some(("outlook.office365.com:995".to_owned(), UpstreamTls::Implicit)),
        ]
    );
    assert_eq!(person.scopes, account("microsoft", OF_TENANT).scopes);
    assert!(person.provider.is_untried);
    let device = account("outlook-com", &PERSON.replace("authorization-code", "device-code"));
    assert!(matches!(device.grant.way, Way::DeviceCode(_)));
    assert_eq!(
        problems(&file("outlook-com", &format!("{PERSON}\ntenant = \"contoso.com\""))),
        ["9: `accounts.\"alice@example.com\".tenant` has no place in the provider's endpoints"]
    );
}

/// Google's "Using OAuth 2.0 for Mobile and Desktop Apps" and "OAuth 2.0 for Web Server Applications"
/// (endpoints, `access_type`, `prompt`), "Using OAuth 2.0 to Access Google APIs" (six months), Gmail's
/// "OAuth 2.0 Mechanism" (scope), "IMAP, POP, and SMTP" (hosts).
#[test]
fn google_is_as_google_documents_it() {
    let person = account("google", PERSON);
    let url = |url: &str| Some(url.to_owned());
    let params = [("access_type", "offline"), ("prompt", "consent")];
    assert_eq!(
        person.grant.server,
        AuthorizationServer {
            issuer: url("https://accounts.google.com"),
            token_endpoint: url("https://oauth2.googleapis.com/token"),
            authorization_endpoint: url("https://accounts.google.com/o/oauth2/v2/auth"),
            no_device_flow: Some("Google's device flow gives no token for mail (invalid_scope)"),
            revocation_endpoint: url("https://oauth2.googleapis.com/revoke"),
            authorization_params: params.map(|(name, value)| (name.into(), value.into())).into(),
            loopback_redirect: LoopbackRedirect::Address,
            ..AuthorizationServer::default()
        }
    );
    assert_eq!(person.grant.refresh_idle, days(180));
    assert_eq!(
        hosts(&person),
        [
            Some(("smtp.gmail.com:465".to_owned(), UpstreamTls::Implicit)),
            Some(("imap.gmail.com:993".to_owned(), UpstreamTls::Implicit)),
            Some(("pop.gmail.com:995".to_owned(), UpstreamTls::Implicit)),
        ]
    );
    let scopes = ["https://mail.google.com/", "openid", "email"].map(str::to_owned);
    assert_eq!(person.scopes, PerProtocol::of_each(scopes.to_vec()));
    assert!(person.provider.is_untried);
}

/// Yahoo's "OAuth 2.0 Authorization Code Flow" (endpoints), Thunderbird's table of providers (scope,
/// AOL's endpoints), "IMAP server settings for Yahoo Mail" and of AOL (hosts).
#[test]
fn yahoo_and_aol_are_as_they_document_it() {
    for (name, login, mail) in [
        ("yahoo", "api.login.yahoo.com", "mail.yahoo.com"),
        ("aol", "api.login.aol.com", "aol.com"),
    ] {
        let person = account(name, PERSON);
        let url = |path| Some(format!("https://{login}/oauth2/{path}"));
        assert_eq!(
            person.grant.server,
            AuthorizationServer {
                token_endpoint: url("get_token"),
                authorization_endpoint: url("request_auth"),
                revocation_endpoint: url("revoke"),
                ..AuthorizationServer::default()
            }
        );
        assert_eq!(person.grant.refresh_idle, None);
        let host = |host: String| Some((host, UpstreamTls::Implicit));
        assert_eq!(
            hosts(&person),
            [
                host(format!("smtp.{mail}:465")),
                host(format!("imap.{mail}:993")),
                host(format!("pop.{mail}:995")),
            ]
        );
        assert_eq!(person.scopes, PerProtocol::of_each(vec!["mail-w".to_owned()]));
        assert!(person.provider.is_untried);
    }
}

/// Fastmail's "OAuth at Fastmail" (endpoints), Thunderbird's table of providers (scopes, issuer),
/// "Server names and ports" (hosts).
#[test]
fn fastmail_is_as_fastmail_documents_it() {
    let person = account("fastmail", PERSON);
    let url = |path: &str| Some(format!("https://api.fastmail.com{path}"));
    assert_eq!(
        person.grant.server,
        AuthorizationServer {
            issuer: url(""),
            tells_issuer: true,
            token_endpoint: url("/oauth/refresh"),
            authorization_endpoint: url("/oauth/authorize"),
            revocation_endpoint: url("/oauth/revoke"),
            ..AuthorizationServer::default()
        }
    );
    let host = |host: &str| Some((host.to_owned(), UpstreamTls::Implicit));
    let hosts_of_each = ["smtp.fastmail.com:465", "imap.fastmail.com:993", "pop.fastmail.com:995"];
    assert_eq!(hosts(&person), hosts_of_each.map(host));
    assert_eq!(person.scopes.submission, ["https://www.fastmail.com/dev/protocol-smtp"]);
    assert_eq!(person.scopes.imap, ["https://www.fastmail.com/dev/protocol-imap"]);
    assert_eq!(person.scopes.pop3, ["https://www.fastmail.com/dev/protocol-pop"]);
    let Way::AuthorizationCode(client) = &person.grant.way else { panic!("{:?}", person.grant) };
    assert!(matches!(client.auth, ClientAuth::None), "Fastmail's clients are public");
    assert!(person.provider.is_untried);
}

#[test]
fn a_grant_that_a_built_in_provider_does_not_have_is_refused() {
    let people = ["outlook-com", "yahoo", "aol", "fastmail"];
    let application =
        "has the grant of an application, and this provider lets people alone sign in";
    let people = people.into_iter().flat_map(|name| {
        let applications =
            [GrantKind::ClientCredentials, GrantKind::WorkloadIdentity, GrantKind::ServiceAccount];
        let applications = applications.map(|kind| (name, kind, application));
        let password = "has grant = \"password\", which this provider does not know";
        applications.into_iter().chain([(name, GrantKind::Password, password)])
    });
    let others = [
        (
            "microsoft",
            GrantKind::ServiceAccount,
            "has grant = \"service-account\", which is Google's",
        ),
        (
            "google",
            GrantKind::ClientCredentials,
            "has grant = \"client-credentials\", which Google does not have",
        ),
        (
            "google",
            GrantKind::DeviceCode,
            "has grant = \"device-code\", but Google's device flow gives no token for mail \
             (invalid_scope)",
        ),
        ("google", GrantKind::Password, "has grant = \"password\", which Google does not have"),
        (
            "google",
            GrantKind::ManagedIdentity,
            "has the grant of an identity of Azure, which Google does not know",
        ),
        (
            "yahoo",
            GrantKind::DeviceCode,
            "has \"device-code\", and its provider yahoo has no device flow",
        ),
    ];
    for (name, kind, told) in people.chain(others) {
        let id = if kind == GrantKind::ServiceAccount { "" } else { "\nclient_id = \"app\"" };
        assert_eq!(
            problems(&file(name, &format!("grant = \"{kind}\"{id}"))),
            [format!("5: `accounts.\"alice@example.com\"` {told}")],
            "{name} {kind}"
        );
    }
}
