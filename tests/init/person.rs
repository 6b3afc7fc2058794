//! `init` for somebody at a terminal: with arrow keys, and in lines where there are none.

use crate::dns::NameServer;
use crate::rig::{CLIENT_ID, CTRL_C, DOWN, ENTER, Rig, TAB, mode};

/// Terminals, and how many questions of a person's file at Google are answered there by Enter.
const TERMINALS: [&str; 2] = ["xterm-256color", "dumb"];

#[tokio::test]
async fn person_at_google_answers_six_questions_at_any_terminal() {
    for term in TERMINALS {
        let rig = Rig::new();
        let mut person = rig.person(term, &["init"]);
        person.answers("Address of the mailbox:", &["alice@gmail.com", ENTER]).await;
        person.sees("Gmail, Google Workspace (google), by its domain").await;
        person.answers("Who opens the mailbox?", &[ENTER]).await;
        person.answers("Application (client) ID:", &["my.apps.example", ENTER]).await;
        person.answers("Client secret:", &["GOCSPX-secret", ENTER]).await;
        person.answers("Who uses it?", &[ENTER]).await;
        // Browser, paste, later: without a display paste comes first.
        let later = if term == "dumb" { "3\r".to_owned() } else { [DOWN, DOWN, ENTER].concat() };
        person.answers("Consent at the provider:", &[&later]).await;
        assert_eq!(person.ends().await, Some(0), "{}", person.shown);
        assert_eq!(person.answers, 6);
        assert!(!person.shown.contains("GOCSPX"), "{}", person.shown);
        assert_eq!(person.field("user name "), "alice@gmail.com");

        assert_eq!(rig.read("mailbearer.client-secret"), "GOCSPX-secret");
        assert_eq!(mode(&rig.path("mailbearer.client-secret")), 0o600);
        let checked = rig.run(&["check"]).await;
        let checked = String::from_utf8(checked.stdout).unwrap();
        assert!(checked.contains("no problems (2 listeners, 1 account)"), "{checked}");
        assert_eq!(checked.lines().count(), 1, "{checked}");
    }
}

#[tokio::test]
async fn wrong_answer_is_told_what_to_answer_and_asked_again() {
    for term in TERMINALS {
        let rig = Rig::new();
        let args = ["init", "--provider", "microsoft", "--grant", "client-credentials"];
        let mut person = rig.person(term, &args);
        // A drawn question keeps the wrong answer to be mended; a plain one asks anew.
        person.answers("Address of the mailbox:", &["alice", ENTER]).await;
        person.sees("an address has one @").await;
        person.types(&[&backspaces(term, 5), "alice@contoso.com", ENTER].concat());
        person.answers("Tenant of Microsoft Entra:", &["contoso", ENTER]).await;
        person.sees("enter the directory (tenant) ID").await;
        person.types(&[&backspaces(term, 7), "contoso.example", ENTER].concat());
        person.answers("Application (client) ID:", &["my-app", ENTER]).await;
        person.sees(CLIENT_ID).await;
        person.types(&[&backspaces(term, 6), CLIENT_ID, ENTER].concat());
        // Its ID in place of its value.
        person.answers("Client secret:", &[CLIENT_ID, ENTER]).await;
        person.sees("this is the ID of a secret").await;
        // Nothing: it is elsewhere.
        person.answers("Client secret:", &[ENTER]).await;
        person.answers("Where the client secret is:", &["/nowhere", ENTER]).await;
        person.sees("enter the path of a file that can be read").await;
        person.types(&[&backspaces(term, 8), "$CONTOSO_SECRET", ENTER].concat());
        person.answers("Who uses it?", &[ENTER]).await;
        assert_eq!(person.ends().await, Some(0), "{}", person.shown);
        let file = rig.read("mailbearer.toml");
        for line in [
            "[accounts.\"alice@contoso.com\"]",
            "tenant = \"contoso.example\"",
            "client_secret = { env = \"CONTOSO_SECRET\" }",
        ] {
            assert!(file.contains(line), "{line}: {file}");
        }
    }
}

/// What removes an answer of that many characters, where it is kept to be mended.
fn backspaces(term: &str, len: usize) -> String {
    if term == "dumb" { String::new() } else { "\x7f".repeat(len) }
}

#[tokio::test]
async fn tab_completes_what_is_proposed() {
    let rig = Rig::new();
    let args = ["init", "--address", "alice@contoso.com", "--provider", "microsoft"];
    let args = [&args[..], &["--grant", "authorization-code", "--client-id", CLIENT_ID]].concat();
    let mut person = rig.person("xterm", &args);
    person.answers("Tenant of Microsoft Entra:", &["con", TAB, ENTER]).await;
    person.answers("Client secret:", &[ENTER]).await;
    person.answers("Who uses it?", &[ENTER]).await;
    // Browser, paste and code, and none of them now.
    person.answers("Consent at the provider:", &[DOWN, DOWN, DOWN, ENTER]).await;
    assert_eq!(person.ends().await, Some(0), "{}", person.shown);
    assert!(rig.read("mailbearer.toml").contains("tenant = \"contoso.com\""));
}

