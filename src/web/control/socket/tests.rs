//! The socket: whose it is, who may connect, and what becomes of its file.

use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixListener as StdListener;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::names::Username;
use crate::web::consents::{Begun, Method, Waiter};
use crate::web::control::tests::{accounts, operator};

/// A request that any relay answers.
const REQUEST: &[u8] = b"POST /accounts HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}";

/// Serves `socket` until the token is cancelled.
fn serve(socket: ControlSocket) -> (CancellationToken, tokio::task::JoinHandle<()>) {
    let stop = CancellationToken::new();
    let serving = tokio::spawn(socket.serve(operator(Vec::new(), None), stop.clone()));
    (stop, serving)
}

/// What comes back for `request`, to the end.
async fn send(path: &Path, request: &[u8]) -> String {
    let mut stream = UnixStream::connect(path).await.unwrap();
    // One that is cut off at once may not take it all.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn socket_is_for_its_owner_alone_and_goes_when_the_relay_stops() {
    let directory = tempfile::tempdir().unwrap();
    let socket = bind(directory.path()).unwrap();
    let path = socket.path().to_owned();
    assert_eq!(path, directory.path().join("control.sock"));
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    let (stop, serving) = serve(socket);
    let answer = send(&path, REQUEST).await;
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n[]"),
        "{answer}"
    );
    stop.cancel();
    serving.await.unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn relay_refuses_what_is_asked_about_another_file() {
    let directory = tempfile::tempdir().unwrap();
    let [own, other] = ["own.toml", "other.toml"].map(|name| directory.path().join(name));
    for file in [&own, &other] {
        fs::write(file, "").unwrap();
    }
    let socket = bind(directory.path()).unwrap().about(Some(own.clone()));
    let path = socket.path().to_owned();
    let (_stop, _serving) = serve(socket);
    let about = |file: &Path| {
        let header = crate::web::control::named(file).unwrap();
        let header = header.to_str().unwrap();
        let request = str::from_utf8(REQUEST).unwrap();
        request.replace("host: x", &format!("host: x\r\nmailbearer-file: {header}")).into_bytes()
    };
    // Whoever tells no file is believed to mean this one.
    for request in [about(&own), REQUEST.to_vec()] {
        assert!(send(&path, &request).await.starts_with("HTTP/1.1 200 "));
    }
    let answer = send(&path, &about(&other)).await;
    assert!(answer.starts_with("HTTP/1.1 409 ") && answer.contains("\"exit\":78"), "{answer}");
    assert!(answer.contains("own.toml") && answer.contains("other.toml"), "{answer}");
}

#[tokio::test]
async fn socket_refuses_processes_of_other_users() {
    let directory = tempfile::tempdir().unwrap();
    let mut socket = bind(directory.path()).unwrap();
    socket.admits = |_| false;
    let path = socket.path().to_owned();
    let (_stop, _serving) = serve(socket);
    assert_eq!(send(&path, REQUEST).await, "");
    assert!(is_owner_or_root(0) && is_owner_or_root(geteuid().as_raw()));
    assert!(!is_owner_or_root(geteuid().as_raw() + 1));
}

#[tokio::test]
async fn socket_of_a_dead_process_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(SOCKET);
    drop(StdListener::bind(&path).unwrap());
    assert!(path.exists(), "std leaves it behind, as a killed process does");
    let (_stop, _serving) = serve(bind(directory.path()).unwrap());
    assert!(send(&path, REQUEST).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn another_file_of_that_name_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(SOCKET);
    let told = |problem: &str| {
        let error = bind(directory.path()).unwrap_err().to_string();
        assert!(error.starts_with(path.to_str().unwrap()) && error.contains(problem), "{error}");
    };
    fs::write(&path, "precious").unwrap();
    told("move it away");
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    fs::remove_file(&path).unwrap();
    // A link is no socket, even if it leads to one.
    let elsewhere = directory.path().join("elsewhere");
    let _elsewhere = StdListener::bind(&elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    told("move it away");
    assert!(elsewhere.exists() && fs::symlink_metadata(&path).unwrap().is_symlink());
}

#[tokio::test]
async fn file_that_took_the_place_of_the_socket_is_kept_when_the_relay_stops() {
    let directory = tempfile::tempdir().unwrap();
    let socket = bind(directory.path()).unwrap();
    let path = socket.path().to_owned();
    fs::remove_file(&path).unwrap();
    fs::write(&path, "precious").unwrap();
    drop(socket);
    assert_eq!(fs::read(&path).unwrap(), b"precious");
}

#[tokio::test]
async fn path_that_is_too_long_for_a_socket_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let long = directory.path().join("x".repeat(100));
    fs::create_dir(&long).unwrap();
    let error = bind(&long).unwrap_err().to_string();
    assert!(error.contains("107 bytes") && error.contains("`store.path`"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn connection_that_says_nothing_holds_no_place_for_ever() {
    let directory = tempfile::tempdir().unwrap();
    let socket = bind(directory.path()).unwrap();
    let path = socket.path().to_owned();
    let (_stop, _serving) = serve(socket);
    let mut idle = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        idle.push(UnixStream::connect(&path).await.unwrap());
    }
    idle.push(UnixStream::connect(&path).await.unwrap());
    assert!(send(&path, REQUEST).await.starts_with("HTTP/1.1 200 "));
    assert_eq!(idle[0].read(&mut [0; 1]).await.unwrap(), 0, "the idle ones were closed");
}

#[tokio::test(start_paused = true)]
async fn commands_get_through_while_any_number_waits_for_consents() {
    let mut accounts = accounts("http://127.0.0.1:9/token");
    let grant = Arc::get_mut(&mut accounts[0].grant).unwrap();
    grant.server.authorization_endpoint = Some("https://login.example/authorize".to_owned());
    let operator = operator(accounts, None);
    let alice = Username::parse("alice@contoso.com").unwrap();
    let begun = operator.begin_consent(&alice, Method::Paste, Vec::new(), Waiter::Command).await;
    let Ok(Begun::Browser { id, .. }) = begun else { panic!("{begun:?}") };
    let directory = tempfile::tempdir().unwrap();
    let socket = bind(directory.path()).unwrap();
    let path = socket.path().to_owned();
    tokio::spawn(socket.serve(operator, CancellationToken::new()));

    let body = format!("{{\"consent\":\"{}\"}}", id.0);
    let question = format!(
        "POST /consents/progress HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let begun_at = tokio::time::Instant::now();
    let mut questions = JoinSet::new();
    for _ in 0..2 * CONNECTIONS_MAX {
        let (path, question) = (path.clone(), question.clone());
        questions.spawn(async move { send(&path, question.as_bytes()).await });
    }
    for _ in 0..2 * CONNECTIONS_MAX - QUESTIONS_MAX {
        let told = questions.join_next().await.unwrap().unwrap();
        assert!(told.starts_with("HTTP/1.1 200 ") && told.ends_with("null"), "{told}");
    }
    assert!(send(&path, REQUEST).await.starts_with("HTTP/1.1 200 "));
    assert!(begun_at.elapsed() < Duration::from_secs(1), "nobody waited for a question's end");
    assert_eq!(questions.len(), QUESTIONS_MAX, "these still wait");
    questions.join_all().await;
    assert_eq!(begun_at.elapsed().as_secs(), 25);
}
