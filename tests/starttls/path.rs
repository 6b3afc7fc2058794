//! Somebody on the path to the provider, who says what a test wrote down.

use mailbearer::provider::Protocol;

use crate::support::certificates::{Authority, HERE, Identity};
use crate::support::client::Client;
use crate::support::log::Log;
use crate::support::stage::{self, Stage, TOKEN, Tls, words};
use crate::support::upstream::{Act, Heard, Script};

/// What stands in everything that is forged. No client may ever hear it.
pub(crate) const FORGED: &str = "FORGED";

/// How every XOAUTH2 response begins: `user=` in base64.
const RESPONSE_START: &str = "dXNlcj1";

/// What the log tells of a server that is refused, and why it is.
pub(crate) mod cause {
    pub(crate) const NO_STARTTLS: &str = "it offers no STARTTLS, which is required";
    pub(crate) const INJECTED: &str = "it sent bytes in clear behind STARTTLS";
    pub(crate) const PREAUTH: &str = "it greets with PREAUTH";
    pub(crate) const TURNED_AWAY: &str = "it turned the connection away: ";
    pub(crate) const PROTOCOL: &str = "it does not speak the protocol: ";
    pub(crate) const NO_MECHANISM: &str = "it does not offer AUTH XOAUTH2";
    /// In the words of the TLS library.
    pub(crate) const NO_HANDSHAKE: &str = "received corrupt message of type InvalidContentType";
    pub(crate) const BROKE: &str = " broke off the connection ";
}

/// A relay and the path to the server that its provider has for one protocol.
pub(crate) struct Path {
    stage: Stage,
    protocol: Protocol,
    log: Log,
}

impl Path {
    pub(crate) async fn to(protocol: Protocol) -> Self {
        Self { stage: Stage::set(Tls::None).await, protocol, log: Log::keep() }
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
    /// was forged, the log tells `cause`, and no token leaves, be it in clear or under TLS.
    ///
    /// A provider that is given up because it is silent for too long has another cause.
    pub(crate) async fn is_refused(&mut self, case: &str, script: Script, cause: &str) {
        let lines_max = script.lines_in_clear();
        let (lines, heard) = self.sign_in(script).await;
        let unavailable = words(self.protocol).unavailable;
        assert!(lines[0].starts_with(unavailable), "{case}: {lines:?}, {heard:?}");
        assert_eq!(lines.len(), 1, "{case}: {lines:?}");
        assert!(!lines[0].contains(FORGED), "{case}: {lines:?}");
        let log = self.log.take_until(" refused ").await;
        let refused = log.lines().last().unwrap();
        assert!(refused.contains(cause), "{case}: {refused}");
        // That the connection is closed is what is wanted; that something else was said is not.
        let broke = heard.broke.as_deref().unwrap_or_default();
        assert!(!broke.starts_with("not "), "{case}: {broke}");
        for heard in [&heard.clear[..], &heard.private, log.as_bytes()] {
            self.no_token_is_in(case, heard);
        }
        let said = self.only_tls_is_asked_for_in(case, &heard.clear);
        assert!(said <= lines_max, "{case}: {} in clear", heard.clear.escape_ascii());
    }

    /// The same for many cases, each a name and a text.
    pub(crate) async fn are_refused<C: AsRef<str>, T: AsRef<str>>(
        &mut self,
        cause: &str,
        cases: impl IntoIterator<Item = (C, T)>,
    ) {
        for (case, script) in cases {
            self.is_refused(case.as_ref(), Script::parse(script.as_ref()), cause).await;
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

    /// In clear nothing is said but what leads to TLS, and the handshake itself. Gives how many lines
    /// that is.
    fn only_tls_is_asked_for_in(&self, case: &str, heard: &[u8]) -> usize {
        let said = heard.split(|byte| *byte == 0x16).next().unwrap();
        for line in String::from_utf8_lossy(said).lines() {
            let command = match self.protocol {
                Protocol::Imap => line.split_once(' ').map_or("", |(_, command)| command),
                Protocol::Submission | Protocol::Pop3 => line,
            };
            let known = ["EHLO [127.0.0.1]", "CAPABILITY", "CAPA", "STARTTLS", "STLS", "QUIT"];
            assert!(known.contains(&command), "{case}: {line:?} in clear");
        }
        String::from_utf8_lossy(said).lines().count()
    }
}

/// T_1 to T_4: a server that does not prove to be the one that it should be sees no token.
#[tokio::test]
async fn wrong_certificates_are_refused() {
    for protocol in Protocol::ALL {
        let mut path = Path::to(protocol).await;
        let in_order = stage::sign_in(protocol);
        let known = &path.stage.authority;
        let identities = [
            ("T_1, self-signed", Identity::self_signed(), "UnknownIssuer"),
            ("T_2, of an unknown authority", Authority::new().issue(HERE), "BadSignature"),
            (
                "T_3, of another host: L_1_B and M_1_B too",
                known.issue("other.example.org"),
                "not valid for name",
            ),
            ("T_4, expired", known.issue_expired(), "certificate expired"),
        ];
        for (case, identity, cause) in identities {
            path.is_refused(case, in_order.clone().shown_by(&identity.acceptor()), cause).await;
        }
        // The same with the right one, so that it is the certificate that was refused.
        let right = path.stage.authority.issue(HERE).acceptor();
        let (lines, heard) = path.sign_in(in_order.shown_by(&right).then(Act::Close)).await;
        assert!(lines.last().unwrap().starts_with(words(protocol).accepted), "{heard:?}");
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
