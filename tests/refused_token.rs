//! What a client hears when the provider refuses a token: the outcome of one more try, or the
//! provider's own reply where no token would help.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use mailbearer::provider::Protocol;
use mailbearer::sandbox::{Action, DEFAULT_SCOPE, Fault, Step, Times};
use mailbearer::web::accounts::MailError;
use support::log::Log;
use support::{ALICE, AUTH_PLAIN, Client, PASSWORD, Rig, RigSettings};

/// Signs in by SMTP after the provider's `actions`, one for each connection; gives the reply.
async fn submission_reply(rig: &Rig, actions: &[Action]) -> String {
    for action in actions {
        let step = Step::Token;
        rig.provider.script().on(Protocol::Submission, step, Times::Next(1), action.clone());
    }
    let mut client = Client::connect(rig.submission).await;
    client.expect("220 ").await;
    client.send(AUTH_PLAIN).await;
    client.line().await
}

/// The same by IMAP; gives the tagged reply.
async fn imap_reply(rig: &Rig, action: Action) -> String {
    rig.provider.script().on(Protocol::Imap, Step::Token, Times::Next(1), action);
    let mut client = Client::connect(rig.imap).await;
    client.expect("* OK").await;
    client.send(&format!("a LOGIN {ALICE} {PASSWORD}")).await;
    client.expect_after("a ").await.pop().unwrap()
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_and_the_client_hears_of_the_outcome_alone() {
    let rig = Rig::start().await;
    let reply = submission_reply(&rig, &[Action::RefuseToken]).await;
    assert!(reply.starts_with("235"), "{reply}");
    assert_eq!((rig.provider.token_requests(), rig.provider.smtp_connections()), (2, 2));
    let reply = imap_reply(&rig, Action::RefuseToken).await;
    assert!(reply.starts_with("a OK"), "{reply}");
    assert_eq!(rig.provider.imap_connections(), 2);
}

#[tokio::test]
async fn a_token_that_is_refused_again_is_not_renewed_again() {
    let rig = Rig::start().await;
    let reply = submission_reply(&rig, &[Action::RefuseToken, Action::RefuseToken]).await;
    assert!(reply.starts_with("535 5.7.3 ") && reply.contains("; the token"), "{reply}");
    assert_eq!((rig.provider.token_requests(), rig.provider.smtp_connections()), (2, 2));
}

#[tokio::test]
async fn the_outcome_of_the_second_try_counts() {
    let rig = Rig::start().await;
    let busy = Action::Reply("454 4.7.0 busy\r\n".into());
    let reply = submission_reply(&rig, &[Action::RefuseToken, busy]).await;
    assert!(reply.starts_with("454 4.7.0 "), "{reply}");
}

#[tokio::test]
async fn a_reply_that_no_token_mends_is_told_at_once() {
    let rig = Rig::start().await;
    let disabled = "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled \
                    for the Tenant.\r\n";
    for (said, heard) in [
        (disabled, "535 5.7.139 Auth"),
        ("454 4.7.0 later\r\n", "454 "),
        ("421 4.3.2 busy\r\n", "454 "),
    ] {
        let connections = rig.provider.smtp_connections();
        let reply = submission_reply(&rig, &[Action::Reply(said.into())]).await;
        assert!(reply.starts_with(heard), "{said}: {reply}");
        assert_eq!(rig.provider.smtp_connections(), connections + 1, "{said}");
    }
    for (said, heard) in [
        ("{tag} NO [UNAVAILABLE] later\r\n", "a NO [UNAVAILABLE] "),
        (
            "{tag} NO [ALERT] Too many simultaneous connections. (Failure)\r\n",
            "a NO [UNAVAILABLE] ",
        ),
        ("* BYE going down\r\n", "a NO [UNAVAILABLE] "),
    ] {
        let connections = rig.provider.imap_connections();
        let reply = imap_reply(&rig, Action::ReplyThenClose(said.into())).await;
        assert!(reply.starts_with(heard), "{said}: {reply}");
        assert_eq!(rig.provider.imap_connections(), connections + 1, "{said}");
    }
    assert_eq!(rig.provider.token_requests(), 1);
}

#[tokio::test]
async fn what_one_protocol_accepts_begets_no_more_tokens_for_another_that_refuses_all() {
    let rig = Rig::start().await;
    rig.provider.script().on(Protocol::Submission, Step::Token, Times::Always, Action::RefuseToken);
    for _ in 0..8 {
        let reply = submission_reply(&rig, &[]).await;
        assert!(reply.starts_with("535 5.7.3 "), "{reply}");
        rig.signed_in_by_imap(ALICE, PASSWORD).await;
    }
    assert_eq!(rig.provider.token_requests(), 6);
}

#[tokio::test]
async fn a_hundred_refused_sign_ins_cost_six_token_requests_at_most() {
    let rig = Rig::start().await;
    for protocol in [Protocol::Submission, Protocol::Imap] {
        rig.provider.script().on(protocol, Step::Token, Times::Always, Action::RefuseToken);
    }
    for _ in 0..50 {
        let reply = submission_reply(&rig, &[]).await;
        assert!(reply.starts_with("535 5.7.3 "), "{reply}");
        let reply = imap_reply(&rig, Action::RefuseToken).await;
        assert!(reply.starts_with("a NO [AUTHORIZATIONFAILED] "), "{reply}");
    }
    // The first token, and five in a row that are no better. Each is shown once more at most.
    assert_eq!(rig.provider.token_requests(), 6);
    assert_eq!(rig.provider.smtp_connections() + rig.provider.imap_connections(), 105);
}

#[tokio::test]
async fn a_token_that_was_accepted_ends_the_count_of_those_refused_in_a_row() {
    let rig = Rig::start().await;
    for number in 1..=10 {
        let reply = submission_reply(&rig, &[Action::RefuseToken]).await;
        assert!(reply.starts_with("235 "), "{number}: {reply}");
    }
    assert_eq!(rig.provider.token_requests(), 11);
}

#[tokio::test]
async fn what_keeps_a_refused_token_from_being_renewed_is_told_where_it_tells_more() {
    for (status, error, heard) in [
        (401, "invalid_client", "535 5.7.3 "),
        (400, "unauthorized_client", "535 5.7.3 "),
        (503, "temporarily_unavailable", "454 4.7.0 "),
    ] {
        let rig = Rig::start().await;
        rig.signed_in().await;
        let body = format!(r#"{{"error":"{error}"}}"#);
        let fault = Fault::Status(status, "application/json".into(), body);
        rig.provider.token_fault(fault, Times::Always);
        let reply = submission_reply(&rig, &[Action::RefuseToken]).await;
        assert!(reply.starts_with(heard), "{error}: {reply}");
    }
}

/// The line `refused` of what was logged since the last call.
async fn refused(log: &Log) -> String {
    let told = log.take_until("refused ").await;
    told.lines().last().unwrap().to_owned()
}

/// What `accounts` shows of the mail servers of [`ALICE`].
async fn mail_error(rig: &Rig) -> Option<MailError> {
    let rows = rig.operator.accounts().await.unwrap();
    rows.into_iter().find(|row| row.account == ALICE).unwrap().mail_error
}

#[tokio::test]
async fn what_is_wrong_with_a_refused_token_is_logged_by_what_it_says_itself() {
    let log = Log::keep();
    let rig = Rig::start().await;
    let reply = submission_reply(&rig, &[Action::RefuseToken, Action::RefuseToken]).await;
    assert!(reply.starts_with("535 5.7.3 "), "{reply}");
    let line = refused(&log).await;
    let right = format!("token=\"the token is right for SMTP and {ALICE}\"");
    assert!(line.contains(&right), "{line}");

    // From here on the provider has its own reasons. A reload forgets the tokens.
    let only_reads = DEFAULT_SCOPE.replace(".default", "IMAP.AccessAsApp");
    rig.reload(|text| text.replace(DEFAULT_SCOPE, &only_reads)).await.unwrap();
    let reply = submission_reply(&rig, &[]).await;
    assert!(reply.starts_with("535 5.7.3 "), "{reply}");
    let line = refused(&log).await;
    assert!(
        line.contains("token=\"roles=IMAP.AccessAsApp, which lacks SMTP.SendAsApp\""),
        "{line}"
    );

    rig.provider.set_token_life(Duration::ZERO);
    let all = |text: String| text.replace(&only_reads, DEFAULT_SCOPE);
    rig.reload(all).await.unwrap();
    let reply = submission_reply(&rig, &[]).await;
    assert!(reply.starts_with("535 5.7.3 "), "{reply}");
    let line = refused(&log).await;
    assert!(
        line.contains("token=\"exp=") && line.contains(", which is past: check this"),
        "{line}"
    );
}

#[tokio::test]
async fn token_for_another_service_or_user_is_told_and_never_shown() {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let claims =
        r#"{"aud":"https://graph.microsoft.com","scp":"Mail.Send","upn":"bob@example.com"}"#;
    let token = format!("{}.{}.{}", part(r#"{"alg":"RS256"}"#), part(claims), part("planted"));
    let extra = format!(
        "[accounts.\"carol@example.com\"]\nprovider = \"sandbox\"\ngrant = \"command\"\n\
         command = [\"echo\", \"{token}\"]\nlocal_password = {{ file = \"password\" }}\n"
    );
    let log = Log::keep();
    let rig = Rig::with(RigSettings { extra: extra.leak(), ..RigSettings::default() }).await;
    let mut client = Client::connect(rig.submission).await;
    client.expect("220 ").await;
    client.ask("AUTH PLAIN AGNhcm9sQGV4YW1wbGUuY29tAGxvY2FsLXBhc3N3b3Jk", "535 5.7.3 ").await;
    let told = log.take_until("refused ").await;
    let differs = "token=\"aud=https://graph.microsoft.com (Microsoft Graph), which is not \
                   https://mail.sandbox.example; scp=Mail.Send, which lacks SMTP.Send; \
                   upn=bob@example.com, which is not carol@example.com: set `mailbox` to it\"";
    assert!(told.contains(differs), "{told}");
    for part in token.split('.') {
        assert!(!told.contains(part), "{told}");
    }
}

#[tokio::test]
async fn token_that_the_provider_says_back_is_told_to_nobody() {
    const TOKEN: &str = "ya29.a0AfB_byC-planted-0123456789-abcdefghijklmnopqrstuvwxyz-planted";
    const EXTRA: &str = "[accounts.\"carol@example.com\"]\nprovider = \"sandbox\"\n\
                         grant = \"command\"\n\
                         command = [\"echo\", \"ya29.a0AfB_byC-planted-0123456789-\
                         abcdefghijklmnopqrstuvwxyz-planted\"]\n\
                         local_password = { file = \"password\" }\n";
    let log = Log::keep();
    let rig = Rig::with(RigSettings { extra: EXTRA, ..RigSettings::default() }).await;
    let shown = format!("user=carol@example.com\u{1}auth=Bearer {TOKEN}\u{1}\u{1}");
    let shown = STANDARD.encode(shown);
    for (protocol, said) in [
        (Protocol::Submission, format!("500 5.3.3 Unrecognized command '{shown}'\r\n")),
        (Protocol::Submission, format!("454 4.7.0 what is {TOKEN}?\r\n")),
        (Protocol::Imap, format!("{{tag}} NO not {TOKEN}\r\n")),
        (Protocol::Imap, format!("* BYE not {shown}\r\n")),
    ] {
        let action = Action::ReplyThenClose(said.into());
        rig.provider.script().on(protocol, Step::Token, Times::Always, action);
        let heard = if protocol == Protocol::Imap {
            let mut client = Client::connect(rig.imap).await;
            client.expect("* OK").await;
            client.ask(&format!("a LOGIN carol@example.com {PASSWORD}"), "a NO ").await
        } else {
            let mut client = Client::connect(rig.submission).await;
            client.expect("220 ").await;
            client.send("AUTH PLAIN AGNhcm9sQGV4YW1wbGUuY29tAGxvY2FsLXBhc3N3b3Jk").await;
            client.line().await
        };
        let told = log.take_until("refused account=").await;
        let rows = rig.operator.accounts().await.unwrap();
        let error = rows.into_iter().find(|row| row.account.starts_with("carol"));
        let error = error.unwrap().mail_error.map(|error| error.reply);
        for text in [&heard, &told, &format!("{error:?}")] {
            for part in [&TOKEN[20..40], &shown[40..60]] {
                assert!(!text.contains(part), "{text}");
            }
        }
        assert!(told.contains("[hidden]"), "{told}");
        rig.provider.script().clear();
    }
}

#[tokio::test]
async fn token_that_cannot_be_read_is_not_told_of() {
    let extra = "[accounts.\"carol@example.com\"]\nprovider = \"sandbox\"\ngrant = \"command\"\n\
                 command = [\"echo\", \"ya29.opaque\"]\nlocal_password = { file = \"password\" }\n";
    let log = Log::keep();
    let rig = Rig::with(RigSettings { extra, ..RigSettings::default() }).await;
    let mut client = Client::connect(rig.imap).await;
    client.expect("* OK").await;
    client.send(&format!("a LOGIN carol@example.com {PASSWORD}")).await;
    client.expect_after("a NO [AUTHORIZATIONFAILED] ").await;
    let line = refused(&log).await;
    assert!(!line.contains("token=") && line.contains("fix="), "{line}");
}

#[tokio::test]
async fn refused_sign_in_is_shown_by_accounts_until_one_is_accepted() {
    let rig = Rig::start().await;
    assert_eq!(mail_error(&rig).await, None);
    let disabled = "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled \
                    for the Tenant.";
    for (said, cause, fix) in [
        (disabled, "switched off", "Set-CASMailbox"),
        ("451 4.7.0 Temporary server error. PRX2", "has a fault", "status page"),
        ("454 4.5.6 something new", "refuses for now", "tries again"),
    ] {
        submission_reply(&rig, &[Action::Reply(format!("{said}\r\n").into())]).await;
        let error = mail_error(&rig).await.unwrap();
        let told = (error.account.as_str(), error.protocol.as_str(), error.reply.as_str());
        assert_eq!(told, (ALICE, "submission", said));
        assert!(error.cause.contains(cause) && error.fix.contains(fix), "{error:?}");
    }
    rig.signed_in_by_imap(ALICE, PASSWORD).await;
    assert!(mail_error(&rig).await.is_some(), "that was another protocol");
    rig.signed_in().await;
    assert_eq!(mail_error(&rig).await, None);
}
