//! The table of docs/printers.md, "What the log says": each row is a device that makes that mistake, at a
//! relay before the stand-in provider.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ChildStderr;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use mailbearer::names::AccountPattern;
use mailbearer::provider::Protocol;
use mailbearer::sandbox::{Action, Sandbox, SandboxSettings, Step, Times};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::pages::{Page, pages};
use super::scene::{Relay, SECRET, Scene, StandIn};

/// Whose mailboxes the devices send from; the second has one place at the provider.
const SCANNER: &str = "scanner@contoso.com";
const BUSY: &str = "erp@contoso.com";

/// Where the devices are, and who is none.
const PRINTER: &str = "127.0.0.1";
const LIMITED: &str = "127.0.0.4";
const PROGRAM: &str = "127.0.0.5";
const STRANGER: &str = "127.0.0.2";
const NOT_ALLOWED: &str = "127.0.0.3";

/// The devices' tables.
const DEVICES: &str = r#"
[devices.printer-1]
account = "scanner@contoso.com"
networks = ["127.0.0.1"]
[devices.scanner-2]
account = "scanner@contoso.com"
username = "scan2"
[devices.limited]
account = "scanner@contoso.com"
networks = ["127.0.0.4"]
senders = ["*@contoso.com"]
messages_per_hour = 1
[devices.program]
account = "erp@contoso.com"
networks = ["127.0.0.5"]
"#;

/// A listener that takes nothing in clear.
const UNDER_TLS: &str = "devices = true\ntls = \"starttls\"\nrequire_tls = true\n\
                         certificate = \"server.pem\"\nprivate_key = \"server.key\"";

const MAIL: &str = "MAIL FROM:<scan@contoso.com>";

/// A whole message, command by command.
const MESSAGE: [&str; 4] = [MAIL, "RCPT TO:<bob@fabrikam.com>", "DATA", "Subject: x\r\n\r\nx\r\n."];

