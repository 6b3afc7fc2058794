//! What is told of a token that was refused.

use super::*;
use crate::provider::AuthorizationServer;

const TENANT: &str = "b9419818-09af-49c2-b0c3-653adc1f376e";
const NOW: Duration = Duration::from_secs(1_795_354_200);

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

/// A person's token, as Entra gives it for Exchange Online.
fn of_person() -> Claims {
    Claims {
        audiences: texts(&["https://outlook.office.com"]),
        scopes: texts(&["IMAP.AccessAsUser.All", "POP.AccessAsUser.All", "SMTP.Send"]),
        user: Some(("upn", "alice@contoso.com".to_owned())),
        tenant: Some(TENANT.to_owned()),
        ends_at: Some(NOW + Duration::from_secs(3_600)),
        ..Claims::default()
    }
}

/// An application's.
fn of_application() -> Claims {
    Claims {
        scopes: Vec::new(),
        roles: texts(&["SMTP.SendAsApp", "IMAP.AccessAsApp"]),
        user: None,
        application: Some("app-id".to_owned()),
        object: Some("object-id".to_owned()),
        ..of_person()
    }
}

/// Compares `claims` with what is wanted for alice's mailbox.
fn told(claims: &Claims, grant: &Grant, protocol: Protocol, scope: &str) -> Option<String> {
    let user = Username::parse("Alice@contoso.com").unwrap();
    let scopes = texts(&["offline_access", scope]);
    compared(claims, &Wanted { user: &user, protocol, scopes: &scopes, grant, now: NOW })
}

/// The same of a person for submission.
fn told_of_person(claims: &Claims) -> String {
    let grant = Grant::of_person("alice@contoso.com").at(&endpoint(TENANT));
    let scope = "https://outlook.office.com/SMTP.Send";
    told(claims, &grant, Protocol::Submission, scope).unwrap()
}

/// The same of an application.
fn told_of_application(claims: &Claims, protocol: Protocol) -> String {
    let grant = Grant::of_application().at(&endpoint("contoso.onmicrosoft.com"));
    told(claims, &grant, protocol, "https://outlook.office365.com/.default").unwrap()
}

fn endpoint(tenant: &str) -> String {
    format!("https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token")
}

#[test]
fn token_that_is_right_leads_to_what_else_may_be_wrong() {
    let told = told_of_person(&of_person());
    assert!(told.starts_with("the token is right for SMTP and Alice@contoso.com: "), "{told}");
    assert!(told.contains("Get-CASMailbox") && told.contains("60 minutes"), "{told}");
    let told = told_of_application(&of_application(), Protocol::Imap);
    assert!(told.starts_with("the token is right for IMAP and Alice@contoso.com: "), "{told}");
    // By the object id of the enterprise application, which is what the token has.
    assert!(told.contains("New-ServicePrincipal -AppId app-id -ObjectId object-id "), "{told}");
    assert!(told.contains("60 minutes"), "{told}");
}

#[test]
fn token_for_another_service_is_told_by_its_audience() {
    let with = |audience: &str| Claims { audiences: texts(&[audience]), ..of_person() };
    for right in [
        "https://outlook.office.com/",
        "https://outlook.office365.com",
        "00000002-0000-0ff1-ce00-000000000000",
    ] {
        let told = told_of_person(&with(right));
        assert!(told.starts_with("the token is right"), "{right}: {told}");
    }
    for graph in GRAPH {
        assert_eq!(
            told_of_person(&with(graph)),
            format!("aud={graph} (Microsoft Graph), which is not https://outlook.office.com")
        );
    }
    assert_eq!(
        told_of_person(&with("https://outlook.office365.us")),
        "aud=https://outlook.office365.us, which is not https://outlook.office.com"
    );
    let several = Claims { audiences: texts(&["x", "https://outlook.office.com"]), ..of_person() };
    assert!(told_of_person(&several).starts_with("the token is right"));
}

#[test]
fn token_without_the_permission_is_told_by_what_it_has() {
    let reads = Claims { scopes: texts(&["IMAP.AccessAsUser.All", "openid"]), ..of_person() };
    assert_eq!(told_of_person(&reads), "scp=IMAP.AccessAsUser.All openid, which lacks SMTP.Send");
    let lower = Claims { scopes: texts(&["https://outlook.office.com/smtp.send"]), ..of_person() };
    assert!(told_of_person(&lower).starts_with("the token is right"));
    for (protocol, role) in [
        (Protocol::Submission, "SMTP.SendAsApp"),
        (Protocol::Imap, "IMAP.AccessAsApp"),
        (Protocol::Pop3, "POP.AccessAsApp"),
    ] {
        // No role is given as no claim at all.
        let claims = Claims { roles: Vec::new(), ..of_application() };
        let told = told_of_application(&claims, protocol);
        assert_eq!(told, format!("roles=nothing, which lacks {role}"));
        let claims = Claims { roles: texts(&["User.Read.All"]), ..of_application() };
        let told = told_of_application(&claims, protocol);
        assert_eq!(told, format!("roles=User.Read.All, which lacks {role}"));
        let claims = Claims { roles: texts(&[role]), ..of_application() };
        assert!(told_of_application(&claims, protocol).starts_with("the token is right"));
    }
    // A file that asks for the permission of another protocol, or for those of all.
    let scopes = ["IMAP.AccessAsApp", "SMTP.SendAsApp"].map(|it| format!("https://x.example/{it}"));
    let wanted = |scopes: &[String]| {
        let user = &Username::parse("alice@contoso.com").unwrap();
        let (grant, protocol) = (&Grant::of_application(), Protocol::Submission);
        let claims = Claims { roles: texts(&["IMAP.AccessAsApp"]), ..Claims::default() };
        compared(&claims, &Wanted { user, protocol, scopes, grant, now: NOW }).unwrap()
    };
    for scopes in [&scopes[..1], &scopes] {
        assert_eq!(wanted(scopes), "roles=IMAP.AccessAsApp, which lacks SMTP.SendAsApp");
    }
    // What a program prints may be a person's.
    let persons = told_of_application(&of_person(), Protocol::Imap);
    assert!(persons.starts_with("the token is right"), "{persons}");
}

