//! A provider's mail server, or somebody on the path to it, that says what a test wrote down and
//! keeps every byte that it hears.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[cfg(target_os = "linux")]
use socket2::SockFilter;
use socket2::Socket;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::client::{PATIENCE, Stream};

/// What is poured, again and again.
static ZEROS: [u8; 65_536] = [0; 65_536];

/// A packet filter that keeps no byte of any packet: `BPF_RET | BPF_K` of `linux/bpf_common.h`.
#[cfg(target_os = "linux")]
const KEEP_NOTHING: SockFilter = SockFilter::new(0x06, 0, 0, 0);

/// What a server does next.
#[derive(Clone)]
pub enum Act {
    /// Sends these bytes, in one write.
    Say(Vec<u8>),
    /// Reads a line, which must begin so.
    Hear(String),
    /// Sends so many zeros, or as many as are taken.
    Pour(usize),
    /// Reads so many bytes, whatever they are.
    Take(usize),
    /// Waits until it is told to go on.
    Wait(Arc<Notify>),
    /// Is cut off: whatever arrives from now on is lost, and nobody is told so.
    #[cfg(target_os = "linux")]
    LoseAll,
    /// Goes on under TLS.
    StartTls,
    /// Goes on under TLS with the certificate of somebody else.
    StartTlsAs(TlsAcceptor),
    /// Closes.
    Close,
    /// Resets the connection.
    Reset,
}

/// What a server does on one connection. At its end it listens until the connection is closed.
#[derive(Clone, Default)]
pub struct Script(Vec<Act>);

impl Script {
    /// Reads a script, a line for each act:
    ///
    /// - `S: ` a line to say; those that follow each other leave in one write, as an attacker who
    ///   injects something lets them;
    /// - `C: ` how the next line that is heard must begin;
    /// - `TLS` a handshake; `CLOSE` the end.
    pub fn parse(text: &str) -> Self {
        let mut acts = Vec::new();
        for line in text.lines().map(str::trim_start).filter(|line| !line.is_empty()) {
            if let Some(said) = line.strip_prefix("S: ").or(line.strip_prefix("S:")) {
                match acts.last_mut() {
                    Some(Act::Say(before)) => before.extend(format!("{said}\r\n").bytes()),
                    _ => acts.push(Act::Say(format!("{said}\r\n").into())),
                }
            } else if let Some(heard) = line.strip_prefix("C: ") {
                acts.push(Act::Hear(heard.to_owned()));
            } else {
                acts.push(match line {
                    "TLS" => Act::StartTls,
                    "CLOSE" => Act::Close,
                    _ => panic!("no act: {line:?}"),
                });
            }
        }
        Self(acts)
    }

    /// The same with `act` behind it.
    pub fn then(mut self, act: Act) -> Self {
        self.0.push(act);
        self
    }

    /// The same with the script `next` behind it.
    pub fn and(mut self, next: &Self) -> Self {
        self.0.extend(next.0.iter().cloned());
        self
    }

    /// How many acts it has.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Its first `len` acts.
    pub fn cut(&self, len: usize) -> Self {
        Self(self.0.iter().take(len).cloned().collect())
    }

    /// How many lines it hears in clear: before its handshake, the first bytes of which are none.
    pub fn lines_in_clear(&self) -> usize {
        let is_clear = |act: &&Act| !matches!(act, Act::StartTls | Act::StartTlsAs(_));
        let is_line = |act: &&Act| matches!(act, Act::Hear(start) if !start.starts_with('\u{16}'));
        self.0.iter().take_while(is_clear).filter(is_line).count()
    }

    /// The same with another identity at every handshake.
    pub fn shown_by(mut self, identity: &TlsAcceptor) -> Self {
        for act in &mut self.0 {
            if matches!(act, Act::StartTls) {
                *act = Act::StartTlsAs(identity.clone());
            }
        }
        self
    }
}

/// What a server heard on one connection.
#[derive(Debug, Default)]
pub struct Heard {
    /// Bytes in clear.
    pub clear: Vec<u8>,
    /// Bytes under TLS.
    pub private: Vec<u8>,
    /// Whether there was TLS.
    pub is_private: bool,
    /// Why the script was left before its end, if it was.
    pub broke: Option<String>,
}

/// A server. Dropping it ends it.
pub struct Upstream {
    pub address: SocketAddr,
    door: Arc<Mutex<Door>>,
    heard: mpsc::UnboundedReceiver<Heard>,
    /// How many connections [`Self::heard`] told of.
    told: usize,
    _serving: JoinSet<()>,
}

/// Where a server lets connections in.
#[derive(Default)]
struct Door {
    scripts: VecDeque<Script>,
    /// How many came.
    came: usize,
    /// How many bytes were poured.
    poured: usize,
    /// Who only asks how many came.
    knocker: Option<SocketAddr>,
}