/// What a device heard last, and the line of the log that tells of it: the first warning, or else the
/// last line of its session.
struct Met {
    heard: String,
    log: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mistake_of_a_device_is_told_as_the_page_says() {
    let mut met = Vec::new();
    let mut rig = Rig::new("devices = true", DEVICES).await;
    rig.meet(&mut met, NOT_ALLOWED, &[MAIL]).await;
    rig.meet(&mut met, STRANGER, &[MAIL]).await;
    let wrong = format!("AUTH PLAIN {}", BASE64_STANDARD.encode(b"\0scan2\0wrong"));
    rig.meet(&mut met, PRINTER, &[&wrong]).await;
    rig.meet(&mut met, LIMITED, &["MAIL FROM:<scan@printers.invalid>"]).await;
    let twice = [&MESSAGE[..], &[MAIL]].concat();
    rig.meet(&mut met, LIMITED, &twice).await;

    let mut first = rig.connect(PROGRAM).await;
    assert!(ask(&mut first, MAIL).await.starts_with("250 "));
    rig.meet(&mut met, PROGRAM, &[MAIL]).await;

    for (step, reply) in [
        (Step::Token, "454 4.7.0 Temporary authentication failure\r\n"),
        (Step::Token, "535 5.7.139 SmtpClientAuthentication is disabled for the Mailbox.\r\n"),
        (Step::Message, "554 5.2.252 SendAsDenied; a not allowed to send as b\r\n"),
        (Step::Message, "554 5.2.2 mailbox full; STOREDRV.Submission.Exception\r\n"),
    ] {
        let reply = Action::Reply(Bytes::from_static(reply.as_bytes()));
        rig.provider.script().on(Protocol::Submission, step, Times::Next(1), reply);
        rig.meet(&mut met, PRINTER, &MESSAGE).await;
    }
    met.push(rig.meet_hello().await);
    let mut none = Rig::new("devices = false", "").await;
    none.meet(&mut met, PRINTER, &[MAIL]).await;
    let mut strict = Rig::new(UNDER_TLS, DEVICES).await;
    strict.meet(&mut met, PRINTER, &[MAIL]).await;
    strict.meet(&mut met, PRINTER, &[&wrong]).await;

    let rows = rows();
    let mut used = vec![0; rows.len()];
    for Met { heard, log } in &met {
        let fits: Vec<_> = rows.iter().map(|row| is_told(row, heard, log)).collect();
        assert_eq!(fits.iter().filter(|fits| **fits).count(), 1, "{heard:?} {log}");
        used.iter_mut().zip(fits).for_each(|(used, fits)| *used += usize::from(fits));
    }
    assert!(used.iter().all(|count| *count > 0), "{used:?}");
}

#[test]
fn whoever_follows_the_page_line_by_line_gets_there() {
    let page = page();
    let file = page.blocks("toml").into_iter().next().unwrap();
    let mut scene = Scene::new(&file);
    scene.env.clear();
    std::fs::remove_dir_all(scene.dir.path().join("certs")).unwrap();
    for line in page.blocks("sh").first().unwrap().lines() {
        if let Some((name, _)) = line.strip_prefix("export ").and_then(|it| it.split_once('=')) {
            scene.env.push((name.to_owned(), SECRET.to_owned()));
            continue;
        }
        let args: Vec<&str> = line.strip_prefix("mailbearer ").unwrap().split(' ').collect();
        if args == ["serve"] {
            // Nobody here has the machine's address in that network.
            let mut here =
                file.replace("\"192.168.20.2:25\", ", "").replace("192.168.20.2", "127.0.0.1");
            for port in [":587", ":465"] {
                here = here.replace(port, ":0");
            }
            std::fs::write(scene.dir.path().join("mailbearer.toml"), here).unwrap();
            assert!(scene.serve().end().contains("(tls)"));
            continue;
        }
        let told = scene.run(&args, b"");
        match args.first() {
            Some(&"check") => {
                assert_eq!(
                    told,
                    "mailbearer.toml: no problems (2 listeners, 1 account, 2 devices)\n"
                );
            }
            Some(&"password") => assert_eq!(told.trim_end().len(), 20),
            _ => {}
        }
    }
}

#[tokio::test]
async fn whoever_has_no_permission_sends_by_the_stand_in() {
    let stand_in = StandIn::of_page("docs/printers.md");
    let scene = &stand_in.scene;
    let mut relay = scene.serve();
    let [port] = relay.ports(["clear"]);
    let line = page().blocks("sh").into_iter().find(|block| block.starts_with("swaks ")).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    let word = |option| words[words.iter().position(|word| *word == option).unwrap() + 1];
    assert_eq!(word("--server"), "127.0.0.1:1587");
    let shown = scene.run(&["password", "scanner-2"], b"");
    let sign_in = BASE64_STANDARD.encode(format!("\0scan2\0{}", shown.trim_end()));
    for sign_in in [None, Some(format!("AUTH PLAIN {sign_in}"))] {
        let address = format!("127.0.0.1:{port}");
        let mut device = tokio::io::BufReader::new(TcpStream::connect(address).await.unwrap());
        device.read_line(&mut String::new()).await.unwrap();
        ask(&mut device, "HELO device.test").await;
        let [from, to] = [word("--from"), word("--to")];
        let message = [format!("MAIL FROM:<{from}>"), format!("RCPT TO:<{to}>"), "DATA".to_owned()];
        for line in sign_in.iter().chain(&message).map(String::as_str).chain([MESSAGE[3]]) {
            let heard = ask(&mut device, line).await;
            assert!(heard.starts_with(['2', '3']), "{line}: {heard}");
        }
        ask(&mut device, "QUIT").await;
    }
    let told = scene.run(&["accounts"], b"");
    assert_eq!(told.matches("last used").count(), 2, "{told}");
    drop(relay);
}

/// docs/printers.md.
fn page() -> Page {
    pages().into_iter().find(|page| page.name == "docs/printers.md").unwrap()
}

/// The rows that name a line of the log: what the device hears, if anything, and that line.
fn rows() -> Vec<[String; 2]> {
    let page = page();
    let (_, table) = page.text.split_once("| the device hears |").unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with("| "));
    let span = |cell: &str| cell.split('`').nth(1).unwrap_or_default().to_owned();
    let rows = rows.map(|row| row.trim_matches(['|', ' ']).split(" | ").take(2).map(span));
    let rows = rows.map(|row| row.collect::<Vec<_>>().try_into().unwrap());
    rows.filter(|row: &[String; 2]| !row[1].is_empty()).collect()
}

fn is_told([reply, line]: &[String; 2], heard: &str, log: &str) -> bool {
    let mut rest = log;
    let is_logged = line.split('…').all(|part| {
        let found = rest.split_once(part.trim());
        found.inspect(|(_, behind)| rest = behind).is_some()
    });
    // A row without a reply is for who hears none.
    is_logged && heard.starts_with(reply.as_str()) && heard.is_empty() == reply.is_empty()
}

/// A relay with one listener before the stand-in provider, and its log.
struct Rig {
    // Ends before its directory does.
    _relay: Relay,
    log: BufReader<ChildStderr>,
    address: SocketAddr,
    provider: Sandbox,
    _scene: Scene,
}

