//! Whom an errand finds behind the socket, and what is told when that is nobody.

use std::os::unix::net::UnixListener;

use tokio_util::sync::CancellationToken;

use super::*;
use crate::config::Secrets;
use crate::web::control::tests::{accounts, operator};
use crate::web::control::{Ask as _, ShowAccounts, bind};

const FILE: &str = r#"
[listeners.submission]
protocol = "submission"
address = "localhost:0"

[accounts."alice@contoso.com"]
provider = "microsoft"
tenant = "contoso.com"
client_id = "app"
client_secret = "planted-secret"
grant = "client-credentials"
"#;

/// Whether this process may do the errand itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Alone {
    DoIt,
    Fail,
}

/// A configuration whose state directory is `directory`.
fn config(directory: &Path) -> Config {
    let env = |_: &str| Ok(directory.display().to_string());
    let mut config = Config::parse(FILE, directory, &env, Secrets::Leave).unwrap();
    config.store.path = directory.join("mailbearer.redb");
    config
}

async fn find(directory: &Path, alone: Alone) -> Result<Door, Failure> {
    let config = config(directory);
    let alone = (alone == Alone::DoIt).then_some(&config);
    Door::find(Path::new("mailbearer.toml"), &config.store, alone).await
}

fn request() -> Request<Body> {
    Request::post(ShowAccounts::PATH).header("host", "localhost").body(Body::from("{}")).unwrap()
}

#[tokio::test]
async fn errand_is_carried_out_by_the_relay_that_runs() {
    let directory = tempfile::tempdir().unwrap();
    let socket = bind(directory.path()).unwrap();
    let relay = operator(accounts("http://127.0.0.1:9/token"), None);
    tokio::spawn(socket.serve(relay, CancellationToken::new()));
    for alone in [Alone::DoIt, Alone::Fail] {
        let mut door = find(directory.path(), alone).await.unwrap();
        let (is_done, answer) = door.send(request()).await.unwrap();
        assert!(is_done);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.contains("*@fabrikam.com"), "the relay's accounts: {answer}");
    }
}

#[tokio::test]
async fn errand_is_carried_out_here_when_no_relay_runs() {
    let directory = tempfile::tempdir().unwrap();
    for _ in ["no socket", "that of a relay that was killed"] {
        let mut door = find(directory.path(), Alone::DoIt).await.unwrap();
        let (is_done, answer) = door.send(request()).await.unwrap();
        assert!(is_done && String::from_utf8_lossy(&answer).contains("alice@contoso.com"));
        let failure = find(directory.path(), Alone::Fail).await.unwrap_err();
        assert_eq!(failure.exit, Class::Failed);
        assert!(failure.error.starts_with("no running relay answers at "), "{failure}");
        let path = directory.path().display().to_string();
        assert!(failure.fix.contains(&format!("cannot write {path}")), "{}", failure.fix);
        // A socket whose process is gone, the second time.
        let _ = UnixListener::bind(directory.path().join(SOCKET));
    }
}

#[tokio::test]
async fn errand_is_not_repeated_when_the_relay_ends_within_it() {
    let directory = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(directory.path().join(SOCKET)).unwrap();
    let ending = std::thread::spawn(move || drop(listener.accept().unwrap()));
    let mut door = find(directory.path(), Alone::DoIt).await.unwrap();
    let failure = door.send(request()).await.unwrap_err();
    // 75 would have a script send a refresh token again that may be spent.
    assert_eq!(failure.exit, Class::Failed);
    assert!(failure.error.contains("what it did is not known"), "{failure}");
    ending.join().unwrap();
}

#[tokio::test(start_paused = true)]
async fn errand_waits_no_longer_than_a_minute_for_an_answer() {
    let directory = tempfile::tempdir().unwrap();
    let _silent = UnixListener::bind(directory.path().join(SOCKET)).unwrap();
    let mut door = find(directory.path(), Alone::DoIt).await.unwrap();
    let before = Instant::now();
    let failure = door.send(request()).await.unwrap_err();
    assert!(before.elapsed() >= ANSWER_TIMEOUT && failure.exit == Class::Failed);
}

#[test]
fn store_in_use_may_be_free_later() {
    for is_busy in [false, true] {
        assert_eq!(in_use(Path::new("/var/lib/mailbearer"), is_busy).exit, Class::TryLater);
    }
}
