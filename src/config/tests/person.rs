//! Grants that a person consents to, and what only they may have.

use super::*;
use crate::provider::ClientAuth;
use crate::provider::{Grant, GrantId, GrantKind};

const PERSON: (usize, &str) = (GRANT, "grant = \"authorization-code\"");

fn grant_with(changes: &[(usize, &str)]) -> Arc<Grant> {
    let changes: Vec<_> = changes.iter().copied().chain([PERSON]).collect();
    Arc::clone(&config(&changes).accounts[0].grant)
}

#[test]
fn a_persons_grant_is_that_of_the_account_whatever_its_case() {
    let account = (ACCOUNT, "[accounts.\"Alice@Contoso.com\"]");
    let grant = grant_with(&[account, (CLIENT_SECRET, "")]);
    assert_eq!(grant.id, GrantId::Account(Username::parse("alice@contoso.com").unwrap()));
    assert_eq!(grant.kind(), GrantKind::AuthorizationCode);
    assert_eq!(grant.client_id(), "app");
    assert!(matches!(grant.way.client().unwrap().auth, ClientAuth::None), "a public client");
    assert_eq!(grant.server.revocation_endpoint, None, "Entra has none");
    assert_eq!(grant.refresh_idle, Some(Duration::from_secs(90 * 86_400)));
    let confidential = grant_with(&[]).way.client().unwrap().auth.clone();
    assert!(matches!(confidential, ClientAuth::SecretPost(_)));
}

#[test]
fn a_persons_scopes_are_those_of_people() {
    let config = config(&[PERSON]);
    let scopes = &config.accounts[0].scopes;
    let [smtp, imap] = ["SMTP.Send", "IMAP.AccessAsUser.All"].map(|scope| {
        let scope = format!("https://outlook.office.com/{scope}");
        [&scope, "offline_access", "openid", "profile"].map(str::to_owned)
    });
    assert_eq!((&scopes.submission[..], &scopes.imap[..]), (&smtp[..], &imap[..]));
}

#[test]
fn people_of_one_application_share_nothing() {
    let second = second_account("bob@contoso.com", &[("client-credentials", "authorization-code")]);
    let config = config(&[PERSON, (END, &second)]);
    let [alice, bob] = config.accounts.try_into().unwrap();
    assert_ne!(alice.grant.id, bob.grant.id);
    assert_eq!(alice.grant.client_id(), bob.grant.client_id());
}

#[test]
fn a_person_may_be_of_any_tenant_and_an_application_of_one() {
    for tenant in ["common", "organizations", "consumers", "contoso.com"] {
        let grant = grant_with(&[(TENANT, &format!("tenant = {tenant:?}"))]);
        let endpoint = format!("https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token");
        assert_eq!(grant.source(), endpoint);
    }
    let default = "[providers.microsoft]\ntenant = \"common\"";
    config(&[PERSON, (TENANT, ""), (END, default)]);
    // Told once, where it stands, however many accounts inherit it.
    let second = second_account("bob@contoso.com", &[("tenant = \"contoso.com\"\n", "")]);
    assert_eq!(
        problems(&good_with(&[(TENANT, ""), (END, &format!("{second}\n{default}"))])),
        ["19: `providers.microsoft.tenant` is \"common\", which is no tenant"]
    );
    for tenant in ["Common", "commons", "any"] {
        let told = problems(&good_with(&[PERSON, (TENANT, &format!("tenant = {tenant:?}"))]));
        let expected =
            format!("7: `accounts.\"alice@contoso.com\".tenant` is {tenant:?}, which is no tenant");
        assert_eq!(told, [expected]);
    }
}

#[test]
fn a_persons_grant_lacks_what_it_needs() {
    let lacking = [TENANT, CLIENT_ID, CLIENT_SECRET].map(|line| (line, ""));
    let changes: Vec<_> = lacking.into_iter().chain([PERSON]).collect();
    assert_eq!(
        problems(&good_with(&changes)),
        ["tenant", "client_id"]
            .map(|key| format!("5: `accounts.\"alice@contoso.com\"` lacks `{key}`"))
    );
}

#[test]
fn a_tenant_is_needed_where_the_grant_asks_at_an_endpoint_that_has_a_place_for_it() {
    let end = "[providers.microsoft]\ntoken_endpoint = \"https://id.example/token\"";
    for kind in ["client-credentials", "password", "authorization-code"] {
        let keys = format!("grant = \"{kind}\"");
        let password = if kind == "password" { "\npassword = { env = \"SECRET\" }" } else { "" };
        let keys = format!("{keys}{password}");
        let config = config(&[(TENANT, ""), (GRANT, &keys), (END, end)]);
        let server = &config.accounts[0].grant.server;
        assert_eq!(server.token_endpoint.as_deref(), Some("https://id.example/token"));
        let others = (&server.authorization_endpoint, &server.device_authorization_endpoint);
        assert_eq!(others, (&None, &None), "nobody is sent to a tenant that is not known");
        let told: Vec<_> = warnings(&config);
        let no_browser = told.iter().any(|told| told.contains("lacks `tenant`"));
        assert_eq!(no_browser, kind == "authorization-code", "{told:?}");
    }
    let device = (GRANT, "grant = \"device-code\"");
    assert_eq!(
        problems(&good_with(&[(TENANT, ""), device, (END, end)])),
        ["5: `accounts.\"alice@contoso.com\"` lacks `tenant`"]
    );
    let issuer = "[providers.microsoft]\nissuer = \"https://id.example/{tenant}\"";
    assert_eq!(
        problems(&good_with(&[(TENANT, ""), (END, issuer)])),
        ["5: `accounts.\"alice@contoso.com\"` lacks `tenant`"]
    );
}

