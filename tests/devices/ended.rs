//! When a device's session ends although nobody hung up: one of two on a mailbox, and no other.

use mailbearer::names::Username;

use super::scene::{at, deliver, device, rig, scanner, sign_in, with_devices};
use super::support::log::Log;

const TWO: &str = with_devices!(
    "[devices.left]\naccount = \"alice@example.com\"\nusername = \"left\"\n",
    "[devices.right]\naccount = \"alice@example.com\"\nusername = \"right\"\n"
);

const HALL: &str = "[devices.hall]\naccount = \"alice@example.com\"\nnetworks = [\"127.0.0.3\"]\n";

#[tokio::test]
async fn a_revoked_device_ends_and_the_other_on_its_mailbox_goes_on() {
    let log = Log::keep();
    let rig = rig(TWO).await;
    let mut clients = Vec::new();
    for name in ["left", "right"] {
        let sign_in = sign_in(&rig, name, name).await;
        let mut client = at(&rig, "devices", "127.0.0.9").await;
        client.ask(&sign_in, "235 ").await;
        clients.push((client, sign_in));
    }
    let [(mut left, left_signs_in), (mut right, right_signs_in)] =
        clients.try_into().unwrap_or_else(|_| panic!("two"));
    rig.operator.revoke_password(&Username::parse("left").unwrap(), None).await.unwrap();
    left.expect_end().await;
    drop(left);
    log.take_until("closed reason=\"revoked\"").await;
    deliver(&mut right, "right@lan").await;
    let mut again = at(&rig, "devices", "127.0.0.9").await;
    again.ask(&left_signs_in, "535 5.7.8 ").await;
    again.ask(&right_signs_in, "235 ").await;
}

#[tokio::test]
async fn a_device_that_a_reload_removes_ends_and_the_other_on_its_mailbox_goes_on() {
    let log = Log::keep();
    let rig = rig(with_devices!(
        device!(),
        "[devices.hall]\naccount = \"alice@example.com\"\nnetworks = [\"127.0.0.3\"]\n"
    ))
    .await;
    let mut stays = scanner(&rig).await;
    let mut goes = at(&rig, "devices", "127.0.0.3").await;
    for client in [&mut stays, &mut goes] {
        client.ask("MAIL FROM:<scan@lan>", "250 ").await;
    }
    rig.reload(|text| text.replace(HALL, "")).await.unwrap();
    goes.expect_end().await;
    drop(goes);
    let told = log.take_until("closed reason=\"device-removed\"").await;
    assert!(told.lines().last().unwrap().contains("peer=127.0.0.3:"), "{told}");
    stays.ask("RSET", "250 ").await;
    deliver(&mut stays, "scan@lan").await;
    let mut again = at(&rig, "devices", "127.0.0.3").await;
    again.ask("MAIL FROM:<scan@lan>", "530 5.7.0 ").await;
}

#[tokio::test]
async fn a_device_that_a_reload_gives_to_another_account_ends() {
    let extra =
        with_devices!(device!(), "[accounts.\"bob@example.com\"]\nprovider = \"sandbox\"\n");
    let rig = rig(extra).await;
    let mut client = scanner(&rig).await;
    client.ask("MAIL FROM:<scan@lan>", "250 ").await;
    let moved = |text: String| {
        text.replace("account = \"alice@example.com\"", "account = \"bob@example.com\"")
    };
    rig.reload(moved).await.unwrap();
    client.expect_end().await;
    deliver(&mut scanner(&rig).await, "scan@lan").await;
    assert_eq!(rig.provider.last_sign_in().unwrap().user.unwrap().as_str(), "bob@example.com");
}
