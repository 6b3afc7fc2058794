//! The provider, found by what DNS says.

use std::time::Duration;

use tokio::time::timeout;

use crate::dns::{NameServer, Record};
use crate::rig::{Rig, refused};

/// Asks for contoso.com; gives what was told.
async fn told(server: &NameServer) -> String {
    let rig = Rig::new();
    let address = server.address.to_string();
    let args = ["init", "--address", "a@contoso.com", "--name-server", &address];
    let output = rig.run(&args).await;
    assert_eq!(rig.names(), [""; 0]);
    refused(&output, 64)
}

fn mx(preference: u16, host: &'static str) -> Record {
    Record::Mx { domain: "contoso.com", preference, host }
}

#[tokio::test]
async fn provider_is_found_by_its_mail_exchanger() {
    for (host, name) in [
        ("contoso-com.mail.protection.outlook.com", "(microsoft)"),
        ("aspmx.l.google.com", "(google)"),
        ("in1-smtp.messagingengine.com", "(fastmail)"),
    ] {
        let server = NameServer::start(vec![mx(10, host)]).await;
        let told = told(&server).await;
        assert!(told.contains(name) && told.contains("by the MX records"), "{told}");
    }
}

#[tokio::test]
async fn known_exchanger_counts_behind_an_unknown_one() {
    let records = vec![mx(5, "filter.example"), mx(10, "aspmx.l.google.com")];
    let told = told(&NameServer::start(records).await).await;
    assert!(told.contains("(google)"), "{told}");
}

#[tokio::test]
async fn provider_behind_a_filter_is_found_by_its_autodiscover_name() {
    let records = vec![
        mx(5, "filter.example"),
        Record::Alias { name: "autodiscover.contoso.com", of: "autodiscover.outlook.com" },
    ];
    let told = told(&NameServer::start(records).await).await;
    assert!(told.contains("(microsoft), by the autodiscover name"), "{told}");
}

#[tokio::test]
async fn names_of_dns_are_never_shown() {
    let records = vec![
        mx(10, "evil\u{1b}]0;x\u{7}.example"),
        mx(20, "mail.protection.outlook.com.evil.example"),
    ];
    let told = told(&NameServer::start(records).await).await;
    assert!(told.contains("--provider NAME") && !told.contains("evil"), "{told}");
    assert!(!told.chars().any(|c| c.is_control() && c != '\n'), "{told:?}");
}

#[tokio::test]
async fn name_server_that_does_not_help_is_no_error() {
    for server in [NameServer::silent().await, NameServer::babbling().await] {
        // Three seconds, and what a busy machine takes.
        let told = timeout(Duration::from_secs(20), told(&server)).await.unwrap();
        assert!(told.contains("--provider NAME"), "{told}");
        assert!(server.questions() > 0);
    }
}

#[tokio::test]
async fn well_known_domain_asks_nobody() {
    let server = NameServer::silent().await;
    let rig = Rig::new();
    let address = server.address.to_string();
    let args = ["init", "--address", "a@gmail.com", "--name-server", &address];
    let told = refused(&rig.run(&args).await, 64);
    assert!(told.contains("Gmail, Google Workspace (google), by its domain"), "{told}");
    assert_eq!(server.questions(), 0);
}
