//! Somebody on the path to the provider, who says what a test wrote down.

use mailbearer::provider::Protocol;

use crate::support::certificates::{Authority, HERE, Identity};
use crate::support::client::Client;
use crate::support::stage::{self, Stage, TOKEN, Tls, words};
use crate::support::upstream::{Act, Heard, Script};

/// What stands in everything that is forged. No client may ever hear it.
pub(crate) const FORGED: &str = "FORGED";

/// How every XOAUTH2 response begins: `user=` in base64.
const RESPONSE_START: &str = "dXNlcj1";

/// A relay and the path to the server that its provider has for one protocol.
pub(crate) struct Path {
    stage: Stage,
    protocol: Protocol,
}

impl Path {
    pub(crate) async fn to(protocol: Protocol) -> Self {
        Self { stage: Stage::set(Tls::None).await, protocol }
    }

    /// Lets a client sign in while `script` is played; gives what it hears, the last line last,
    /// and what was heard on the path.
    async fn sign_in(&mut self, script: Script) -> (Vec<String>, Heard) {
        let words = words(self.protocol);
        let upstream = self.stage.upstream(self.protocol);
        assert!(upstream.heard_nobody().await, "there was more than one connection");
        upstream.plays(script);
        let mut client = self.stage.greeted(self.protocol).await;
        client.send(words.sign_in).await;
        let mut lines = vec![client.line().await];
        while lines.last().is_some_and(|line| line.starts_with("* ")) {
            lines.push(client.line().await);
        }
        if lines.last().is_some_and(|line| line.starts_with(words.accepted)) {
            lines
                .extend(String::from_utf8(client.rest().await).unwrap().lines().map(str::to_owned));
        }
        drop(client);
        (lines, self.stage.upstream(self.protocol).heard().await)
    }

    /// `script` is no server to sign in to, which may pass: the client hears so and nothing of what
    /// was forged, and no token leaves, be it in clear or under TLS.
    pub(crate) async fn is_refused(&mut self, case: &str, script: Script) {
        let (lines, heard) = self.sign_in(script).await;
        let unavailable = words(self.protocol).unavailable;
        assert!(lines[0].starts_with(unavailable), "{case}: {lines:?}, {heard:?}");
        assert_eq!(lines.len(), 1, "{case}: {lines:?}");
        assert!(!lines[0].contains(FORGED), "{case}: {lines:?}");
        // That the connection is closed is what is wanted; that something else was said is not.
        let broke = heard.broke.as_deref().unwrap_or_default();
        assert!(!broke.starts_with("not "), "{case}: {broke}");
        self.no_token_is_in(case, &heard.clear);
        self.no_token_is_in(case, &heard.private);
        self.only_tls_is_asked_for_in(case, &heard.clear);
    }

    /// The same for many cases, each a text.
    pub(crate) async fn are_refused(&mut self, cases: &[(&str, &str)]) {
        for (case, script) in cases {
            self.is_refused(case, Script::parse(script)).await;
        }
    }

    /// `clear` is tolerated up to its TLS, but leaves no trace behind it: the client is signed in
    /// under TLS and hears nothing of what was forged.
    pub(crate) async fn is_forgotten(&mut self, case: &str, clear: &str, private: &str) {
        let script = Script::parse(clear).and(&Script::parse(private)).then(Act::Close);
        let (lines, heard) = self.sign_in(script).await;
        let told = lines.join("\n");
        let accepted = words(self.protocol).accepted;
        assert!(lines.last().unwrap().starts_with(accepted), "{case}: {told}, {heard:?}");
        assert!(!told.contains(FORGED), "{case}: {told}");
        assert_eq!(heard.broke, None, "{case}");
        self.no_token_is_in(case, &heard.clear);
        self.only_tls_is_asked_for_in(case, &heard.clear);
        let private = String::from_utf8_lossy(&heard.private).into_owned();
        assert!(private.contains(RESPONSE_START), "{case}: {private}");
    }

    fn no_token_is_in(&self, case: &str, heard: &[u8]) {
        let heard = String::from_utf8_lossy(heard);
        for secret in [TOKEN, RESPONSE_START] {
            assert!(!heard.contains(secret), "{case}: the token left: {heard}");
        }
    }

    /// In clear nothing is said but what leads to TLS, and the handshake itself.
    fn only_tls_is_asked_for_in(&self, case: &str, heard: &[u8]) {
        let said = heard.split(|byte| *byte == 0x16).next().unwrap();
        for line in String::from_utf8_lossy(said).lines() {
            let command = match self.protocol {
                Protocol::Imap => line.split_once(' ').map_or("", |(_, command)| command),
                Protocol::Submission | Protocol::Pop3 => line,
            };
            let known = ["EHLO [127.0.0.1]", "CAPABILITY", "CAPA", "STARTTLS", "STLS", "QUIT"];
            assert!(known.contains(&command), "{case}: {line:?} in clear");
        }
    }

    /// T_1 to T_4: a server that does not prove to be the one that it should be sees no token.
    pub(crate) async fn refuses_every_wrong_certificate(&mut self) {
        let in_order = stage::sign_in(self.protocol);
        let known = &self.stage.authority;
        let identities = [
            ("T_1, self-signed", Identity::self_signed()),
            ("T_2, of an unknown authority", Authority::new().issue(HERE)),
            ("T_3, of another host", known.issue("other.example.org")),
            ("T_4, expired", known.issue_expired()),
        ];
        for (case, identity) in identities {
            self.is_refused(case, in_order.clone().shown_by(&identity.acceptor())).await;
        }
        // The same with the right one, so that it is the certificate that was refused.
        let right = self.stage.authority.issue(HERE).acceptor();
        let (lines, heard) = self.sign_in(in_order.shown_by(&right).then(Act::Close)).await;
        assert!(lines.last().unwrap().starts_with(words(self.protocol).accepted), "{heard:?}");
    }
}

/// What the tests here rest on when they say that nobody came.
#[tokio::test]
async fn somebody_who_is_still_connected_or_was_not_asked_for_has_come() {
    let mut stage = Stage::set(Tls::None).await;
    let upstream = stage.upstream(Protocol::Imap);
    assert!(upstream.heard_nobody().await);
    let connected = Client::connect(upstream.address).await;
    assert!(!upstream.heard_nobody().await, "it is connected");
    drop(connected);
    upstream.heard().await;
    assert!(upstream.heard_nobody().await, "it was told of");
    drop(Client::connect(upstream.address).await);
    assert!(!upstream.heard_nobody().await, "it is gone");
}
