//! What a session can rely on while the token endpoint does what it likes.

mod support;

use mailbearer::sandbox::{Fault, Times};
use support::{ALICE, AUTH_PLAIN, Client, PASSWORD, Rig, RigSettings};

#[tokio::test]
async fn twenty_simultaneous_sign_ins_make_one_token_request() {
    let rig = Rig::start().await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = Client::connect(rig.submission).await;
        client.expect("220 ").await;
        clients.push(client);
    }
    let sign_ins = clients.into_iter().map(|mut client| {
        tokio::spawn(async move {
            client.ask(AUTH_PLAIN, "235 ").await;
        })
    });
    for sign_in in sign_ins.collect::<Vec<_>>() {
        sign_in.await.unwrap();
    }
    assert_eq!(rig.provider.token_requests(), 1);
    assert_eq!(rig.provider.smtp_connections(), 20);
}

#[tokio::test]
async fn an_outage_of_the_token_endpoint_is_temporary_and_over_when_it_is_over() {
    let faults = [
        Fault::Status(503, "text/plain".into(), "busy".into()),
        Fault::Status(429, "application/json".into(), "{}".into()),
        Fault::Html,
        Fault::Redirect("http://127.0.0.1:1/".into()),
        Fault::Close,
    ];
    // At once, because after an outage the endpoint is left alone for two seconds.
    let outages = faults.into_iter().map(|fault| tokio::spawn(outage(fault))).collect::<Vec<_>>();
    for outage in outages {
        outage.await.unwrap();
    }
}

/// What two clients hear while the token endpoint shows `fault`, and a third one after that.
async fn outage(fault: Fault) {
    let rig = Rig::start().await;
    rig.provider.token_fault(fault.clone(), Times::Always);
    let mut client = Client::connect(rig.submission).await;
    client.expect("220 ").await;
    let mut imap = Client::connect(rig.imap).await;
    imap.expect("* OK").await;
    imap.send(&format!("a LOGIN {ALICE} {PASSWORD}")).await;
    let heard = client.ask(AUTH_PLAIN, "454 4.7.0 ").await;
    assert!(!heard.contains("password"), "{fault:?}: {heard}");
    imap.expect("a NO [UNAVAILABLE]").await;
    rig.provider.clear_token_faults();
    let mut client = Client::connect(rig.submission).await;
    client.expect("220 ").await;
    client.ask(AUTH_PLAIN, "235 ").await;
}

#[tokio::test]
async fn a_client_secret_that_the_provider_refuses_is_no_wrong_password() {
    let settings = RigSettings { client_secret: Some("not-the-secret"), ..RigSettings::default() };
    let rig = Rig::with(settings).await;
    let mut client = Client::connect(rig.submission).await;
    client.expect("220 ").await;
    client.ask(AUTH_PLAIN, "454 4.7.0 ").await;
    let mut imap = Client::connect(rig.imap).await;
    imap.expect("* OK").await;
    imap.ask(&format!("a LOGIN {ALICE} {PASSWORD}"), "a NO [CONTACTADMIN]").await;
}

#[tokio::test]
async fn a_client_secret_that_is_corrected_in_its_file_is_used_by_the_next_sign_in() {
    let files = vec![("secret", "not-the-secret".to_owned())];
    let rig = Rig::with(RigSettings { files, ..RigSettings::default() }).await;
    let secret = rig.provider.client_secret().to_owned();
    rig.reload(|text| text.replace(&format!("\"{secret}\""), "{ file = \"secret\" }"))
        .await
        .unwrap();
    let mut client = rig.greeted("submission").await;
    client.ask(AUTH_PLAIN, "454 4.7.0 ").await;
    let asked = rig.provider.token_requests();
    client.ask(AUTH_PLAIN, "454 4.7.0 ").await;
    assert_eq!(rig.provider.token_requests(), asked, "the endpoint is left alone for a while");
    std::fs::write(rig.file.with_file_name("secret"), &secret).unwrap();
    client.ask(AUTH_PLAIN, "235 ").await;
    assert_eq!(rig.provider.token_requests(), asked + 1);
}

#[tokio::test]
async fn a_wildcard_account_signs_in_every_mailbox_of_its_domain_and_no_other() {
    let settings = RigSettings { account: "*@example.com", ..RigSettings::default() };
    let rig = Rig::with(settings).await;
    rig.deliver("bob@example.com", b"Subject: for bob\r\n\r\n");
    let mut client = Client::connect(rig.imap).await;
    client.expect("* OK").await;
    client.ask(&format!("a LOGIN bob@elsewhere.example {PASSWORD}"), "a NO").await;
    client.send(&format!("b LOGIN Bob@Example.com {PASSWORD}")).await;
    client.expect_after("b OK").await;
    client.send("c SELECT INBOX").await;
    let selected = client.expect_after("c OK").await;
    assert!(selected.contains(&"* 1 EXISTS".to_owned()), "{selected:?}");
}
