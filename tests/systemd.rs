//! What `serve` tells systemd, by sd_notify(3), and what it does when nobody listens.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use rustix::process::Signal;
use support::client::PATIENCE;
use support::serve::Served;
use support::{ALICE, AUTH_PLAIN};
use tokio::net::UnixDatagram;
use tokio::time::timeout;

/// The file's part that lets a drain last.
const LONG_GRACE: &str = "[shutdown]\ngrace = \"10m\"\n";

/// systemd, as far as a service sees it.
struct Manager {
    socket: UnixDatagram,
    dir: tempfile::TempDir,
}

impl Manager {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(dir.path().join("notify")).unwrap();
        Self { socket, dir }
    }

    /// What it gives to a service besides `more`.
    fn environment(&self, more: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
        let socket = self.dir.path().join("notify").display().to_string();
        let more = more.iter().map(|(name, value)| (*name, (*value).to_owned()));
        more.chain([("NOTIFY_SOCKET", socket)]).collect()
    }

    /// What it is told next, line by line.
    async fn told(&self) -> Vec<String> {
        let mut message = [0; 4096];
        let len = timeout(PATIENCE, self.socket.recv(&mut message)).await.unwrap().unwrap();
        let message = std::str::from_utf8(message.get(..len).unwrap()).unwrap();
        message.lines().map(str::to_owned).collect()
    }

    /// The next message that has `line` in it.
    async fn told_of(&self, line: &str) -> Vec<String> {
        loop {
            let told = self.told().await;
            if told.iter().any(|it| it == line) {
                return told;
            }
        }
    }
}

fn microseconds(told: &[String], name: &str) -> u64 {
    let value = told.iter().find_map(|line| line.strip_prefix(name)).unwrap();
    value.parse().unwrap()
}

#[tokio::test]
async fn ready_is_told_when_clients_are_served_and_stopping_when_they_are_no_more() {
    let manager = Manager::new();
    let served = Served::start_with(LONG_GRACE, &manager.environment(&[])).await;
    let serving = "STATUS=serving; addresses: 2, sessions: 0, accounts that need consent: 0";
    assert_eq!(manager.told().await, ["READY=1", serving]);

    let mut client = served.client().await;
    client.ask(AUTH_PLAIN, "235 ").await;
    served.terminate();
    let told = manager.told_of("STOPPING=1").await;
    // The grace time and what the end may take besides, which is more than the unit's 90 s.
    assert_eq!(told[1], "EXTEND_TIMEOUT_USEC=645000000");
    assert_eq!(told[2], "STATUS=draining; sessions: 1");
    assert_eq!(told.len(), 3);
    client.ask("QUIT", "221 ").await;
    served.ended().await;
}

#[tokio::test]
async fn reload_is_told_from_its_begin_to_its_end_whether_it_succeeds_or_not() {
    let manager = Manager::new();
    let extra = "[accounts.\"carol@example.com\"]\nprovider = \"sandbox\"\nclient_id = \"person\"\n\
                 grant = \"authorization-code\"\nlocal_password = \"any\"\n";
    let served = Served::start_with(extra, &manager.environment(&[])).await;
    let told = manager.told_of("READY=1").await;
    assert!(told[1].ends_with("accounts that need consent: 1"), "{told:?}");
    let mut last = 0;
    let more = "[listeners.more]\nprotocol = \"imap\"\naddress = \"127.0.0.1:0\"\n";
    for (added, addresses) in [(more, 3), ("nonsense = 1\n", 3)] {
        served.rewrite(|text| text + added);
        served.signal(Signal::HUP);
        let told = manager.told_of("RELOADING=1").await;
        // systemd.service(5): it has to be later than that of the reload before.
        let now = microseconds(&told, "MONOTONIC_USEC=");
        assert!(now > last && told.len() == 2, "{told:?}");
        last = now;
        let told = manager.told_of("READY=1").await;
        assert!(told[1].contains(&format!("addresses: {addresses},")), "{told:?}");
        assert!(!told[1].contains(ALICE) && !told[1].contains("carol"), "{told:?}");
    }
    served.terminate();
    served.ended().await;
}

#[tokio::test]
async fn watchdog_hears_from_the_process_that_it_asks_and_from_no_other() {
    let often = ("WATCHDOG_USEC", "200000");
    let (other, manager) = (Manager::new(), Manager::new());
    // Of another process, which is no business of this one.
    let silent = Served::start_with("", &other.environment(&[often, ("WATCHDOG_PID", "1")])).await;
    other.told_of("READY=1").await;
    // The one lives longer than some beats of the other.
    let served = Served::start_with("", &manager.environment(&[often])).await;
    for _ in 0..3 {
        manager.told_of("WATCHDOG=1").await;
    }
    served.terminate();
    served.ended().await;
    silent.terminate();
    let told = other.told().await;
    assert!(told.contains(&"STOPPING=1".to_owned()), "no beat came before: {told:?}");
    silent.ended().await;
}

#[tokio::test]
async fn a_relay_starts_and_ends_when_nobody_listens_at_the_socket() {
    for socket in ["/nonexistent/notify", "", "@nobody-listens-at-this-name"] {
        let served = Served::start_with("", &[("NOTIFY_SOCKET", socket.to_owned())]).await;
        served.client().await.ask(AUTH_PLAIN, "235 ").await;
        served.terminate();
        let log = served.ended().await;
        assert!(log.contains("the service manager cannot be told"), "{socket}: {log}");
    }
}

#[tokio::test]
async fn a_command_that_prints_a_secret_cannot_speak_for_the_relay() {
    let manager = Manager::new();
    let environment = manager.environment(&[("WATCHDOG_USEC", "9000000"), ("KEPT", "yes")]);
    let extra = "[accounts.\"bob@example.com\"]\nprovider = \"sandbox\"\nclient_id = \"bob\"\n\
                 client_secret = { command = [\"sh\", \"-c\", \"env > $HOME/seen; echo secret\"] }\n\
                 local_password = { file = \"password\" }\n";
    let served = Served::start_with(extra, &environment).await;
    let told = served.command(&["token", "bob@example.com"]).await;
    // The secret is a wrong one; the command ran all the same.
    assert_ne!(told.status.code(), Some(0));
    let seen = std::fs::read_to_string(served.home().join("seen")).unwrap();
    assert!(seen.contains("KEPT=yes"), "{seen}");
    assert!(!seen.contains("NOTIFY_SOCKET") && !seen.contains("WATCHDOG"), "{seen}");
    served.terminate();
    served.ended().await;
}

#[tokio::test]
async fn lines_have_a_priority_and_no_time_when_they_go_to_the_journal() {
    let served = Served::start_in_journal("").await;
    served.client().await.ask(support::WRONG_PLAIN, "535 ").await;
    served.terminate();
    let journal = served.ended_in_journal().await;
    assert!(!journal.is_empty());
    for line in journal.lines() {
        // sd-daemon(3): 4 is a warning, 6 is information.
        let rest = line.strip_prefix("<4>WARN  ").or_else(|| line.strip_prefix("<6>INFO  "));
        assert!(rest.is_some(), "{line}");
    }
    assert!(journal.contains("<4>WARN  refused account="), "{journal}");
}
