//! What clients hear when no descriptor is left. Each test runs in a process of its own, whose limit
//! it lowers.

use std::net::SocketAddr;
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::*;
use crate::account::LocalPassword;
use crate::net::props::{Authority, HOST, put};
use crate::provider::Protocol;
use crate::relay::session::{listener_of, settings};
use crate::relay::{ListenerSettings, ListenerTls, Shutdown};

/// Marks the copy of a test that runs in a process of its own.
const OWN_PROCESS: &str = "MAILBEARER_TEST_OWN_PROCESS";

/// How many descriptors that process may have.
const DESCRIPTORS: u64 = 64;

/// Runs the test `name` again in a process of its own; whether this is that one.
fn is_own_process(name: &str) -> bool {
    if std::env::var_os(OWN_PROCESS).is_some() {
        return true;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("relay::listener::accept::tests::{name}"), "--nocapture"])
        .env(OWN_PROCESS, "1")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let problem = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.contains("1 passed"), "{told}{problem}");
    false
}

/// Takes every descriptor that the process may have.
fn exhaust() -> Vec<File> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(DESCRIPTORS), maximum }).unwrap();
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

/// A client that has its descriptor already.
fn client() -> TcpSocket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_nonblocking(true).unwrap();
    TcpSocket::from_std_stream(socket.into())
}

/// Serves; gives where, and a client that was greeted, so that the reserve is there. It must stay,
/// or its session would leave a descriptor to the next.
async fn listen(settings: ListenerSettings) -> (SocketAddr, TcpStream) {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let listener = listener_of(settings, Shutdown::default(), LocalPassword::None);
    let (current, watched) = watch::channel(listener);
    tokio::spawn(async move {
        let _current = current;
        serve(watched, socket.into(), CancellationToken::new()).await;
    });
    let mut first = TcpStream::connect(address).await.unwrap();
    first.read_u8().await.unwrap();
    (address, first)
}

/// What a client hears until it is closed, and the client.
async fn heard(client: TcpSocket, address: SocketAddr) -> (String, TcpStream) {
    let mut client = client.connect(address).await.unwrap();
    let mut heard = String::new();
    client.read_to_string(&mut heard).await.unwrap();
    (heard, client)
}

#[tokio::test]
async fn clients_without_a_descriptor_are_told_so_one_after_the_other_until_there_is_one() {
    if !is_own_process(
        "clients_without_a_descriptor_are_told_so_one_after_the_other_until_there_is_one",
    ) {
        return;
    }
    for (protocol, farewell, greeting) in
        [(Protocol::Submission, "421 4.7.0 ", "220 "), (Protocol::Imap, "* BYE ", "* OK ")]
    {
        let (address, _first) = listen(settings(protocol)).await;
        let clients = [client(), client(), client()];
        let taken = exhaust();
        // They stay, too: each that left would leave its descriptor to the next.
        let mut told = Vec::new();
        for client in clients {
            let (heard, client) = heard(client, address).await;
            told.push(client);
            assert!(heard.starts_with(farewell) && heard.ends_with("\r\n"), "{heard:?}");
        }
        drop(taken);
        let mut client = TcpStream::connect(address).await.unwrap();
        let mut greeted = vec![0; greeting.len()];
        client.read_exact(&mut greeted).await.unwrap();
        assert_eq!(greeted, greeting.as_bytes());
    }
}

#[tokio::test]
async fn a_client_without_a_descriptor_is_closed_where_it_awaits_tls() {
    if !is_own_process("a_client_without_a_descriptor_is_closed_where_it_awaits_tls") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let files = put(dir.path(), &Authority::new().issue(HOST));
    let tls = ListenerTls::Implicit(files);
    let settings = ListenerSettings { tls, ..settings(Protocol::Imap) };
    assert_eq!(heard_without_a_descriptor(settings).await, "");
}

#[tokio::test]
async fn a_client_without_a_descriptor_is_closed_where_it_is_not_allowed() {
    if !is_own_process("a_client_without_a_descriptor_is_closed_where_it_is_not_allowed") {
        return;
    }
    let allow = vec!["192.0.2.0/24".parse().unwrap()];
    let settings = ListenerSettings { allow, ..settings(Protocol::Imap) };
    assert_eq!(heard_without_a_descriptor(settings).await, "");
}

/// What a client hears for whom there is the reserve alone.
async fn heard_without_a_descriptor(settings: ListenerSettings) -> String {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let socket = ListenSocket::from(socket);
    let listener = listener_of(settings, Shutdown::default(), LocalPassword::None);
    let mut spare = Spare::new();
    let connecting = client();
    let _taken = exhaust();
    let ((heard, _client), ()) = tokio::join!(heard(connecting, address), async {
        assert!(are_descriptors_exhausted(&socket.accept().await.unwrap_err()));
        assert!(spare.turn_away_next(&socket, &listener).await);
        assert!(!spare.turn_away_next(&socket, &listener).await, "there is no other client");
    });
    heard
}

#[test]
fn a_connection_that_was_broken_before_it_was_accepted_holds_up_nobody() {
    let error = |errno: Errno| io::Error::from_raw_os_error(errno.raw_os_error());
    for one in [Errno::CONNABORTED, Errno::PROTO, Errno::HOSTUNREACH, Errno::NETDOWN] {
        assert!(is_of_one_connection(&error(one)), "{one:?}");
    }
    // Trouble of the machine, behind which the next connection fares no better.
    for all in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::INVAL] {
        assert!(!is_of_one_connection(&error(all)), "{all:?}");
    }
}
