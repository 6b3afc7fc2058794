//! The ways in which tokens are asked for: what each takes, and what is told where it lacks that.

use super::*;
use crate::provider::{
    AuthorizationServer, ClientAuth, Grant, GrantId, GrantKind, ManagedIdentity, ServiceAccountKey,
    Way,
};

/// [`GOOD`] with `keys` in place of those of its grant, and `end` behind it.
fn text(keys: &str, end: &str) -> String {
    let none = [TENANT, CLIENT_ID, CLIENT_SECRET].map(|line| (line, ""));
    let changes: Vec<_> = none.into_iter().chain([(GRANT, keys), (END, end)]).collect();
    good_with(&changes)
}

/// Reads it where the environment holds `variables` besides, and nothing is done with secrets.
fn parse_with(text: &str, variables: &[(&str, &str)]) -> Result<Config, Vec<Problem>> {
    parse_for(Secrets::Leave, text, variables)
}

fn parse_for(
    secrets: Secrets,
    text: &str,
    variables: &[(&str, &str)],
) -> Result<Config, Vec<Problem>> {
    let looked_up = |name: &str| {
        let found = variables.iter().find(|(variable, _)| *variable == name);
        found.map_or_else(|| env(name), |(_, value)| Ok((*value).to_owned()))
    };
    Config::parse(text, Path::new("/nowhere"), &looked_up, secrets)
}

fn grant(text: &str, variables: &[(&str, &str)]) -> Arc<Grant> {
    let config = parse_with(text, variables).unwrap_or_else(|problems| panic!("{problems:#?}"));
    Arc::clone(&config.accounts[0].grant)
}

fn told(text: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let problems = parse_with(text, variables).expect_err(text);
    problems.into_iter().map(|problem| problem.message).collect()
}

const COMMAND: &str = "grant = \"command\"\ncommand = [\"sh\", \"-c\", \"echo token\"]";
const MANAGED: &str = "grant = \"managed-identity\"";
const WORKLOAD: &str = "grant = \"workload-identity\"";

/// AKS names these ("Use Microsoft Entra Workload ID with Azure Kubernetes Service").
const AKS: [(&str, &str); 4] = [
    ("AZURE_FEDERATED_TOKEN_FILE", "/var/run/secrets/azure/tokens/azure-identity-token"),
    ("AZURE_CLIENT_ID", "pod"),
    ("AZURE_TENANT_ID", "01234567-89AB-cdef-0123-456789abcdef"),
    ("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.us/"),
];

#[test]
fn a_key_that_the_grant_of_the_account_does_not_take_is_refused() {
    for (grant, key, takers) in [
        ("client-credentials", "password = \"tell-nobody\"", "\"password\""),
        ("client-credentials", "command = [\"sh\"]", "\"command\""),
        ("client-credentials", "key_file = \"x\"", "\"service-account\""),
        ("client-credentials", "client_email = \"a@b\"", "\"service-account\""),
        ("command", "client_id = \"app\"", "\"managed-identity\""),
        ("command", "tenant = \"contoso.com\"", "\"workload-identity\""),
        ("managed-identity", "tenant = \"contoso.com\"", "\"device-code\""),
        ("managed-identity", "client_secret = \"tell-nobody\"", "\"authorization-code\""),
        ("workload-identity", "client_secret = \"tell-nobody\"", "\"authorization-code\""),
        ("workload-identity", "client_auth = \"none\"", "\"authorization-code\""),
        ("password", "command = [\"sh\"]", "\"command\""),
    ] {
        let needed = match grant {
            "client-credentials" => {
                "tenant = \"contoso.com\"\nclient_id = \"app\"\nclient_secret = \"x\""
            }
            "password" => "tenant = \"contoso.com\"\nclient_id = \"app\"\npassword = \"x\"",
            "command" => "command = [\"sh\"]",
            _ => "",
        };
        let text = text(&format!("grant = {grant:?}\n{needed}\n{key}"), "");
        let [problem] = parse_with(&text, &AKS).unwrap_err().try_into().unwrap();
        assert_eq!(problem.message, format!("has no use with grant = {grant:?}"), "{key}");
        assert!(problem.help.contains(takers), "{problem:?}");
        let key = key.split(' ').next().unwrap();
        assert!(problem.key.as_deref().unwrap().ends_with(key), "{problem:?}");
    }
}