#[test]
fn token_of_another_user_is_told_for_persons_alone() {
    let bobs = Claims { user: Some(("upn", "Bob@contoso.com".to_owned())), ..of_person() };
    assert_eq!(
        told_of_person(&bobs),
        "upn=Bob@contoso.com, which is not Alice@contoso.com: set `mailbox` to it"
    );
    let grant = Grant::of_person("alice@contoso.com");
    let scope = "https://outlook.office.com/IMAP.AccessAsUser.All";
    let by_imap = told(&bobs, &grant, Protocol::Imap, scope).unwrap();
    assert!(by_imap.contains("full access to that mailbox"), "a shared one: {by_imap}");
    let application = Claims { user: bobs.user, ..of_application() };
    assert!(told_of_application(&application, Protocol::Imap).starts_with("the token is right"));
}

#[test]
fn token_of_another_tenant_is_told_where_the_file_names_it_by_its_id() {
    let other = "fa00d692-e9c7-4460-a743-29f2956fd429";
    let claims = Claims { tenant: Some(other.to_owned()), ..of_person() };
    assert_eq!(told_of_person(&claims), format!("tid={other}, which is not {TENANT}"));
    let upper = Claims { tenant: Some(TENANT.to_uppercase()), ..of_person() };
    assert!(told_of_person(&upper).starts_with("the token is right"));
    let claims = Claims { tenant: Some(other.to_owned()), ..of_application() };
    assert!(told_of_application(&claims, Protocol::Imap).starts_with("the token is right"));
    let issuer = Some(format!("https://login.microsoftonline.com/{TENANT}/v2.0"));
    let server = AuthorizationServer { issuer, ..AuthorizationServer::default() };
    let grant = Grant { server, ..Grant::of_application() };
    let scope = "https://outlook.office365.com/.default";
    let found = told(&claims, &grant, Protocol::Imap, scope).unwrap();
    assert_eq!(found, format!("tid={other}, which is not {TENANT}"));
}

#[test]
fn token_that_has_ended_is_told_from_its_own_second_on() {
    let ends_at = |ends_at| Claims { ends_at: Some(ends_at), ..of_person() };
    assert_eq!(
        told_of_person(&ends_at(NOW)),
        "exp=2026-11-22T13:30:00Z, which is past: check this machine's clock"
    );
    let second = Duration::from_secs(1);
    assert!(told_of_person(&ends_at(NOW + second)).starts_with("the token is right"));
    for far in [LAST, Duration::from_secs(u64::MAX)] {
        assert!(told_of_person(&ends_at(far)).starts_with("the token is right"));
    }
}

#[test]
fn everything_that_differs_is_told_within_bounds() {
    let claims = Claims {
        audiences: texts(&[GRAPH[0]]),
        user: Some(("preferred_username", "bob@contoso.com".to_owned())),
        ends_at: Some(Duration::ZERO),
        ..of_person()
    };
    let told = told_of_person(&claims);
    let clauses: Vec<&str> = told.split("; ").collect();
    assert_eq!(clauses.len(), 3, "{told}");
    for (clause, begins) in clauses.iter().zip(["aud=", "preferred_username=", "exp=1970-"]) {
        assert!(clause.starts_with(begins), "{told}");
    }
    let endless = Claims { audiences: vec!["x".repeat(128); 64], ..of_person() };
    assert_eq!(told_of_person(&endless).len(), TOLD_LEN_MAX);
}

#[test]
fn token_that_tells_nothing_of_use_is_not_judged() {
    let grant = Grant::of_application();
    // Keycloak's: its scopes name no service.
    assert_eq!(told(&of_person(), &grant, Protocol::Imap, "openid"), None);
    let scope = "https://outlook.office365.com/";
    assert_eq!(told(&Claims::default(), &grant, Protocol::Imap, scope), None);
    // Of another service there is nothing to say but that the token is not what is wrong.
    let claims = Claims {
        audiences: texts(&["https://mail.example"]),
        roles: texts(&["IMAP.AccessAsApp"]),
        ..Claims::default()
    };
    let told = told(&claims, &grant, Protocol::Imap, "https://mail.example/.default");
    assert_eq!(told.unwrap(), "the token is right for IMAP and Alice@contoso.com");
}
