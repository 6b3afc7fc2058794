//! `support-bundle --hide-names`: no name of anybody is left.

use std::fs;

use super::{FILE, mailbearer, printed};

/// A file with a name in every place that has one. `SECRET` is a file that is there.
const NAMED_FILE: &str = r#"
[listeners.submission]
protocol = "submission"
address = ["localhost:1587", "192.168.20.3:1588"]
require_tls = false
devices = true
accounts = ["*@contoso.com"]

[listeners.of-wonderland]
protocol = "imap"
address = "unix:wonderland.sock"
upstream = { host = "imap.contoso.com", port = 993, tls = "implicit" }
accounts = ["bobsmith"]

[devices.scan-of-wonderland]
account = "alice@contoso.com"
networks = ["192.168.20.17", "10.9.0.0/16"]
username = "scanalice"
senders = ["scan@fabrikam.example"]

[providers.wonderland]
token_endpoint = "https://login.microsoftonline.com/contoso.onmicrosoft.com/oauth2/v2.0/token"
authorization_endpoint = "https://id.contoso.com/wonderland/authorize"
scopes = ["api://the-client/.default"]
imap = { host = "imap.contoso.com", port = 993, tls = "implicit" }

[accounts."alice@contoso.com"]
provider = "microsoft"
tenant = "contoso.onmicrosoft.com"
client_id = "the-client"
client_secret = { file = "SECRET" }
grant = "client-credentials"

[accounts.bobsmith]
provider = "wonderland"
client_id = "the-client"
grant = "authorization-code"

[accounts."o'brien@contoso.com"]
provider = "microsoft"
tenant = "contoso.com"
client_id = "the-client"
grant = "authorization-code"

[accounts."carol@contoso.com"]
provider = "microsoft"
tenant = "common"
client_id = "the-client"
client_secret = { env = "CAROL_PASSWORD" }
grant = "authorization-code"
"#;

/// What `args` print beside that file.
fn of_names(args: &[&str]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let secret = "alice@contoso.com.client-secret";
    fs::write(dir.path().join(secret), "x").unwrap();
    fs::write(dir.path().join("mailbearer.toml"), NAMED_FILE.replace("SECRET", secret)).unwrap();
    let output = mailbearer(dir.path(), args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_bundle_hides_names_where_it_is_told_to() {
    let bundle = printed(FILE, &["support-bundle", "--hide-names"]);
    for name in ["alice", "contoso", "the-client"] {
        assert!(!bundle.contains(name), "{name}\n{bundle}");
    }
    assert!(bundle.contains("[accounts.name-1]"), "{bundle}");
    assert!(bundle.contains("\"account\":\"name-1\""), "{bundle}");
}

#[test]
fn no_name_is_left_in_whatever_place_it_stands() {
    let shown = of_names(&["support-bundle"]);
    let hidden = of_names(&["support-bundle", "--hide-names"]).to_lowercase();
    for name in [
        "alice",
        "brien",
        "bobsmith",
        "carol",
        "contoso",
        "fabrikam",
        "wonderland",
        "the-client",
        "192.168.20",
        "10.9.0.0",
    ] {
        assert!(shown.to_lowercase().contains(name), "{name} is in none\n{shown}");
        assert!(!hidden.contains(name), "{name}\n{hidden}");
    }
    // What helps stays.
    for told in [
        "[listeners.submission]",
        "protocol = \"imap\"",
        "\"localhost:1587\"",
        "/16\"",
        "/(not shown)/oauth2/v2.0/token\"",
        "provider = \"microsoft\"",
        "tenant = \"common\"",
        "{ file = (there, not shown) }",
        "{ env = (not set here, not shown) }",
        "\"token\":\"consent needed\"",
    ] {
        assert!(hidden.contains(told), "{told}\n{hidden}");
    }
}

#[test]
fn advice_on_accounts_without_a_mail_address_hides_them_too() {
    let shown = of_names(&["support-bundle"]);
    assert!(shown.contains("mailbearer authorize bobsmith"), "{shown}");
    let hidden = of_names(&["support-bundle", "--hide-names"]);
    assert!(hidden.contains("mailbearer authorize name-"), "{hidden}");
}

#[test]
fn a_secret_in_the_place_of_an_identifier_is_not_shown() {
    let entra = format!("x~{}", "A".repeat(38));
    for (id, is_shown) in [
        ("GOCSPX-abcdefghijklmnopqrstuvwxyz12", false),
        (entra.as_str(), false),
        (&entra[1..], true),
        ("1234-abc.apps.googleusercontent.com", true),
    ] {
        let bundle = printed(&FILE.replace("the-client", id), &["support-bundle"]);
        assert_eq!(bundle.contains(id), is_shown, "{id}\n{bundle}");
    }
}