impl Upstream {
    /// Starts one that has nothing to say yet.
    pub async fn start(acceptor: TlsAcceptor) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let door = Arc::<Mutex<Door>>::default();
        let (sender, heard) = mpsc::unbounded_channel();
        let mut serving = JoinSet::new();
        let opened = Arc::clone(&door);
        serving.spawn(async move {
            let mut conversations = JoinSet::new();
            loop {
                let (tcp, peer) = listener.accept().await.unwrap();
                // Without a script it says nothing, and whoever asks who came is told of it.
                let Some(script) = opened.lock().unwrap().script_for(peer) else { continue };
                let (acceptor, sender) = (acceptor.clone(), sender.clone());
                let door = Arc::clone(&opened);
                conversations.spawn(async move {
                    let mut heard = Heard::default();
                    heard.broke = converse(tcp, script, &acceptor, &door, &mut heard).await.err();
                    // Nobody may care to hear it.
                    let _ = sender.send(heard);
                });
            }
        });
        Self { address, door, heard, told: 0, _serving: serving }
    }

    /// What it does on the next connection that has no script yet.
    pub fn plays(&self, script: Script) {
        self.door.lock().unwrap().scripts.push_back(script);
    }

    /// How many bytes it poured.
    pub fn poured(&self) -> usize {
        self.door.lock().unwrap().poured
    }

    /// What it heard on the connection that ended next.
    pub async fn heard(&mut self) -> Heard {
        let heard = timeout(PATIENCE, self.heard.recv()).await.expect("no connection ends");
        self.told += 1;
        heard.unwrap()
    }

    /// Whether nobody came but those whom [`Self::heard`] told of. It knocks to know: connections
    /// are let in in turn, so whoever came before is counted, be it connected still or gone.
    pub async fn heard_nobody(&mut self) -> bool {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(self.address.ip(), 0)).unwrap();
        self.door.lock().unwrap().knocker = Some(socket.local_addr().unwrap());
        let mut knocking = socket.connect(self.address).await.unwrap();
        let answer = timeout(PATIENCE, knocking.read_u8()).await.expect("nobody opens");
        assert!(answer.is_err(), "a knock is not answered");
        self.door.lock().unwrap().came == self.told
    }
}

impl Door {
    /// What is played for `peer`, unless it only knocks.
    fn script_for(&mut self, peer: SocketAddr) -> Option<Script> {
        if self.knocker == Some(peer) {
            return None;
        }
        self.came += 1;
        Some(self.scripts.pop_front().unwrap_or_default())
    }
}

async fn converse(
    tcp: TcpStream,
    script: Script,
    acceptor: &TlsAcceptor,
    door: &Mutex<Door>,
    heard: &mut Heard,
) -> Result<(), String> {
    tcp.set_nodelay(true).unwrap();
    // A second handle, since TLS hides the first.
    let socket = Socket::from(tcp.as_fd().try_clone_to_owned().unwrap());
    let mut stream: Box<dyn Stream> = Box::new(tcp);
    for act in script.0 {
        match act {
            Act::Say(bytes) => {
                let sent = async {
                    stream.write_all(&bytes).await?;
                    stream.flush().await
                };
                sent.await.map_err(|error| format!("{error} at {:?}", bytes.escape_ascii()))?;
            }
            Act::Hear(start) => {
                let from = heard.bytes().len();
                while heard.bytes().get(from..).is_none_or(|line| !line.ends_with(b"\n")) {
                    let byte = stream.read_u8().await;
                    heard.bytes().push(byte.map_err(|error| format!("{error} before {start:?}"))?);
                }
                let line = heard.bytes().split_off(from);
                heard.bytes().extend(&line);
                if !line.starts_with(start.as_bytes()) {
                    return Err(format!("not {start:?} but {}", line.escape_ascii()));
                }
            }
            Act::Pour(len) => {
                let mut poured = 0;
                while poured < len {
                    let sent = stream.write(&ZEROS).await;
                    let sent = sent.map_err(|error| format!("{error} behind {poured} bytes"))?;
                    poured += sent;
                    door.lock().unwrap().poured += sent;
                }
            }
            Act::Take(len) => {
                let mut bytes = vec![0; len];
                let taken = stream.read_exact(&mut bytes).await;
                heard.bytes().extend(bytes);
                taken.map_err(|error| format!("{error} before {len} bytes"))?;
            }
            Act::Wait(told) => told.notified().await,
            // The system drops each packet before TCP sees it.
            #[cfg(target_os = "linux")]
            Act::LoseAll => socket.attach_filter(&[KEEP_NOTHING]).unwrap(),
            Act::StartTls => stream = start_tls(stream, acceptor, heard).await?,
            Act::StartTlsAs(other) => stream = start_tls(stream, &other, heard).await?,
            Act::Close => {
                let _ = stream.shutdown().await;
                return Ok(());
            }
            Act::Reset => {
                socket.set_linger(Some(Duration::ZERO)).unwrap();
                return Ok(());
            }
        }
    }
    // A reset at the end is as good as a close.
    let _ = stream.read_to_end(heard.bytes()).await;
    let _ = stream.shutdown().await;
    Ok(())
}

async fn start_tls(
    stream: Box<dyn Stream>,
    acceptor: &TlsAcceptor,
    heard: &mut Heard,
) -> Result<Box<dyn Stream>, String> {
    let started = acceptor.accept(stream).await.map_err(|error| format!("no TLS: {error}"))?;
    heard.is_private = true;
    Ok(Box::new(started))
}

impl Heard {
    /// Where bytes go that are heard now.
    fn bytes(&mut self) -> &mut Vec<u8> {
        if self.is_private { &mut self.private } else { &mut self.clear }
    }
}