#[test]
fn a_default_of_the_provider_that_does_not_fit_is_not_used() {
    let defaults = r#"[providers.microsoft]
        tenant = "contoso.com"
        client_id = "app"
        client_secret = { env = "SECRET" }
        password = "tell-nobody"
        key_file = "missing"
        command = ["sh"]"#;
    for kind in GrantKind::ALL {
        if kind != GrantKind::ServiceAccount {
            let grant = grant(&text(&format!("grant = \"{kind}\""), defaults), &AKS);
            assert_eq!(grant.kind(), kind);
        }
    }
}

#[test]
fn a_service_accounts_key_in_a_providers_table_is_not_its_peoples() {
    let defaults = r#"[providers.google]
        client_id = "app"
        client_secret = { env = "SECRET" }
        client_email = "mail@project.iam.gserviceaccount.com"
        private_key_id = "1"
        private_key = "key.pem""#;
    for kind in ["authorization-code", "service-account"] {
        let text = text(&format!("grant = {kind:?}"), defaults);
        let grant = grant(&text.replace("provider = \"microsoft\"", "provider = \"google\""), &[]);
        if let Some(client) = grant.way.client() {
            assert!(matches!(client.auth, ClientAuth::SecretPost(_)), "{client:?}");
        }
    }
}

#[test]
fn a_workload_identity_is_what_the_pod_is_told_unless_the_file_says_otherwise() {
    let by_environment = grant(&text(WORKLOAD, ""), &AKS);
    let Way::WorkloadIdentity(client) = &by_environment.way else { panic!("{by_environment:?}") };
    assert_eq!(client.id, "pod");
    assert!(matches!(&client.auth, ClientAuth::AssertionFile(path) if path == Path::new(AKS[0].1)));
    assert_eq!(
        by_environment.source(),
        "https://login.microsoftonline.us/01234567-89ab-cdef-0123-456789abcdef/oauth2/v2.0/token"
    );
    let keys = format!(
        "{WORKLOAD}\nassertion_file = \"token\"\nclient_id = \"own\"\ntenant = \"contoso.com\""
    );
    let written = grant(&text(&keys, ""), &AKS[..3]);
    let Way::WorkloadIdentity(client) = &written.way else { panic!("{written:?}") };
    assert!(
        matches!(&client.auth, ClientAuth::AssertionFile(path) if path == Path::new("/nowhere/token"))
    );
    let endpoint = "https://login.microsoftonline.com/contoso.com/oauth2/v2.0/token";
    assert_eq!((written.source(), written.client_id()), (endpoint, "own"));
    let id = GrantId::Application {
        provider: "microsoft".into(),
        tenant: Some("contoso.com".into()),
        client_id: "own".into(),
    };
    assert_eq!(written.id, id);
    let own = "[providers.microsoft]\ntoken_endpoint = \"https://id.example/{tenant}\"";
    assert_eq!(grant(&text(&keys, own), &AKS).source(), "https://id.example/contoso.com");
    let own = format!("[providers.microsoft]\ntoken_endpoint = {endpoint:?}");
    let keys = format!("{WORKLOAD}\nassertion_file = \"token\"\nclient_id = \"own\"");
    assert_eq!(grant(&text(&keys, &own), &AKS).source(), endpoint, "the file comes first");
}

#[test]
fn a_workload_identity_lacks_what_neither_file_nor_environment_tell() {
    let lacks = |key, variable| format!("lacks `{key}`, and ${variable} does not hold one");
    let variables = [("AZURE_TENANT_ID", "common"), ("AZURE_CLIENT_ID", "")];
    let problems = parse_for(Secrets::Verify, &text(WORKLOAD, ""), &variables).unwrap_err();
    assert_eq!(
        problems.into_iter().map(|problem| problem.message).collect::<Vec<_>>(),
        [
            lacks("assertion_file", "AZURE_FEDERATED_TOKEN_FILE"),
            lacks("client_id", "AZURE_CLIENT_ID"),
            lacks("tenant", "AZURE_TENANT_ID"),
        ]
    );
    for host in
        ["http://login.example/", "login.example", "https://login.example/x", "https://a@b/"]
    {
        let mut variables = AKS;
        variables[3].1 = host;
        assert_eq!(
            told(&text(WORKLOAD, ""), &variables),
            ["finds $AZURE_AUTHORITY_HOST to be no https:// address of a login host"],
            "{host}"
        );
    }
}

