//! Probes that tell the truth, do not flap, and are no way in.

use std::os::unix::net::UnixListener;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use mailbearer::sandbox::{Fault, Times};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio::time::{advance, pause, resume};

use crate::scene::{get, rig, send, series, value};
use crate::support::client::until;
use crate::support::{ALICE, AUTH_PLAIN, Client, Rig};

/// An account whose person has not consented.
const BROKEN: &str = "[accounts.\"bob@example.com\"]\nprovider = \"sandbox\"\n\
                      grant = \"authorization-code\"\nlocal_password = { file = \"password\" }\n";

async fn readiness(rig: &Rig) -> (u16, Value) {
    let answer = get(rig, "/readyz").await;
    (answer.status, serde_json::from_str(&answer.body).unwrap())
}

#[tokio::test]
async fn each_probe_answers_and_there_is_nothing_else() {
    let rig = rig("").await;
    for path in ["/livez", "/startupz", "/readyz", "/metrics"] {
        let answer = get(&rig, path).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        assert!(answer.header.contains("cache-control: no-store"), "{answer:?}");
        let head =
            send(rig.probes[0], &format!("HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await;
        assert_eq!((head.status, head.body.as_str()), (200, ""), "{path}");
        for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
            let request =
                format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
            assert_eq!(send(rig.probes[0], &request).await.status, 405, "{method} {path}");
        }
    }
    for path in ["/", "/health", "/livez/", "/accounts", "/password", "/oauth/callback", "/login"] {
        assert_eq!(get(&rig, path).await.status, 404, "{path}");
    }
    assert_eq!(rig.provider.token_requests() + rig.provider.smtp_connections(), 0, "nobody asked");
}

#[tokio::test]
async fn metrics_have_the_format_that_is_asked_for() {
    let rig = rig("").await;
    let plain = get(&rig, "/metrics").await;
    assert!(plain.header.contains("content-type: text/plain; version=0.0.4; charset=utf-8"));
    assert!(plain.body.contains("\n# TYPE mailbearer_sign_ins_total counter\n"), "{}", plain.body);
    let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: application/openmetrics-text; \
                   version=1.0.0\r\n\r\n";
    let open = send(rig.probes[0], request).await;
    let content_type = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert!(open.header.contains(content_type), "{}", open.header);
    assert!(open.body.contains("\n# TYPE mailbearer_sign_ins counter\n"), "{}", open.body);
    assert!(open.body.ends_with("# EOF\n"), "OpenMetrics 1.0, section on EOF");
}

#[tokio::test]
async fn broken_accounts_are_counted_without_names_and_make_nothing_unready() {
    let rig = rig(BROKEN).await;
    rig.provider.token_fault(Fault::Html, Times::Always);
    let mut client = rig.greeted("submission").await;
    client.ask(AUTH_PLAIN, "454 ").await;
    let told = until("the failure is told", async || {
        let (status, told) = readiness(&rig).await;
        assert_eq!(status, 200, "{told}");
        (told["accounts"]["failing"] == 1).then_some(told)
    })
    .await;
    let accounts = json!({ "ready": 0, "not_asked": 0, "consent_needed": 1, "failing": 1 });
    let expected =
        json!({ "ready": true, "not_ready": [], "unsaved": false, "accounts": accounts });
    assert_eq!(told, expected);
    let series = series(&rig).await;
    assert_eq!(value(&series, "accounts{state=\"consent-needed\"}"), 1.0);
    assert_eq!(value(&series, "accounts{state=\"failing\"}"), 1.0);
    assert_eq!(value(&series, "store_unsaved"), 0.0);
}

#[tokio::test]
async fn token_that_came_is_told_with_its_end() {
    let rig = rig("").await;
    let name = format!("mailbearer_token_expires_at_seconds{{account=\"{ALICE}\"}}");
    assert!(!series(&rig).await.contains_key(&name), "nothing is known, and 0 would be an end");
    let _client = rig.signed_in().await;
    let ends_at =
        until("the end of the token is told", async || series(&rig).await.get(&name).copied())
            .await;
    // Far from 1970, and not in milliseconds.
    assert!((1_700_000_000.0..10_000_000_000.0).contains(&ends_at), "{ends_at}");
}

#[tokio::test]
async fn drain_makes_it_unready_at_once_while_it_lives_on() {
    let rig = rig("").await;
    let mut client = rig.signed_in().await;
    assert_eq!(readiness(&rig).await.0, 200);
    rig.shutdown.drain.cancel();
    let (status, told) = readiness(&rig).await;
    assert_eq!((status, &told["ready"]), (503, &json!(false)));
    assert_eq!(told["not_ready"], json!(["it is shutting down"]));
    assert_eq!(get(&rig, "/livez").await.status, 200, "a restart would cut the session off");
    assert_eq!(get(&rig, "/metrics").await.status, 200);
    client.ask("QUIT", "221").await;
    client.expect_end().await;
    let address = rig.probes[0];
    rig.stopped().await;
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn silent_and_slow_clients_of_the_probes_are_cut() {
    let rig = rig("").await;
    let mut silent = Client::connect(rig.probes[0]).await;
    let mut slow = Client::connect(rig.probes[0]).await;
    slow.send("GET /livez HTTP/1.1\r\nHost: x").await;
    // Both were accepted before this one.
    assert_eq!(get(&rig, "/livez").await.status, 200);
    // A header may take ten seconds.
    pause();
    advance(Duration::from_secs(11)).await;
    resume();
    silent.rest_until_it_breaks().await;
    slow.rest_until_it_breaks().await;
    assert_eq!(get(&rig, "/livez").await.status, 200);
}

#[tokio::test]
async fn silent_clients_of_this_machine_keep_nobody_from_the_probes() {
    let rig = rig("").await;
    let mut silent = Vec::new();
    // More than there are places.
    for _ in 0..100 {
        silent.push(Client::connect(rig.probes[0]).await);
        // The clock stands still for them, so no time limit makes a place.
        pause();
        assert_eq!(get(&rig, "/livez").await.status, 200);
        resume();
    }
}

#[tokio::test]
async fn host_that_is_not_this_machine_is_refused_at_loopback() {
    let rig = rig("").await;
    for (host, status) in [
        ("evil.example", 403),
        ("127.0.0.1.evil.example:8588", 403),
        ("localhost:8588", 200),
        ("[::1]:8588", 200),
    ] {
        for path in ["/metrics", "/readyz"] {
            let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
            let answer = send(rig.probes[0], &request).await;
            assert_eq!(answer.status, status, "{host}: {answer:?}");
            assert_eq!(answer.body.contains("ready"), status == 200, "{host}: {answer:?}");
        }
    }
    // No browser asks like this.
    assert_eq!(send(rig.probes[0], "GET /livez HTTP/1.0\r\n\r\n").await.status, 200);
}

#[tokio::test]
async fn header_of_any_length_is_refused_and_the_next_request_answered() {
    let rig = rig("").await;
    let mut stream = TcpStream::connect(rig.probes[0]).await.unwrap();
    let header = format!("GET /livez HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(1024 * 1024));
    // Who is refused half-way may not take the rest.
    let _ = stream.write_all(header.as_bytes()).await;
    drop(stream);
    assert_eq!(get(&rig, "/livez").await.status, 200);
}

#[tokio::test]
async fn reload_changes_no_address_of_the_probes() {
    let rig = rig("").await;
    let off = |text: String| text.replace("probes = \"127.0.0.1:0\"", "probes = \"off\"");
    let refused = rig.reload(off).await.unwrap_err();
    assert!(refused.contains("restart to change `web.probes`"), "{refused}");
    assert_eq!(get(&rig, "/readyz").await.status, 200);
}

#[tokio::test]
async fn healthcheck_asks_the_probes_where_nobody_answers_at_the_control_socket() {
    let rig = rig("").await;
    let address = rig.probes[0];
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("mailbearer.toml");
    // A file that somebody is editing.
    let text =
        format!("[store]\npath = \"a.redb\"\n[web]\nprobes = \"{address}\"\n[limits]\nx = 1\n");
    std::fs::write(&file, text).unwrap();
    let healthcheck = async || -> (Option<i32>, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailbearer"));
        command.arg("-c").arg(&file).arg("healthcheck").env_clear().stdin(Stdio::null());
        let Output { status, stdout, stderr } =
            spawn_blocking(move || command.output().unwrap()).await.unwrap();
        (status.code(), String::from_utf8([stdout, stderr].concat()).unwrap())
    };
    assert_eq!(healthcheck().await, (Some(0), "ready\n".to_owned()));
    // What a relay has left that was killed before its directory was mounted read-only.
    drop(UnixListener::bind(dir.path().join("control.sock")).unwrap());
    assert!(dir.path().join("control.sock").exists());
    assert_eq!(healthcheck().await, (Some(0), "ready\n".to_owned()));

    let mut client = rig.signed_in().await;
    rig.shutdown.drain.cancel();
    let (code, told) = healthcheck().await;
    assert!(code == Some(1) && told.contains("not ready: it is shutting down"), "{told}");
    client.ask("QUIT", "221").await;
    rig.stopped().await;
    let (code, told) = healthcheck().await;
    assert!(code == Some(1) && told.contains("nobody answers at"), "{told}");
}
