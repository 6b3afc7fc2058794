//! What a device hears at its MAIL when its account cannot be used, and what is logged.

use mailbearer::provider::Protocol;
use mailbearer::sandbox::{Action, Fault, Step, Times};

use super::scene::{SCANNERS, at, deliver, device, finish, rig, scanner, with_devices};
use super::support::log::Log;

const WITHOUT_CONSENT: &str = with_devices!(
    "[devices.fax]\naccount = \"carol@example.com\"\nnetworks = [\"127.0.0.2\"]\n",
    "[accounts.\"carol@example.com\"]\nprovider = \"sandbox\"\ngrant = \"authorization-code\"\n"
);

#[tokio::test]
async fn a_device_whose_account_lacks_its_consent_hears_what_to_run() {
    let log = Log::keep();
    let rig = rig(WITHOUT_CONSENT).await;
    let mut client = at(&rig, "devices", SCANNERS).await;
    let heard = client.ask("MAIL FROM:<scan@lan>", "451 4.3.0 ").await;
    assert!(heard.ends_with(" run: mailbearer authorize carol@example.com"), "{heard}");
    let told = log.take_until("refusal=\"consent-needed\"").await;
    assert!(told.contains("account=\"carol@example.com\""), "{told}");
    client.ask("RCPT TO:<a@lan>", "503 5.5.1 ").await;
}

#[tokio::test]
async fn a_device_is_put_off_while_the_token_endpoint_is_down_and_served_afterwards() {
    let log = Log::keep();
    let rig = rig(with_devices!(device!())).await;
    rig.provider.token_fault(Fault::Html, Times::Next(1));
    let mut client = scanner(&rig).await;
    client.ask("MAIL FROM:<scan@lan>", "451 4.3.0 ").await;
    let told = log.take_until("refusal=\"token-endpoint-unavailable\"").await;
    assert!(told.contains("WARN") && told.contains("cause="), "{told}");
    client.ask("RCPT TO:<a@lan>", "503 5.5.1 ").await;
    client.ask("MAIL FROM:<scan@lan>", "250 ").await;
    finish(&mut client).await;
    assert_eq!(rig.messages().len(), 1);
}

#[tokio::test]
async fn a_device_is_put_off_while_the_provider_s_server_is_down() {
    let log = Log::keep();
    let rig = rig(with_devices!(device!())).await;
    rig.provider.script().on(Protocol::Submission, Step::Connect, Times::Next(1), Action::Close);
    let mut client = scanner(&rig).await;
    client.ask("MAIL FROM:<scan@lan>", "451 4.3.0 ").await;
    log.take_until("refusal=\"upstream-unavailable\"").await;
    deliver(&mut client, "scan@lan").await;
}

#[tokio::test]
async fn a_device_whose_fresh_token_is_refused_hears_it_for_good_with_the_cause() {
    let log = Log::keep();
    let rig = rig(with_devices!(device!())).await;
    rig.provider.script().on(Protocol::Submission, Step::Token, Times::Always, Action::RefuseToken);
    let mut client = scanner(&rig).await;
    let heard = client.ask("MAIL FROM:<scan@lan>", "550 5.7.1 ").await;
    // It showed no credentials, so no code speaks of them (RFC 4954 section 6: 535 is AUTH's).
    assert!(
        heard.contains("; the token is for another user") && !heard.contains("5.7.3"),
        "{heard}"
    );
    let told = log.take_until("refusal=\"upstream-refused\"").await;
    assert!(told.contains("535 5.7.3") && told.contains("fix="), "{told}");
    assert_eq!(rig.heard_by_smtp("MAIL"), Vec::<String>::new());
    rig.provider.script().clear();
    deliver(&mut client, "scan@lan").await;
}

#[tokio::test]
async fn a_device_whose_account_its_listener_does_not_serve_is_not_told_to_be_unknown() {
    let log = Log::keep();
    let rig = rig(with_devices!(
        "accounts = [\"bob@example.com\"]\n",
        device!(),
        "[accounts.\"bob@example.com\"]\nprovider = \"sandbox\"\n"
    ))
    .await;
    let mut client = scanner(&rig).await;
    client.ask("MAIL FROM:<scan@lan>", "530 5.7.0 ").await;
    let told = log.take_until("refusal=\"no-device\"").await;
    assert!(told.contains("[devices.scanner]") && told.contains("`accounts`"), "{told}");
    assert!(!told.contains("add "), "{told}");
}