/// Commands that the relay in the pod carries out need nothing of its environment.
#[test]
fn a_workload_identity_is_left_unknown_outside_of_its_pod() {
    let cases: [(&[(&str, &str)], &str); 3] = [
        (&[], "AZURE_FEDERATED_TOKEN_FILE"),
        (&AKS[..1], "AZURE_CLIENT_ID"),
        (&AKS[..2], "AZURE_TENANT_ID"),
    ];
    for (variables, missing) in cases {
        let grant = grant(&text(WORKLOAD, ""), variables);
        let Way::WorkloadIdentity(client) = &grant.way else { panic!("{grant:?}") };
        // Nobody is asked by what is not known.
        let ClientAuth::SecretPost(unset) = &client.auth else { panic!("{grant:?}") };
        let told = unset.read().unwrap_err().to_string();
        assert_eq!(told, format!("the secret's variable {missing} is not set"));
        assert!(!grant.source().contains("{tenant}"), "{grant:?}");
    }
}

/// "How to use managed identities for Azure resources on an Azure VM to acquire an access token" and
/// "How to use managed identities for App Service and Azure Functions".
#[test]
fn a_managed_identity_is_asked_where_azure_says() {
    let imds = grant(&text(MANAGED, ""), &[]);
    assert!(matches!(&imds.way, Way::ManagedIdentity(ManagedIdentity::Imds { client_id: None })));
    let endpoint = "http://169.254.169.254/metadata/identity/oauth2/token";
    let server = |endpoint: &str| AuthorizationServer {
        token_endpoint: Some(endpoint.to_owned()),
        ..AuthorizationServer::default()
    };
    assert_eq!(imds.server, server(endpoint));

    let app_service =
        [("IDENTITY_ENDPOINT", "http://172.16.0.1:8081/msi/token"), ("IDENTITY_HEADER", SECRET)];
    let keys = format!("{MANAGED}\nclient_id = \"user-assigned\"");
    let app = grant(&text(&keys, ""), &app_service);
    assert!(matches!(&app.way, Way::ManagedIdentity(ManagedIdentity::AppService {
        header: SecretSource::Env { value: Ok(_), .. },
        client_id: Some(id),
    }) if id == "user-assigned"));
    assert_eq!(app.server, server(app_service[0].1));
    assert!(!format!("{app:?}").contains(SECRET));

    let own = "[providers.microsoft]\ntoken_endpoint = \"http://192.0.2.1/token\"";
    for variables in [&[][..], &app_service] {
        assert_eq!(grant(&text(MANAGED, own), variables).server, server("http://192.0.2.1/token"));
    }
    // RFC 8707's word names what IMDS calls `resource`.
    let named = grant(&text(MANAGED, "[providers.microsoft]\nresource = \"api://mail\""), &[]);
    assert_eq!(named.server.resource.as_deref(), Some("api://mail"));
    assert_eq!(
        told(&text(MANAGED, ""), &app_service[..1]),
        [
            "finds $IDENTITY_ENDPOINT without $IDENTITY_HEADER, as Azure Arc has it, which mailbearer \
          does not know"
        ]
    );
}

#[test]
fn a_token_endpoint_in_clear_is_for_managed_identities_alone() {
    let own = "[providers.microsoft]\ntoken_endpoint = \"http://192.0.2.1/token\"";
    let other = second_account("bob@contoso.com", &[]);
    assert_eq!(
        told(&text(MANAGED, &format!("{other}\n{own}")), &[]),
        ["is not https, and would show secret and token to the network"]
    );
}

