//! Endpoints, parameters and scopes of providers.

use super::*;
use crate::provider::{AuthorizationServer, Grant, LoopbackRedirect};

const HOST: &str = "submission = { host = \"smtp.corp.example\", port = 465, tls = \"implicit\" }";

/// A person's account of the provider `corp`, which has these keys.
fn corp(keys: &str) -> String {
    good_with(&[
        (PROVIDER, "provider = \"corp\""),
        (TENANT, ""),
        (GRANT, "grant = \"authorization-code\""),
        (END, &format!("[providers.corp]\n{HOST}\n{keys}")),
    ])
}

fn grant(text: &str) -> Arc<Grant> {
    let config = parse(text).unwrap_or_else(|problems| panic!("{problems:#?}"));
    assert_eq!(warnings(&config), Vec::<String>::new());
    Arc::clone(&config.accounts[0].grant)
}

#[test]
fn endpoints_one_by_one_are_what_the_file_says() {
    let text = corp(
        r#"
        token_endpoint = "https://id.example/token"
        authorization_endpoint = "https://id.example/auth?realm=corp"
        device_authorization_endpoint = "https://id.example/device"
        revocation_endpoint = "https://id.example/revoke"
        authorization_params = { prompt = "consent", "access_type" = "offline" }
        resource = "https://mail.example/"
        "#,
    );
    let url = |url: &str| Some(url.to_owned());
    let params = [("access_type", "offline"), ("prompt", "consent")];
    let mut server = grant(&text).server.clone();
    server.authorization_params.sort();
    assert_eq!(
        server,
        AuthorizationServer {
            token_endpoint: url("https://id.example/token"),
            authorization_endpoint: url("https://id.example/auth?realm=corp"),
            device_authorization_endpoint: url("https://id.example/device"),
            revocation_endpoint: url("https://id.example/revoke"),
            authorization_params: params.map(|(name, value)| (name.into(), value.into())).into(),
            resource: url("https://mail.example/"),
            loopback_redirect: LoopbackRedirect::Address,
            ..AuthorizationServer::default()
        }
    );
}

#[test]
fn an_issuer_tells_what_is_not_written_beside_it() {
    let issuer = "issuer = \"https://id.example/realms/corp\"";
    let server = grant(&corp(issuer)).server.clone();
    let expected = AuthorizationServer {
        issuer: Some("https://id.example/realms/corp".into()),
        is_discovered: true,
        ..AuthorizationServer::default()
    };
    assert_eq!(server, expected);
    let device = corp(issuer).replace("authorization-code", "device-code");
    assert_eq!(grant(&device).server, expected);
    let token = "token_endpoint = \"https://id.example/token\"";
    let written = grant(&corp(&format!("{issuer}\n{token}"))).server.clone();
    let token_endpoint = Some("https://id.example/token".to_owned());
    assert_eq!(written, AuthorizationServer { token_endpoint, ..expected.clone() });

    let fastmail = good_with(&[
        (PROVIDER, "provider = \"fastmail\""),
        (TENANT, ""),
        (GRANT, "grant = \"authorization-code\""),
        (END, &format!("[providers.fastmail]\n{issuer}")),
    ]);
    assert_eq!(
        grant(&fastmail).server,
        expected,
        "another issuer's endpoints are not the preset's"
    );
}

#[test]
fn an_own_authorization_endpoint_is_not_the_presets_issuer() {
    let text = good_with(&[
        (PROVIDER, "provider = \"fastmail\""),
        (TENANT, ""),
        (GRANT, "grant = \"authorization-code\""),
        (END, "[providers.fastmail]\nauthorization_endpoint = \"https://other.example/\""),
    ]);
    let server = grant(&text).server.clone();
    assert_eq!((server.issuer, server.tells_issuer), (None, false));
}

#[test]
fn parameters_of_a_preset_are_changed_one_by_one() {
    let params = |params: &str| {
        let end = format!("[providers.microsoft]\nauthorization_params = {params}");
        grant(&good_with(&[(END, &end)])).server.authorization_params.clone()
    };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(params("{}"), [pair("prompt", "select_account")]);
    assert_eq!(
        params("{ domain_hint = \"a b&c\" }"),
        [pair("prompt", "select_account"), pair("domain_hint", "a b&c")]
    );
    assert_eq!(params("{ prompt = \"login\" }"), [pair("prompt", "login")]);
    assert_eq!(params("{ prompt = \"\" }"), [], "an empty value leaves it out");
}