impl Rig {
    async fn new(listener: &str, devices: &str) -> Self {
        let mailboxes = [SCANNER, BUSY].map(|name| AccountPattern::parse(name).unwrap());
        let provider = Sandbox::start(SandboxSettings::new(mailboxes.to_vec())).await.unwrap();
        let scene = Scene::new(&file(&provider, listener, devices));
        std::fs::write(scene.dir.path().join("provider-ca.pem"), provider.ca_pem()).unwrap();
        let mut relay = scene.serve();
        let [port] = relay.ports(["devices"]);
        let address = format!("127.0.0.1:{port}").parse().unwrap();
        let log = relay.log();
        Self { _relay: relay, log, address, provider, _scene: scene }
    }

    /// A device at `from` says `lines`; what it met is added to `met`.
    async fn meet(&mut self, met: &mut Vec<Met>, from: &str, lines: &[&str]) {
        let mut device = self.connect(from).await;
        let mut heard = String::new();
        for line in lines {
            heard = ask(&mut device, line).await;
            if heard.starts_with(['4', '5']) {
                break;
            }
        }
        if !heard.is_empty() {
            ask(&mut device, "QUIT").await;
        }
        // A relay waits for a while until its client has closed as well.
        drop(device);
        met.push(Met { heard, log: self.told() });
    }

    /// A device begins with TLS: the first bytes of a ClientHello.
    async fn meet_hello(&mut self) -> Met {
        let mut device = self.connect(PRINTER).await;
        device.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00]).await.unwrap();
        let mut heard = String::new();
        // It may be reset, for there are bytes that nobody reads.
        let _ = device.read_to_string(&mut heard).await;
        Met { heard, log: self.told() }
    }

    /// A device from that address, greeted if it is spoken to at all.
    async fn connect(&self, from: &str) -> tokio::io::BufReader<TcpStream> {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
        let mut device = tokio::io::BufReader::new(socket.connect(self.address).await.unwrap());
        let mut greeting = String::new();
        let _ = device.read_line(&mut greeting).await;
        if !greeting.is_empty() {
            ask(&mut device, "HELO device.test").await;
        }
        device
    }

    /// Reads the log to the end of a session.
    fn told(&mut self) -> String {
        let mut warning = None;
        loop {
            let mut line = String::new();
            assert_ne!(self.log.read_line(&mut line).unwrap(), 0, "the relay has ended");
            let is_end = line.contains(" closed reason=") || line.contains(" turned away");
            if line.contains(" WARN ") && line.contains("protocol=") || is_end {
                warning.get_or_insert(line);
            }
            if is_end {
                return warning.unwrap();
            }
        }
    }
}

/// Says a line; what it is answered with, or nothing.
async fn ask(device: &mut tokio::io::BufReader<TcpStream>, line: &str) -> String {
    let mut heard = String::new();
    // One that is turned away may be gone already.
    let _ = device.write_all(format!("{line}\r\n").as_bytes()).await;
    let _ = device.read_line(&mut heard).await;
    heard
}

fn file(provider: &Sandbox, listener: &str, devices: &str) -> String {
    let hosts = provider.provider(Path::new("provider-ca.pem")).hosts;
    let host = hosts.submission.unwrap();
    let mut text = format!(
        "[listeners.devices]\nprotocol = \"submission\"\naddress = \"127.0.0.1:0\"\n{listener}\n\
         allow = [\"{PRINTER}\", \"{STRANGER}\", \"{LIMITED}\", \"{PROGRAM}\"]\n\
         [limits]\nwait_for_slot = \"0s\"\n{devices}"
    );
    for (name, account, places) in [("wide", SCANNER, 100), ("narrow", BUSY, 1)] {
        text.push_str(&format!(
            "[accounts.\"{account}\"]\nprovider = \"{name}\"\ngrant = \"client-credentials\"\n\
             client_id = \"{}\"\nclient_secret = \"{}\"\n\
             [providers.{name}]\ntoken_endpoint = \"{}\"\nscopes = [\"{}\"]\n\
             ca_file = \"provider-ca.pem\"\nconcurrent_sessions = {{ submission = {places} }}\n\
             submission = {{ host = \"{}\", port = {}, tls = \"starttls\" }}\n",
            provider.client_id(),
            provider.client_secret(),
            provider.token_endpoint(),
            mailbearer::sandbox::DEFAULT_SCOPE,
            host.host,
            host.port,
        ));
    }
    text
}