#[test]
fn a_token_endpoint_in_clear_is_taken_on_this_machine_by_whatever_name() {
    let by_secret = "grant = \"client-credentials\"\nclient_id = \"a\"\nclient_secret = \"s\"";
    let own = |host: &str| format!("[providers.microsoft]\ntoken_endpoint = \"http://{host}/t\"");
    for host in ["127.9.9.9", "localhost", "LOCALHOST.", "[::1]", "[::ffff:127.0.0.1]"] {
        let server = grant(&text(by_secret, &own(host)), &[]).server.clone();
        assert_eq!(server.token_endpoint, Some(format!("http://{host}/t")));
    }
    for host in ["10.0.0.1", "localhost.example", "[::ffff:10.0.0.1]"] {
        let told = told(&text(by_secret, &own(host)), &[]);
        assert_eq!(
            told,
            ["is not https, and would show secret and token to the network"],
            "{host}"
        );
    }
}

#[test]
fn a_service_account_has_one_key_in_one_of_two_forms() {
    let google = |keys: &str, end: &str| {
        let text = text(&format!("grant = \"service-account\"\n{keys}"), end);
        text.replace("provider = \"microsoft\"", "provider = \"google\"")
    };
    let file = grant(&google("key_file = \"key.json\"", ""), &[]);
    let Way::ServiceAccount(account) = &file.way else { panic!("{file:?}") };
    assert!(
        matches!(&account.key, ServiceAccountKey::File(path) if path == Path::new("/nowhere/key.json"))
    );
    let id = |key: &str| GrantId::ServiceAccount {
        provider: "google".into(),
        key: key.into(),
        subject: None,
    };
    assert_eq!(file.id, id("/nowhere/key.json"));
    assert_eq!(file.source(), "https://oauth2.googleapis.com/token");

    let parts = "client_email = \"m@p.iam.gserviceaccount.com\"\nprivate_key_id = \"k\"\n\
                 private_key = { env = \"SECRET\" }";
    let default = "[providers.google]\nkey_file = \"key.json\"";
    let written = grant(&google(parts, default), &[]);
    assert_eq!(written.id, id("m@p.iam.gserviceaccount.com"), "its own comes first");
    let Way::ServiceAccount(account) = &written.way else { panic!("{written:?}") };
    assert!(
        matches!(&account.key, ServiceAccountKey::Written { private_key_id, .. } if private_key_id == "k")
    );

    assert_eq!(told(&google("", ""), &[]), ["lacks `key_file`"]);
    assert_eq!(
        told(&google("client_email = \"a@b\"", ""), &[]),
        ["lacks `private_key_id`", "lacks `private_key`"]
    );
    assert_eq!(
        told(&google(&format!("key_file = \"x\"\n{parts}"), ""), &[]),
        ["stands beside `client_email`, and a service account has one key"]
    );
    let scopes = parse_with(&google(parts, ""), &[]).unwrap().accounts[0].scopes.clone();
    assert_eq!(scopes.imap, ["https://mail.google.com/"]);
    assert_eq!(
        told(&google("client_email = \"nobody\"", ""), &[])[0],
        "is no address of a service account"
    );
}

#[test]
fn a_service_account_may_cover_a_domain_and_its_accounts_share_it() {
    let keys = "grant = \"service-account\"\nkey_file = \"key.json\"";
    let second = "[accounts.\"*@contoso.com\"]\nprovider = \"google\"\n";
    let text = text(keys, &format!("{second}{keys}")).replace("\"microsoft\"", "\"google\"");
    let [one, other] = parse_with(&text, &[]).unwrap().accounts.try_into().unwrap();
    assert!(Arc::ptr_eq(&one.grant, &other.grant));
}