#[test]
fn endpoints_and_parameters_that_are_wrong_are_refused() {
    let ours = "is a parameter that mailbearer sets itself";
    let names = [
        "response_type",
        "client_id",
        "redirect_uri",
        "scope",
        "state",
        "code_challenge",
        "code_challenge_method",
        "nonce",
        "response_mode",
        "login_hint",
        "resource",
        "client_secret",
        "request",
        "request_uri",
    ];
    let cases: Vec<String> = names
        .iter()
        .map(|name| {
            format!(
                "+ authorization_params = {{ {name} = \"x\" }}\nauthorization_params.{name} {ours}"
            )
        })
        .collect();
    refused("providers.microsoft", &cases.join("\n"));
    let long = "x".repeat(1025);
    let many: Vec<String> = (0..17).map(|nth| format!("p{nth} = \"x\"")).collect();
    refused(
        "providers.microsoft",
        &format!(
            r#"
        + authorization_params = "prompt=consent"
        authorization_params is a string, not a table
        + authorization_params = {{ prompt = 1 }}
        authorization_params.prompt is an integer, not a string
        + authorization_params = {{ "a+b" = "x" }}
        authorization_params."a+b" is no name of a parameter
        + authorization_params = {{ prompt = "{long}" }}
        authorization_params.prompt is no value of a parameter
        + authorization_params = {{ prompt = "a\nb" }}
        authorization_params.prompt is no value of a parameter
        + authorization_params = {{ {} }}
        authorization_params holds 17 parameters
        + resource = "mail.example"
        resource is no absolute URI
        + resource = "https://mail.example/#x"
        resource holds a fragment (#)
        + issuer = "https://id.example/?realm=corp"
        issuer holds a query (?), which no issuer has
        + issuer = "https://id.example/#top"
        issuer holds a fragment (#)
        + issuer = "http://id.example/"
        issuer is not https, and would show secret and token to the network
        + issuer = "id.example"
        issuer is no URL
        + authorization_endpoint = "http://id.example/auth"
        authorization_endpoint is not https, and would show secret and token to the network
        + authorization_endpoint = "https://id.example/auth#x"
        authorization_endpoint holds a fragment (#)
        + device_authorization_endpoint = "ftp://id.example/"
        device_authorization_endpoint is not https, and would show secret and token to the network
        "#,
            many.join(", ")
        ),
    );
}

#[test]
fn a_token_endpoint_is_missed_by_whoever_needs_it() {
    let lacks = "12: `providers.corp` lacks `token_endpoint`";
    assert_eq!(problems(&corp("authorization_endpoint = \"https://id.example/auth\"")), [lacks]);
    let command = corp("")
        .replace("grant = \"authorization-code\"", "grant = \"command\"\ncommand = [\"sh\"]")
        .replace("client_id = \"app\"", "")
        .replace("client_secret = { env = \"SECRET\" }", "");
    assert!(parse(&command).is_ok(), "a command asks nobody");
    let unused = good_with(&[(END, "[providers.corp]")]);
    assert!(parse(&unused).is_ok(), "nobody asks it");
}

#[test]
fn a_person_whose_consent_cannot_be_asked_for_is_warned_of() {
    let token = "token_endpoint = \"https://id.example/token\"";
    let config = parse(&corp(token)).unwrap();
    assert_eq!(
        warnings(&config),
        [
            "5: `accounts.\"alice@contoso.com\"` cannot be given consent by browser: its provider corp \
          has no authorization_endpoint"
        ]
    );
    for key in ["authorization_endpoint", "device_authorization_endpoint"] {
        grant(&corp(&format!("{token}\n{key} = \"https://id.example/consent\"")));
    }
    let device = corp(token).replace("authorization-code", "device-code");
    assert_eq!(
        problems(&device),
        ["5: `accounts.\"alice@contoso.com\"` has \"device-code\", and its provider corp has no \
          device flow"]
    );
}

/// What is told about `scopes` where `grant` asks for them, with the help.
fn scopes(grant: &str, scopes: &str) -> Vec<(String, String)> {
    let end = format!("[providers.microsoft]\nscopes = {scopes}");
    let problems = match parse(&good_with(&[(GRANT, &format!("grant = {grant:?}")), (END, &end)])) {
        Ok(config) => config.warnings,
        Err(problems) => problems,
    };
    problems.into_iter().map(|problem| (problem.message, problem.help)).collect()
}

const RIGHT: &str = "write scopes = { submission = [\"https://outlook.office.com/SMTP.Send\", \
    \"offline_access\", \"openid\", \"profile\"], imap = \
    [\"https://outlook.office.com/IMAP.AccessAsUser.All\", \"offline_access\", \"openid\", \
    \"profile\"], pop3 = [\"https://outlook.office.com/POP.AccessAsUser.All\", \"offline_access\", \
    \"openid\", \"profile\"] }";

const RIGHT_OF_APPLICATIONS: &str = "write scopes = [\"https://outlook.office365.com/.default\"]";

#[test]
fn scopes_that_cannot_work_are_refused_with_those_that_do() {
    let graph = "of Microsoft Graph, whose tokens no mail server takes";
    let person = "authorization-code";
    for (written, told) in [
        (r#"["https://graph.microsoft.com/Mail.Send", "offline_access"]"#, graph),
        (r#"["https://GRAPH.microsoft.com/.default"]"#, graph),
        (r#"["User.Read", "https://outlook.office.com/SMTP.Send", "offline_access"]"#, graph),
        (r#"["Mail.Send"]"#, graph),
        (r#"["00000003-0000-0000-C000-000000000000/Mail.Send", "offline_access"]"#, graph),
        (
            r#"["https://outlook.office.com/SMTP.SendAsApp", "offline_access"]"#,
            "a permission that applications are given in their registration and that is no scope",
        ),
        (
            r#"["https://outlook.office.com/SMTP.Send", "https://other.example/x", "offline_access"]"#,
            "and a token is for one resource alone",
        ),
        (
            r#"["https://outlook.office.com/.default", "https://outlook.office.com/SMTP.Send"]"#,
            "which stands for all permissions, beside \"https://outlook.office.com/SMTP.Send\"",
        ),
        (
            r#"["https://outlook.office.com/SMTP.Send", "openid"]"#,
            "without which Entra gives no refresh token",
        ),
    ] {
        let [(message, help)] = scopes(person, written).try_into().unwrap();
        assert!(message.ends_with(told), "{written}: {message}");
        assert_eq!(help, RIGHT, "{written}");
    }
    for (written, told) in [
        (r#"["https://graph.microsoft.com/.default"]"#, graph),
        (r#"["https://outlook.office365.com/SMTP.Send"]"#, "which ends in /.default"),
        (
            r#"["https://outlook.office365.com/.default", "offline_access"]"#,
            "which ends in /.default",
        ),
    ] {
        let [(message, help)] = scopes("client-credentials", written).try_into().unwrap();
        assert!(message.ends_with(told), "{written}: {message}");
        assert_eq!(help, RIGHT_OF_APPLICATIONS, "{written}");
    }
}

#[test]
fn scopes_that_work_are_taken() {
    for written in [
        r#"["https://outlook.office365.com/SMTP.Send", "offline_access", "email", "openid"]"#,
        r#"["https://outlook.office.com/.default", "offline_access"]"#,
        r#"["https://outlook.office.com/SMTP.Send", "https://outlook.office.com/IMAP.AccessAsUser.All", "offline_access"]"#,
        r#"["https://outlook.office.com/SMTP.Send", "https://outlook.office365.com/IMAP.AccessAsUser.All", "offline_access"]"#,
        r#"{ imap = ["https://outlook.office.com/IMAP.AccessAsUser.All", "offline_access"] }"#,
    ] {
        assert_eq!(scopes("authorization-code", written), [], "{written}");
    }
    let own = r#"["https://outlook.office.com/.default"]"#;
    assert_eq!(scopes("client-credentials", own), []);
}

#[test]
fn scopes_of_a_protocol_that_the_file_leaves_out_are_the_presets() {
    let imap = "https://outlook.office365.com/IMAP.AccessAsUser.All";
    let end =
        format!("[providers.microsoft]\nscopes = {{ imap = [{imap:?}, \"offline_access\"] }}");
    let config = config(&[(GRANT, "grant = \"authorization-code\""), (END, &end)]);
    let scopes = &config.accounts[0].scopes;
    assert_eq!(scopes.imap, [imap, "offline_access"]);
    assert_eq!(scopes.submission[0], "https://outlook.office.com/SMTP.Send");
}

#[test]
fn scopes_are_judged_by_who_gives_the_tokens() {
    let other = |scope: &str| {
        let keys = format!(
            "token_endpoint = \"https://id.example/token\"\nauthorization_endpoint = \
             \"https://id.example/\"\nscopes = [{scope:?}]"
        );
        parse(&corp(&keys)).map(drop).map_err(|problems| problems.len())
    };
    assert_eq!(other("Mail.Send"), Ok(()), "a bare name is another's own");
    assert_eq!(other("https://graph.microsoft.com/Mail.Send"), Err(1));
    let entra = corp(
        "token_endpoint = \"https://login.microsoftonline.com/contoso.com/oauth2/v2.0/token\"\n\
         authorization_endpoint = \"https://login.microsoftonline.com/contoso.com/oauth2/v2.0/authorize\"",
    );
    assert_eq!(grant(&entra).server.loopback_redirect, LoopbackRedirect::Localhost);
    assert_eq!(problems(&format!("{entra}\nscopes = [\"Mail.Send\"]")).len(), 1);
}
