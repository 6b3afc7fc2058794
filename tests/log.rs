//! What an operator finds in the log.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io;
use std::sync::{Arc, Mutex};

use support::{ALICE, AUTH_PLAIN, Client, Rig, RigSettings, WRONG_PLAIN};
use tracing::Level;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Lines written so far.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_refusal_names_its_session_at_every_level_that_shows_it() {
    let log = Log::default();
    let writer = log.clone();
    let _subscribed = tracing_subscriber::fmt()
        .with_max_level(Level::WARN)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish()
        .set_default();

    let settings = RigSettings { client_secret: Some("wrong"), ..RigSettings::default() };
    let rig = Rig::with(settings).await;
    let mut client = Client::connect(rig.submission).await;
    client.expect("220 ").await;
    client.ask(WRONG_PLAIN, "535 ").await;
    client.ask(AUTH_PLAIN, "454 ").await;

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for refusal in ["wrong-password", "grant-refused"] {
        let line = log.lines().find(|line| line.contains(refusal)).unwrap();
        for field in ["id=", "protocol=\"submission\"", "peer=127.0.0.1:", ALICE] {
            assert!(line.contains(field), "{field}: {line}");
        }
    }
}