#[test]
fn a_wildcard_has_no_persons_grant() {
    let told = "5: `accounts.\"*@contoso.com\"` stands for many mailboxes, and has \
                \"authorization-code\", the grant of one person";
    let wildcard = (ACCOUNT, "[accounts.\"*@contoso.com\"]");
    assert_eq!(problems(&good_with(&[wildcard, PERSON])), [told]);
    let default = "[providers.microsoft]\ngrant = \"authorization-code\"";
    assert_eq!(problems(&good_with(&[wildcard, (GRANT, ""), (END, default)])), [told]);
}

#[test]
fn keys_of_consent_in_a_providers_table_reach_its_people() {
    let own = [
        (PROVIDER, "provider = \"corp\""),
        (
            END,
            r#"[providers.corp]
            token_endpoint = "https://id.corp.example/{tenant}/token"
            revocation_endpoint = "https://id.corp.example/{tenant}/revoke"
            refresh_idle_days = 3650
            submission = { host = "smtp.corp.example", port = 465, tls = "implicit" }"#,
        ),
    ];
    let grant = grant_with(&own);
    let endpoint = "https://id.corp.example/contoso.com/revoke";
    assert_eq!(grant.server.revocation_endpoint.as_deref(), Some(endpoint));
    assert_eq!(grant.refresh_idle, Some(Duration::from_secs(3650 * 86_400)));
    assert_eq!(config(&own).accounts[0].grant.refresh_idle, None, "an application has none");

    let unknown = own[1].1.replace("refresh_idle_days = 3650", "");
    assert_eq!(grant_with(&[own[0], (END, &unknown)]).refresh_idle, None);
    let overridden = "[providers.microsoft]\nrefresh_idle_days = 1";
    assert_eq!(grant_with(&[(END, overridden)]).refresh_idle, Some(Duration::from_secs(86_400)));
}

#[test]
fn a_tenant_may_have_its_place_in_the_revocation_endpoint_alone() {
    let corp = r#"[providers.corp]
        token_endpoint = "https://id.corp.example/token"
        revocation_endpoint = "http://127.0.0.1:8080/revoke?tenant={tenant}"
        submission = { host = "smtp.corp.example", port = 465, tls = "implicit" }"#;
    let grant = grant_with(&[(PROVIDER, "provider = \"corp\""), (END, corp)]);
    let endpoint = "http://127.0.0.1:8080/revoke?tenant=contoso.com";
    assert_eq!(grant.server.revocation_endpoint.as_deref(), Some(endpoint));
}

#[test]
fn keys_of_consent_that_are_wrong_are_refused() {
    refused(
        "providers.microsoft",
        r#"
        + refresh_idle_days = 0
        refresh_idle_days is 0, which is out of range
        + refresh_idle_days = 3651
        refresh_idle_days is 3651, which is out of range
        + refresh_idle_days = "90d"
        refresh_idle_days is a string, not a whole number
        + revocation_endpoint = "id.corp.example/revoke"
        revocation_endpoint is no URL
        + revocation_endpoint = "http://id.corp.example/revoke"
        revocation_endpoint is not https, and would show secret and token to the network
        + revocation_endpoint = "https://app:tell-nobody@id.corp.example/revoke"
        revocation_endpoint holds a user name or password
        "#,
    );
    refused(
        r#"accounts."alice@contoso.com""#,
        r#"
        12 revocation_endpoint = "https://id.corp.example/revoke"
        revocation_endpoint is no key that mailbearer knows
        12 refresh_idle_days = 90
        refresh_idle_days is no key that mailbearer knows
        "#,
    );
}

const ANY: (usize, &str) = (LOCAL_PASSWORD, "local_password = \"any\"");

#[test]
fn any_local_password_is_for_a_persons_grant_alone() {
    let config = config(&[PERSON, ANY]);
    assert!(matches!(config.accounts[0].local_password, LocalPassword::Any));
    assert!(warnings(&config).is_empty());
    for name in ["alice@contoso.com", "*@contoso.com"] {
        let account = format!("[accounts.\"{name}\"]");
        assert_eq!(
            problems(&good_with(&[(ACCOUNT, &account), ANY])),
            [format!(
                "11: `accounts.\"{name}\".local_password` is \"any\", which an application's grant \
                 never takes"
            )]
        );
    }
}

#[test]
fn any_local_password_is_warned_of_where_other_machines_connect() {
    let warned = |address: &str, allow: &str| {
        let address = format!("address = {address:?}\nrequire_tls = false\nallow = {allow:?}");
        warnings(&config(&[PERSON, ANY, (ADDRESS, &address)]))
    };
    assert_eq!(
        warned("0.0.0.0:1587", "192.0.2.0/24"),
        [
            "7: `accounts.\"alice@contoso.com\"` has local_password = \"any\", which is for clients on \
          this machine; those on others, whom `listeners.submission` lets in, are refused"
        ]
    );
    assert_eq!(warned("[::]:1587", "::/0").len(), 1);
    for (address, allow) in
        [("0.0.0.0:1587", "127.0.0.1"), ("[::]:1587", "::1"), ("127.0.0.1:1587", "192.0.2.0/24")]
    {
        assert!(warned(address, allow).is_empty(), "{address} {allow}");
    }
    let other = "address = \"0.0.0.0:1587\"\nrequire_tls = false\nallow = \"192.0.2.0/24\"";
    let hash = format!("local_password = {HASH:?}");
    let hashed = [PERSON, (LOCAL_PASSWORD, &*hash), (ADDRESS, other)];
    assert!(warnings(&config(&hashed)).is_empty());
}
