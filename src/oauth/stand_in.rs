//! A token endpoint for tests: a loopback HTTP server that counts requests and answers by script.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::provider::{ClientAuth, Grant, Way};
use crate::secret::{SecretSource, SecretString};

/// The client secret that grants for a stand-in carry.
pub(super) const SECRET: &str = "s3cret-of-the-client";

/// The token that a stand-in issues.
pub(super) const TOKEN: &str = "t0ken-for-the-mailbox";

/// What a stand-in does with one request.
#[derive(Clone)]
pub(super) enum Answer {
    /// Sends these bytes and closes.
    Bytes(Vec<u8>),
    /// The first if a scope is named, and the second if none is.
    ByScope(Vec<u8>, Vec<u8>),
    /// Reads on and never answers.
    Hang,
}

impl Answer {
    pub(super) fn new(status: &str, content_type: &str, body: &str) -> Self {
        let head = format!("HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\n");
        let length = body.len();
        Self::Bytes(format!("{head}Content-Length: {length}\r\n\r\n{body}").into_bytes())
    }

    pub(super) fn json(status: &str, body: &str) -> Self {
        Self::new(status, "application/json; charset=utf-8", body)
    }

    pub(super) fn token() -> Self {
        let body =
            format!(r#"{{"access_token":"{TOKEN}","token_type":"Bearer","expires_in":3599}}"#);
        Self::json("200 OK", &body)
    }
}

pub(super) struct StandIn {
    url: String,
    requests: Arc<AtomicUsize>,
    last: Arc<Mutex<String>>,
    answer: Arc<Mutex<Answer>>,
}

impl StandIn {
    pub(super) async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stand_in = Self {
            url: format!("http://{}/tenant/token", listener.local_addr().unwrap()),
            requests: Arc::default(),
            last: Arc::default(),
            answer: Arc::new(Mutex::new(answer)),
        };
        let requests = Arc::clone(&stand_in.requests);
        let last = Arc::clone(&stand_in.last);
        let answer = Arc::clone(&stand_in.answer);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (requests, last) = (Arc::clone(&requests), Arc::clone(&last));
                let answer = Arc::clone(&answer);
                tokio::spawn(async move {
                    let request = read_request(&mut stream).await;
                    requests.fetch_add(1, Ordering::SeqCst);
                    let names_scope = request.contains("&scope=");
                    *last.lock().unwrap() = request;
                    let answer = answer.lock().unwrap().clone();
                    match answer {
                        // The client may have closed already, having read enough.
                        Answer::Bytes(bytes) => drop(stream.write_all(&bytes).await),
                        Answer::ByScope(named, none) => {
                            let bytes = if names_scope { named } else { none };
                            drop(stream.write_all(&bytes).await);
                        }
                        Answer::Hang => std::future::pending().await,
                    }
                });
            }
        });
        stand_in
    }

    /// Answers so from now on.
    pub(super) fn answer(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    /// How many requests have come.
    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// The last request, head and body.
    pub(super) fn last_request(&self) -> String {
        self.last.lock().unwrap().clone()
    }

    /// A grant at this endpoint.
    pub(super) fn grant(&self) -> Arc<Grant> {
        let secret = SecretSource::Value(SecretString::from(SECRET));
        Arc::new(Grant::of_application().at(&self.url).by(|client| {
            client.id = "the client".into();
            client.auth = ClientAuth::SecretPost(secret);
        }))
    }

    /// Alice's grant at this endpoint.
    pub(super) fn person(&self) -> Arc<Grant> {
        let client = self.grant().way.client().cloned().unwrap();
        let way = Way::AuthorizationCode(client);
        let mut grant = Grant { way, ..Grant::of_person("alice@contoso.com").at(&self.url) };
        grant.server.revocation_endpoint = Some(self.url.replace("/token", "/revoke"));
        Arc::new(grant)
    }
}

/// Reads a request as long as its head says, or as much as comes.
async fn read_request(stream: &mut TcpStream) -> String {
    let mut request = String::new();
    let mut piece = [0; 4096];
    loop {
        let complete = request.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
            });
            body.len() >= length.unwrap_or(0)
        });
        if complete {
            return request;
        }
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return request,
            Ok(len) => request.push_str(std::str::from_utf8(&piece[..len]).unwrap()),
        }
    }
}
