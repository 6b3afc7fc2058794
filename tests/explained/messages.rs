//! What is told of each message: the provider's final reply, and so what its queue calls it.

use mailbearer::provider::Protocol;
use mailbearer::sandbox::{Action, Step, Times};
use serde_json::Value;

use crate::support::serve::Served;
use crate::support::{ALICE, AUTH_PLAIN, Client};

const DENIED: &str =
    "554 5.2.252 SendAsDenied; alice@example.com not allowed to send as x@y.example";

/// Sends a message; gives the final reply.
async fn send(client: &mut Client) -> String {
    client.ask("MAIL FROM:<alice@example.com>", "250").await;
    client.ask("RCPT TO:<bob@example.com>", "250").await;
    client.ask("DATA", "354").await;
    client.send("Subject: x\r\n\r\nx\r\n.").await;
    client.line().await
}

/// What `accounts --json` of the running relay says of alice's mail server.
async fn mail_error(served: &Served) -> Value {
    let output = served.command(&["accounts", "--json"]).await;
    let rows: Value = serde_json::from_slice(&output.stdout).unwrap();
    let row = rows.as_array().unwrap().iter().find(|row| row["account"] == ALICE);
    row.unwrap()["mail_error"].clone()
}

#[tokio::test]
async fn each_message_of_a_session_is_told_with_its_final_reply() {
    let served = Served::start("[log]\nformat = \"json\"\n").await;
    let mut client = served.client().await;
    client.ask(AUTH_PLAIN, "235 ").await;
    let first = send(&mut client).await;
    let denied = Action::Reply(format!("{DENIED}\r\n").into());
    served.provider.script().on(Protocol::Submission, Step::Message, Times::Next(1), denied);
    assert_eq!(send(&mut client).await, DENIED);
    let shown = mail_error(&served).await;
    assert_eq!((&shown["reply"], &shown["protocol"]), (&DENIED.into(), &"submission".into()));
    assert_eq!(shown["account"], ALICE);
    assert!(shown["fix"].as_str().unwrap().contains("Add-RecipientPermission"), "{shown}");

    let last = send(&mut client).await;
    assert_ne!(first, last, "each has a queue id of its own");
    assert_eq!(mail_error(&served).await, Value::Null);
    client.ask("QUIT", "221 ").await;
    client.expect_end().await;
    served.terminate();
    let written = served.ended().await;
    let lines: Vec<Value> =
        written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> = lines
        .iter()
        .filter(|line| line["message"].as_str().unwrap().starts_with("message "))
        .map(|line| {
            assert_eq!(line["span"]["account"], ALICE);
            ["level", "message", "reply"].map(|field| line[field].as_str().unwrap())
        })
        .collect();
    assert_eq!(
        told,
        [
            ["INFO", "message accepted", &first],
            ["WARN", "message refused", DENIED],
            ["INFO", "message accepted", &last],
        ]
    );
    let closed = lines.iter().find(|line| line["message"] == "closed").unwrap();
    assert_eq!((&closed["level"], &closed["messages"]), (&"INFO".into(), &2.into()));
    assert_eq!(closed["last_reply"], last, "and neither the 221 nor what was refused before");
    assert_eq!((&closed["cause"], &closed["hint"]), (&Value::Null, &Value::Null));
}
