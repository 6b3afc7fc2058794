//! A name server on loopback that knows what it is told (RFC 1035 section 4).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// Types of records (RFC 1035 section 3.2.2).
const CNAME: u16 = 5;
const MX: u16 = 15;

/// A record that it knows.
#[derive(Debug, Clone)]
pub(crate) enum Record {
    Mx { domain: &'static str, preference: u16, host: &'static str },
    Alias { name: &'static str, of: &'static str },
}

/// A name server that runs.
pub(crate) struct NameServer {
    pub(crate) address: SocketAddr,
    questions: Arc<AtomicUsize>,
    running: JoinHandle<()>,
}

impl NameServer {
    /// One that says of everything else that there is no such name.
    pub(crate) async fn start(records: Vec<Record>) -> Self {
        Self::with(move |question| Some(answer(question, &records))).await
    }

    /// One that never answers.
    pub(crate) async fn silent() -> Self {
        Self::with(|_| None).await
    }

    /// One that answers with what is no message.
    pub(crate) async fn babbling() -> Self {
        Self::with(|question| Some([&question[..2], &[0xff; 40][..]].concat())).await
    }

    async fn with(answer: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + 'static) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let questions = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&questions);
        let running = tokio::spawn(async move {
            let mut buffer = [0; 1500];
            while let Ok((len, peer)) = socket.recv_from(&mut buffer).await {
                count.fetch_add(1, Ordering::Relaxed);
                if let Some(answer) = answer(&buffer[..len]) {
                    socket.send_to(&answer, peer).await.unwrap();
                }
            }
        });
        Self { address, questions, running }
    }

    /// How many questions it was asked.
    pub(crate) fn questions(&self) -> usize {
        self.questions.load(Ordering::Relaxed)
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.running.abort();
    }
}

fn answer(question: &[u8], records: &[Record]) -> Vec<u8> {
    let end = 12 + question[12..].iter().position(|byte| *byte == 0).unwrap() + 1;
    let (name, kind) = (&question[12..end], u16::from_be_bytes([question[end], question[end + 1]]));
    let mut found = Vec::new();
    let mut count = 0_u16;
    for record in records {
        let (own, own_kind, data) = match record {
            Record::Mx { domain, preference, host } => {
                (domain, MX, [&preference.to_be_bytes()[..], &encoded(host)].concat())
            }
            Record::Alias { name, of } => (name, CNAME, encoded(of)),
        };
        if !encoded(own).eq_ignore_ascii_case(name) || kind != own_kind {
            continue;
        }
        count += 1;
        found.extend([0xc0, 12]); // the name of the question
        found.extend(own_kind.to_be_bytes());
        found.extend([0, 1, 0, 0, 0, 60]); // IN, a minute
        found.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        found.extend(data);
    }
    // A response with recursion; without records: no such name.
    let code = if count == 0 { 3 } else { 0 };
    let mut message = question[..2].to_vec();
    message.extend([0x81, 0x80 | code, 0, 1]);
    message.extend(count.to_be_bytes());
    message.extend([0, 0, 0, 0]);
    message.extend(&question[12..end + 4]);
    message.extend(found);
    message
}

fn encoded(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}
