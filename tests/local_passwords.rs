//! What local passwords do for running sessions, and what wrong ones do not.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use mailbearer::names::Username;
use mailbearer::secret::ExposeSecret as _;
use support::{ALICE, AUTH_PLAIN, Client, PASSWORD, Rig, RigSettings, WRONG_PLAIN};

fn alice() -> Username {
    Username::parse(ALICE).unwrap()
}

#[tokio::test]
async fn a_revoked_password_ends_its_sessions_and_no_others() {
    let rig = Rig::start().await;
    let passwords = &rig.operator.passwords;
    let make = |label| passwords.make(&alice(), label, &[]).unwrap().password;
    let main = make(None);
    let mut by_file = rig.signed_in().await;
    let mut by_main = rig.signed_in_by_imap(ALICE, main.expose_secret()).await;
    assert_eq!(passwords.revoke(&alice(), None), Ok(true));
    by_main.expect_end().await;
    by_file.ask("NOOP", "250").await;

    let mut again = Client::connect(rig.imap).await;
    again.expect("* OK").await;
    let sign_in = format!("a LOGIN {ALICE} {}", main.expose_secret());
    again.ask(&sign_in, "a NO [AUTHENTICATIONFAILED]").await;
}

#[tokio::test]
async fn pattern_is_no_name_to_sign_in_with_whatever_its_password() {
    let rig = Rig::with(RigSettings { account: "*@example.com", ..RigSettings::default() });
    let rig = rig.await;
    let make = |name| {
        let name = Username::parse(name).unwrap();
        rig.operator.passwords.make(&name, None, &[]).unwrap().password
    };
    // As an earlier version made one.
    for (name, told) in [("*@example.com", "a NO [AUTHENTICATIONFAILED]"), (ALICE, "a OK ")] {
        let password = make(name);
        let mut client = Client::connect(rig.imap).await;
        client.expect("* OK").await;
        let sign_in = format!("a LOGIN \"{name}\" {}", password.expose_secret());
        client.send(&sign_in).await;
        client.expect_after(told).await;
    }
}

#[tokio::test]
async fn fifty_wrong_passwords_cost_no_token_and_the_right_one_works_after() {
    let rig = Rig::start().await;
    let mut guesses = tokio::task::JoinSet::new();
    for (submission, imap) in [(rig.submission, rig.imap); 5] {
        guesses.spawn(async move {
            let mut client = Client::connect(submission).await;
            client.expect("220 ").await;
            for _ in 0..5 {
                client.send(WRONG_PLAIN).await;
                client.line().await;
            }
        });
        guesses.spawn(async move {
            let mut client = Client::connect(imap).await;
            client.expect("* OK").await;
            for guess in 0..5 {
                client.send(&format!("a{guess} LOGIN {ALICE} guess{guess}")).await;
                client.line().await;
            }
        });
    }
    guesses.join_all().await;
    let asked = (rig.provider.token_requests(), rig.provider.smtp_connections());
    assert_eq!((asked, rig.provider.imap_connections()), ((0, 0), 0));
    let mut client = Client::connect(rig.submission).await;
    client.expect("220 ").await;
    client.ask(AUTH_PLAIN, "235 ").await;
    rig.signed_in_by_imap(ALICE, PASSWORD).await;
}
