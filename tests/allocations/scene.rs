//! A counted relay before a provider that is in order, and clients of it.

use mailbearer::provider::{PerProtocol, Protocol};
use tempfile::TempDir;

use crate::counted::Counted;
use crate::support::ALICE;
use crate::support::certificates::{Authority, HERE};
use crate::support::client::Client;
use crate::support::stage::{sign_in, words};
use crate::support::upstream::{Act, Script, Upstream};

/// The Argon2 hash of the local password: what most files have, computed once and remembered.
const PASSWORD_HASH: &str = "$argon2id$v=19$m=64,t=1,p=1$dY51Ncc8rDDifIS2pujqOg$baiUj2wjQPJ3UDpz5DGA/amXQJEOnUGgv7gJfpYXT3I";

/// One MiB.
const MIB: usize = 1 << 20;

/// Characters of the access token: as many as Entra's have at least.
const TOKEN_LEN: usize = 1_200;

/// What a client says when it leaves, and what it hears.
const BYE: &str = "bye";

/// What a client says to be sent something, and before it sends something.
const POUR: &str = "pour";
const TAKE: &str = "take";

/// What it hears behind the one, and when all of the other was taken.
const DONE: &str = "done";

/// A relay and the servers of its provider.
pub(crate) struct Scene {
    pub(crate) relay: Counted,
    upstreams: PerProtocol<Upstream>,
    _dir: TempDir,
}

impl Scene {
    pub(crate) async fn set() -> Self {
        let authority = Authority::new();
        let acceptor = authority.issue(HERE).acceptor();
        let upstreams = PerProtocol {
            submission: Upstream::start(acceptor.clone()).await,
            imap: Upstream::start(acceptor.clone()).await,
            pop3: Upstream::start(acceptor).await,
        };
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("mailbearer.toml");
        std::fs::write(dir.path().join("ca.pem"), authority.pem()).unwrap();
        std::fs::write(&file, text(&upstreams)).unwrap();
        Self { relay: Counted::start(file).await, upstreams, _dir: dir }
    }

    /// Has `count` sessions, one after the other: sign-in, one command, the end.
    pub(crate) async fn sessions(&self, protocol: Protocol, count: u64) {
        for _ in 0..count {
            let mut client = self.signed_in(protocol).await;
            client.ask(BYE, BYE).await;
            client.rest().await;
        }
    }

    /// A client that is signed in.
    pub(crate) async fn signed_in(&self, protocol: Protocol) -> Client {
        let leave = format!("C: {BYE}\nS: {BYE}\nCLOSE");
        self.client(protocol, &Script::parse(&leave)).await
    }

    /// A client that is signed in at a server that streams so many MiB whenever it is asked to, twice
    /// each way.
    pub(crate) async fn streaming(&self, mib: u64) -> Streaming {
        let len = usize::try_from(mib).unwrap() * MIB;
        let mut script = Script::default();
        for (word, act) in [(POUR, Act::Pour(len)), (TAKE, Act::Take(len))] {
            for _ in 0..2 {
                script = script.then(Act::Hear(word.to_owned())).then(act.clone());
                script = script.then(Act::Say(format!("{DONE}\r\n").into()));
            }
        }
        Streaming { client: self.client(Protocol::Imap, &script).await, len }
    }

    /// A client that is signed in at a server that then plays `script`.
    async fn client(&self, protocol: Protocol, script: &Script) -> Client {
        self.upstreams.get(protocol).plays(sign_in(protocol).and(script));
        let words = words(protocol);
        let mut client = Client::connect(self.relay.address(protocol)).await;
        client.expect(words.greeting).await;
        client.send(words.sign_in).await;
        client.expect_after(words.accepted).await;
        client
    }
}

/// A client that streams.
pub(crate) struct Streaming {
    client: Client,
    /// How many bytes those MiB have.
    len: usize,
}

impl Streaming {
    /// Is sent all MiB.
    pub(crate) async fn download(&mut self) {
        self.client.send(POUR).await;
        // There is no line end in what is poured.
        let poured = self.client.line().await;
        assert!(poured.ends_with(DONE) && poured.len() >= self.len);
    }

    /// Sends all MiB.
    pub(crate) async fn upload(&mut self) {
        self.client.send(TAKE).await;
        self.client.send_bytes(&vec![0; self.len]).await;
        self.client.expect(DONE).await;
    }
}

/// The configuration: a listener in clear for each protocol, and a provider with STARTTLS.
fn text(upstreams: &PerProtocol<Upstream>) -> String {
    let (mut listeners, mut hosts) = (String::new(), String::new());
    for protocol in Protocol::ALL {
        let (name, port) = (protocol.name(), upstreams.get(protocol).address.port());
        listeners += &format!(
            "[listeners.{name}]\nprotocol = \"{name}\"\naddress = \"{HERE}:0\"\ntls = \"none\"\n"
        );
        hosts += &format!("{name} = {{ host = \"{HERE}\", port = {port}, tls = \"starttls\" }}\n");
    }
    let token = "t".repeat(TOKEN_LEN);
    format!(
        r#"
        {listeners}

        [providers.scripted]
        scopes = ["mail"]
        {hosts}
        ca_file = "ca.pem"
        grant = "command"
        command = ["echo", "{token}"]

        [accounts."{ALICE}"]
        provider = "scripted"
        local_password = "{PASSWORD_HASH}"
        "#
    )
}