#[tokio::test]
async fn ctrl_c_at_any_question_leaves_nothing_behind() {
    let questions: [(&str, &[&str]); 6] = [
        ("Address of the mailbox:", &["alice@gmail.com", ENTER]),
        ("Who opens the mailbox?", &[ENTER]),
        ("Application (client) ID:", &["my.apps.example", ENTER]),
        ("Client secret:", &["secret", ENTER]),
        ("Who uses it?", &[ENTER]),
        ("Consent at the provider:", &[ENTER]),
    ];
    for last in 0..questions.len() {
        let rig = Rig::new();
        let mut person = rig.person("xterm", &["init"]);
        for (question, keys) in &questions[..last] {
            person.answers(question, keys).await;
        }
        person.answers(questions[last].0, &[CTRL_C]).await;
        assert_eq!(person.ends().await, Some(1), "{}", person.shown);
        assert!(person.shown.contains("ended; nothing was written"), "{}", person.shown);
        assert_eq!(rig.names(), [""; 0], "at {}", questions[last].0);
    }
}

#[tokio::test]
async fn ctrl_c_at_a_hidden_question_in_lines_leaves_nothing_behind() {
    let rig = Rig::new();
    let args = ["init", "--address", "a@gmail.com", "--client-id", "x"];
    let args = [&args[..], &["--grant", "authorization-code"]].concat();
    let mut person = rig.person("dumb", &args);
    person.answers("Client secret:", &["secr", CTRL_C]).await;
    assert_eq!(person.ends().await, Some(1), "{}", person.shown);
    assert_eq!(rig.names(), [""; 0]);
}

#[tokio::test]
async fn file_that_is_there_is_replaced_when_the_person_says_so() {
    for (keys, replaced) in [(&[ENTER][..], false), (&[DOWN, ENTER], true)] {
        let rig = Rig::new();
        std::fs::write(rig.path("mailbearer.toml"), "old").unwrap();
        let args = ["init", "--address", "a@gmail.com", "--client-id", "x", "--client-secret-env"];
        let more = ["S", "--grant", "authorization-code", "--authorize", "later"];
        let mut person = rig.person("xterm", &[&args[..], &more].concat());
        person.answers("is there already.", keys).await;
        if replaced {
            person.answers("Who uses it?", &[ENTER]).await;
        }
        assert_eq!(person.ends().await, Some(if replaced { 0 } else { 1 }), "{}", person.shown);
        assert_eq!(rig.read("mailbearer.toml") == "old", !replaced);
    }
}

#[tokio::test]
async fn secret_on_standard_input_is_not_shown_at_a_terminal() {
    for term in TERMINALS {
        let rig = Rig::new();
        let args = ["init", "--yes", "--address", "a@gmail.com", "--client-id", "x"];
        let more = ["--grant", "authorization-code", "--client-secret-stdin"];
        let mut person = rig.person(term, &[&args[..], &more].concat());
        person.answers("Client secret:", &["GOCSPX-secret", ENTER]).await;
        assert_eq!(person.ends().await, Some(0), "{}", person.shown);
        assert!(!person.shown.contains("GOCSPX"), "{}", person.shown);
        assert_eq!(rig.read("mailbearer.client-secret"), "GOCSPX-secret");
    }
}

#[tokio::test]
async fn provider_is_asked_for_when_nobody_knows_it() {
    let server = NameServer::start(Vec::new()).await;
    let rig = Rig::new();
    let address = server.address.to_string();
    let args = ["init", "--address", "a@contoso.com", "--name-server", &address, "--client-id"];
    let mut person = rig.person("xterm", &[&args[..], &["x", "--authorize", "later"]].concat());
    // What is typed narrows the list.
    person.answers("Who has this mailbox?", &["fastmail", ENTER]).await;
    // Fastmail has one grant that is asked for, so that is no question.
    person.answers("Client secret:", &[ENTER]).await;
    person.answers("Who uses it?", &[ENTER]).await;
    assert_eq!(person.ends().await, Some(0), "{}", person.shown);
    assert!(rig.read("mailbearer.toml").contains("provider = \"fastmail\""));
}

#[tokio::test]
async fn printers_are_asked_for_their_addresses() {
    let rig = Rig::new();
    let args = ["init", "--address", "a@contoso.com", "--provider", "microsoft", "--grant"];
    let more = ["client-credentials", "--client-id", CLIENT_ID, "--client-secret-env", "S"];
    let mut person = rig.person("dumb", &[&args[..], &more].concat());
    person.answers("Tenant of Microsoft Entra:", &[ENTER]).await;
    person.answers("Who uses it?", &["9", ENTER]).await;
    person.sees("enter a number from 1 to 4").await;
    person.answers("Who uses it?", &["4", ENTER]).await;
    person.answers("Addresses of the printers", &["192.168.20.1/24", ENTER]).await;
    person.sees("enter 192.168.20.0/24 for the network").await;
    person.types(&["192.168.20.0/24", ENTER].concat());
    assert_eq!(person.ends().await, Some(0), "{}", person.shown);
    assert!(rig.read("mailbearer.toml").contains("networks = [\"192.168.20.0/24\"]"));
}