#[test]
fn a_password_is_one_persons_and_warned_of() {
    let keys = "grant = \"password\"\ntenant = \"contoso.com\"\nclient_id = \"app\"\npassword = { env \
                = \"SECRET\" }";
    let config = parse_with(&text(keys, ""), &[]).unwrap();
    let grant = &config.accounts[0].grant;
    assert!(matches!(&grant.way, Way::Password { client, .. } if client.id == "app"));
    assert_eq!(grant.id, GrantId::Account(Username::parse("alice@contoso.com").unwrap()));
    assert_eq!(grant.refresh_idle, None);
    assert_eq!(config.accounts[0].scopes.submission, ["https://outlook.office.com/SMTP.Send"]);
    let [warning] = config.warnings.try_into().unwrap();
    assert!(warning.message.starts_with("has grant = \"password\", which providers are ending"));
    assert!(warning.help.starts_with("write grant = \"authorization-code\""));
    assert_eq!(told(&text(&keys.replace("password = {", "# {"), ""), &[]), ["lacks `password`"]);
}

#[test]
fn a_grant_of_one_person_is_refused_at_a_wildcard() {
    for kind in [GrantKind::AuthorizationCode, GrantKind::DeviceCode, GrantKind::Password] {
        let keys = format!("grant = \"{kind}\"\ntenant = \"contoso.com\"\nclient_id = \"app\"");
        let text = text(&keys, "").replace("alice@", "*@");
        let sentence =
            format!("stands for many mailboxes, and has \"{kind}\", the grant of one person");
        assert_eq!(told(&text, &[]), [sentence]);
    }
}

#[test]
fn equal_commands_of_a_provider_are_one_grant_and_others_are_not() {
    let second_at = |provider: &str, command: &str| {
        let second = format!("[accounts.\"*@contoso.com\"]\nprovider = {provider:?}\n{command}");
        let [one, other] =
            parse_with(&text(COMMAND, &second), &[]).unwrap().accounts.try_into().unwrap();
        (one.grant, other.grant)
    };
    let second = |command: &str| second_at("microsoft", command);
    let (one, other) = second_at("google", COMMAND);
    assert_ne!(one.id, other.id, "each provider has its own");
    let (one, same) = second(COMMAND);
    assert!(Arc::ptr_eq(&one, &same));
    assert!(matches!(&one.way, Way::Command(command) if command.program() == Path::new("sh")));
    assert_eq!(one.server, AuthorizationServer::default());
    let (one, other) = second(&COMMAND.replace("token", "tell-nobody"));
    assert_ne!(one.id, other.id, "tokens are kept by it");
    assert!(!format!("{other:?}").contains(SECRET), "an argument may be secret");
    assert_eq!(told(&text("grant = \"command\"", ""), &[]), ["lacks `command`"]);
    assert_eq!(
        told(&text("grant = \"command\"\ncommand = \"sh -c tell-nobody\"", ""), &[]),
        ["is a string, not a list, and no shell takes it apart"]
    );
}

#[test]
fn one_application_by_two_grants_is_refused() {
    let keys = "tenant = \"contoso.com\"\nclient_id = \"app\"";
    let one = format!("{WORKLOAD}\n{keys}");
    let other = format!(
        "[accounts.bob]\nprovider = \"microsoft\"\ngrant = \"client-credentials\"\n{keys}\nclient_secret = \"x\""
    );
    assert_eq!(
        told(&text(&one, &other), &AKS[..3]),
        ["is of an application that `accounts.\"alice@contoso.com\"` names with grant = \
          \"workload-identity\""]
    );
}

#[test]
fn one_application_with_two_names_of_its_key_is_refused() {
    let keys = "grant = \"client-credentials\"\ntenant = \"contoso.com\"\nclient_id = \"app\"\n\
                certificate = \"app.pem\"\nprivate_key = \"app.key\"\n";
    let with = |id: &str| {
        let other =
            format!("[accounts.bob]\nprovider = \"microsoft\"\n{keys}private_key_id = {id:?}");
        parse_with(&text(&format!("{keys}private_key_id = \"one\""), &other), &[])
    };
    assert!(with("one").is_ok());
    let problems = with("two").unwrap_err();
    assert!(problems[0].message.starts_with("is not that of"), "{problems:?}");
}

#[test]
fn any_local_password_is_refused_with_every_grant_of_an_application() {
    for keys in [COMMAND, MANAGED, WORKLOAD] {
        let text = text(keys, "").replace("{ env = \"SECRET\" }", "\"any\"");
        assert_eq!(told(&text, &AKS), ["is \"any\", which an application's grant never takes"]);
    }
}
