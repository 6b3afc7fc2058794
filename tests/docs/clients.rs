//! The examples of docs/clients.md: each is used by its program, before the stand-in provider, in
//! clear, with implicit TLS, and with STARTTLS by the lines that the page puts in their place.
//!
//! A program that this machine lacks is named and passed over; tests/run installs all of them.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use bytes::Bytes;
use mailbearer::names::{AccountPattern, Username};
use mailbearer::provider::{MailHost, UpstreamTls};
use mailbearer::sandbox::{Sandbox, SandboxSettings};
use rustix::io::Errno;
use rustix::process::test_kill_process;

use super::pages::{Page, pages, root};
use super::scene::{Relay, Scene};

/// Whose mailbox the examples use, and to whom they send.
const ALICE: &str = "alice@contoso.com";
const BOB: &str = "bob@fabrikam.com";

/// What waits in her mailbox.
const WAITING: &str = "From: bob@fabrikam.com\r\nTo: alice@contoso.com\r\nSubject: A test\r\n\
                       Date: Sun, 22 Nov 2026 08:00:00 +0000\r\nMessage-ID: <1@fabrikam.com>\r\n\
                       \r\nThe message that waited.\r\n";
const WAITING_TEXT: &str = "The message that waited.";

/// What is sent where the example names no message of its own, which then has the same text.
const SENT: &str = "From: alice@contoso.com\r\nTo: bob@fabrikam.com\r\nSubject: A test\r\n\r\n\
                    It works.\r\n";
const SENT_TEXT: &str = "It works.";

/// Longer than any of them takes on a loaded machine, in seconds.
const PATIENCE_S: &str = "60";

/// Whom a user is that is nobody: getmail refuses to work for root.
const NOBODY: u32 = 65_534;

/// A program of the page.
struct Program {
    /// The name of its blocks.
    name: &'static str,
    /// Where it looks for the example, below the home directory.
    file: &'static str,
    /// How it is called there, by a shell.
    command: &'static str,
    /// What shows that it is installed, by a shell.
    installed: &'static str,
    does: Does,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Does {
    Sends,
    Fetches,
    /// Each line of the block is a command; the first sends, the others fetch.
    Both,
}

const PROGRAMS: [Program; 12] = [
    Program {
        name: "msmtp",
        file: ".msmtprc",
        command: "msmtp bob@fabrikam.com < message.eml",
        installed: "msmtp --version",
        does: Does::Sends,
    },
    Program {
        name: "mbsync",
        file: ".mbsyncrc",
        command: "mkdir Mail && mbsync mailbearer",
        installed: "mbsync --version",
        does: Does::Fetches,
    },
    Program {
        name: "fetchmail",
        file: ".fetchmailrc",
        // Root's would lie where there is one for all.
        command: "fetchmail --nosyslog --pidfile ~/fetchmail.pid",
        installed: "command -v fetchmail",
        does: Does::Fetches,
    },
    Program {
        name: "getmail",
        file: ".config/getmail/getmailrc",
        // It hangs now and then behind a delivery, when it misses the end of its own child process.
        command: "touch fetched; for try in 1 2 3; do timeout 10 getmail && exit; done; exit 1",
        installed: "getmail --version",
        does: Does::Fetches,
    },
    Program {
        name: "neomutt",
        file: ".neomuttrc",
        command: "echo It works. | neomutt -s 'A test' bob@fabrikam.com",
        installed: "command -v neomutt",
        does: Does::Sends,
    },
    Program {
        name: "s-nail",
        file: ".mailrc",
        // It takes root's home directory from elsewhere.
        command: "echo It works. | MAILRC=~/.mailrc s-nail -S DEAD=/dev/null -s 'A test' \
                  bob@fabrikam.com",
        installed: "command -v s-nail",
        does: Does::Sends,
    },
    Program {
        name: "offlineimap",
        file: ".offlineimaprc",
        // Behind STARTTLS its imaplib2 hangs now and then: the thread that reads may end before the
        // answer to STARTTLS has come. It takes SIGTERM for "end when all is fetched".
        command: "for try in 1 2 3 4; do timeout -s KILL 12 offlineimap -o -u basic && exit; done; \
                  exit 1",
        installed: "offlineimap --version",
        does: Does::Fetches,
    },
    Program {
        name: "curl",
        file: "curl.sh",
        command: "sh -e curl.sh",
        installed: "curl --version",
        does: Does::Both,
    },
    Program {
        name: "nodemailer",
        file: "send.mjs",
        command: "node send.mjs",
        installed: "node -e 'import(\"nodemailer\")'",
        does: Does::Sends,
    },
    Program {
        name: "imapflow",
        file: "fetch.mjs",
        command: "node fetch.mjs",
        installed: "node -e 'import(\"imapflow\")'",
        does: Does::Fetches,
    },
    Program {
        name: "Net::SMTP",
        file: "send.pl",
        command: "perl send.pl",
        installed: "perl -MNet::SMTP -MAuthen::SASL -MIO::Socket::SSL -e 1",
        does: Does::Sends,
    },
    Program {
        name: "Mail::IMAPClient",
        file: "fetch.pl",
        command: "perl fetch.pl",
        installed: "perl -MMail::IMAPClient -MIO::Socket::SSL -e 1",
        does: Does::Fetches,
    },
];

/// The `tls` of the listeners; the last is `starttls`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tls {
    None,
    Implicit,
    Upgraded,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_program_works_on_this_machine_as_the_page_says() {
    all_work(Tls::None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_program_works_with_implicit_tls_as_the_page_says() {
    all_work(Tls::Implicit).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_program_that_has_it_works_with_starttls_as_the_page_says() {
    all_work(Tls::Upgraded).await;
}

#[test]
fn every_block_of_the_page_is_used_by_a_program() {
    let page = page();
    let named = page.text.lines().filter_map(|line| line.strip_prefix("```")?.split_once(' '));
    for (_, name) in named {
        let name = name.trim_end_matches(" tls");
        assert!(PROGRAMS.iter().any(|program| program.name == name), "nobody runs {name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_shows_its_certificate_by_the_line_of_openssl() {
    let rig = Rig::new(Tls::Implicit).await;
    let page = pages().into_iter().find(|page| page.name == "docs/tls.md").unwrap();
    let lines = page.blocks("sh").concat();
    let line = lines.lines().find(|line| line.starts_with("openssl s_client ")).unwrap();
    let mut line = line.replace("relay.example", "localhost");
    line = rig.with_ports(&line);
    let mut openssl = Command::new("timeout");
    openssl.args([PATIENCE_S, "sh", "-c", &line]).current_dir(rig.scene.dir.path());
    let shown = openssl.stdin(Stdio::null()).output().unwrap();
    let told = String::from_utf8_lossy(&shown.stdout);
    assert!(told.contains("Verify return code: 0 (ok)"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_ends_with_the_test_that_runs_it() {
    let Rig { relay, .. } = Rig::new(Tls::None).await;
    let pid = relay.pid();
    assert_eq!(test_kill_process(pid), Ok(()));
    drop(relay);
    assert_eq!(test_kill_process(pid), Err(Errno::SRCH));
}

/// Lets every program that is installed use its example.
async fn all_work(tls: Tls) {
    let rig = Rig::new(tls).await;
    let page = page();
    let mut worked = 0;
    for program in &PROGRAMS {
        let Some(example) = example(&page, program, tls) else {
            assert!(tls == Tls::Upgraded, "there is no example for {}", program.name);
            continue;
        };
        let home = Home::new(&rig, program, &example);
        if !home.run(program.installed).status.success() {
            // CI installs all of them; elsewhere it is enough to try those that are there.
            assert!(std::env::var_os("CI").is_none(), "{} is not installed", program.name);
            continue;
        }
        let arrived = rig.arrived();
        let ended = home.run(program.command);
        let told = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{}: {}: {told}", program.name, ended.status);
        if program.does != Does::Fetches {
            let sent = rig.arrived();
            assert_eq!(sent.len(), arrived.len() + 1, "{} sent nothing", program.name);
            assert!(sent.last().unwrap().contains(SENT_TEXT), "{}: {sent:?}", program.name);
        }
        if program.does != Does::Sends {
            let mut fetched = String::from_utf8_lossy(&ended.stdout).into_owned();
            home.gather(&mut fetched);
            assert!(fetched.contains(WAITING_TEXT), "{} fetched nothing: {told}", program.name);
        }
        worked += 1;
    }
    // curl is everywhere.
    assert!(worked > 0);
}

fn page() -> Page {
    pages().into_iter().find(|page| page.name == "docs/clients.md").unwrap()
}

/// The example for a program as the page has it; none where the page says nothing of STARTTLS.
fn example(page: &Page, program: &Program, tls: Tls) -> Option<String> {
    let name = if tls == Tls::None { "" } else { " tls" };
    let name = format!("{}{name}", program.name);
    let found = ["text", "sh", "js", "perl"]
        .iter()
        .flat_map(|language| page.blocks(&format!("{language} {name}")))
        .collect::<Vec<_>>();
    let [block] = found.try_into().ok()?;
    if tls == Tls::Upgraded { with_starttls(page, program, block) } else { Some(block) }
}

/// Puts in place what the page's table of STARTTLS names; what it names beyond are lines at the end.
fn with_starttls(page: &Page, program: &Program, mut block: String) -> Option<String> {
    let name = format!("| {} | `", program.name);
    let row = page.text.lines().find(|line| line.starts_with(&name))?;
    let spans = |cell: &str| -> Vec<String> {
        cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let [_, old, new] = row.split(" | ").collect::<Vec<_>>().try_into().unwrap();
    let (old, mut new) = (spans(old), spans(new));
    let more = new.split_off(old.len());
    for (old, new) in old.iter().zip(&new) {
        assert!(block.contains(old), "{} has no {old}", program.name);
        block = block.replace(old, new);
    }
    more.iter().for_each(|line| block.push_str(&format!("{line}\n")));
    for (implicit, starttls) in [("465", "587"), ("993", "143"), ("995", "110")] {
        block = block.replace(implicit, starttls);
    }
    Some(block)
}

/// A relay with listeners of one kind, before a provider where a message waits for Alice.
struct Rig {
    // Ends before its directory does.
    relay: Relay,
    provider: Sandbox,
    scene: Scene,
    password: String,
    /// What the page writes, and what it is here.
    ports: Vec<(&'static str, String)>,
}

impl Rig {
    async fn new(tls: Tls) -> Self {
        let alice = AccountPattern::parse(ALICE).unwrap();
        let provider = Sandbox::start(SandboxSettings::new(vec![alice])).await.unwrap();
        let waiting = Bytes::from_static(WAITING.as_bytes());
        provider.deliver(&Username::parse(ALICE).unwrap(), waiting).unwrap();

        let scene = Scene::new(&file(&provider, tls));
        fs::write(scene.dir.path().join("provider-ca.pem"), provider.ca_pem()).unwrap();
        if tls != Tls::None {
            scene.run(&["certificates", "--out", "certs"], b"");
        }
        let password = scene.run(&["password", ALICE], b"").trim_end().to_owned();
        let mut relay = scene.serve();
        let written = match tls {
            Tls::None => ["1587", "1143", "1110"],
            Tls::Implicit => ["465", "993", "995"],
            Tls::Upgraded => ["587", "143", "110"],
        };
        let ports = relay.ports(["submission", "imap", "pop3"]);
        Self { provider, scene, relay, password, ports: written.into_iter().zip(ports).collect() }
    }

    /// The text with the ports that are here. Not one behind the other: the digits of one that the
    /// page writes may stand in one that is here.
    fn with_ports(&self, text: &str) -> String {
        let mark = |place: usize| format!("<port {place}>");
        let mut text = text.to_owned();
        for (place, (written, _)) in self.ports.iter().enumerate() {
            text = text.replace(written, &mark(place));
        }
        for (place, (_, port)) in self.ports.iter().enumerate() {
            text = text.replace(&mark(place), port);
        }
        text
    }

    /// What has arrived for Bob.
    fn arrived(&self) -> Vec<String> {
        let messages = self.provider.messages(&Username::parse(BOB).unwrap());
        messages.iter().map(|it| String::from_utf8_lossy(it).into_owned()).collect()
    }
}

/// The configuration of the relay.
fn file(provider: &Sandbox, tls: Tls) -> String {
    let host = |host: &MailHost| {
        let tls = match host.tls {
            UpstreamTls::Implicit => "implicit",
            UpstreamTls::StartTls => "starttls",
        };
        format!("{{ host = \"{}\", port = {}, tls = \"{tls}\" }}", host.host, host.port)
    };
    let tls = match tls {
        Tls::None => String::new(),
        Tls::Implicit | Tls::Upgraded => {
            let tls = if tls == Tls::Implicit { "implicit" } else { "starttls" };
            let pair = "certificate = \"certs/server.pem\"\nprivate_key = \"certs/server.key\"\n";
            // So that this machine's programs have to begin TLS, as those of others.
            format!("tls = \"{tls}\"\nrequire_tls = true\n{pair}")
        }
    };
    let hosts = provider.provider(Path::new("provider-ca.pem")).hosts;
    let mut text = format!(
        "[accounts.\"{ALICE}\"]\nprovider = \"stand-in\"\ngrant = \"client-credentials\"\n\
         client_id = \"{}\"\nclient_secret = \"{}\"\n\
         [providers.stand-in]\ntoken_endpoint = \"{}\"\nscopes = [\"{}\"]\n\
         ca_file = \"provider-ca.pem\"\n",
        provider.client_id(),
        provider.client_secret(),
        provider.token_endpoint(),
        mailbearer::sandbox::DEFAULT_SCOPE,
    );
    let hosts = [("submission", &hosts.submission), ("imap", &hosts.imap), ("pop3", &hosts.pop3)];
    for (protocol, it) in hosts {
        text.push_str(&format!("{protocol} = {}\n", host(it.as_ref().unwrap())));
    }
    for (protocol, _) in hosts {
        text.push_str(&format!(
            "[listeners.{protocol}]\nprotocol = \"{protocol}\"\naddress = \"127.0.0.1:0\"\n{tls}"
        ));
    }
    text
}

/// The home directory of one program, with its example and what that needs.
struct Home(tempfile::TempDir);

impl Home {
    fn new(rig: &Rig, program: &Program, example: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        let certificates = rig.scene.dir.path().join("certs/ca.pem");
        if certificates.exists() {
            fs::copy(certificates, at("ca.pem")).unwrap();
        }
        // First the ports, for the digits of one may stand in what is put in behind.
        let text = rig
            .with_ports(example)
            .replace("/etc/mailbearer/ca.pem", at("ca.pem").to_str().unwrap())
            .replace("relay.example", "localhost")
            .replace("LOCAL-PASSWORD", &rig.password);
        let file = at(program.file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text).unwrap();
        // Some refuse a file with a password that others can read.
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(at("message.eml"), SENT).unwrap();
        let modules = root().join("target/interop/javascript/node_modules");
        std::os::unix::fs::symlink(modules, at("node_modules")).unwrap();
        if program.name == "getmail" && is_root() {
            for path in ["", ".config", ".config/getmail", program.file, "ca.pem"] {
                let _ = chown(at(path), Some(NOBODY), Some(NOBODY));
            }
        }
        Self(home)
    }

    /// Runs a line of the shell there.
    fn run(&self, line: &str) -> Output {
        let mut words = vec!["timeout", PATIENCE_S];
        if line.contains("getmail") && is_root() {
            words.extend(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]);
        }
        words.extend(["sh", "-c", line]);
        let mut command = Command::new("env");
        command.args(words).current_dir(self.0.path()).env_clear();
        let path = std::env::var_os("PATH").unwrap_or_else(|| OsStr::new("/usr/bin:/bin").into());
        command.env("PATH", path).env("HOME", self.0.path()).env("LANG", "C.UTF-8");
        command.stdin(Stdio::null()).output().unwrap()
    }

    /// Adds all that was written below the home directory.
    fn gather(&self, text: &mut String) {
        let mut directories = vec![self.0.path().to_owned()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let entry = entry.unwrap();
                let kind = entry.file_type().unwrap();
                if kind.is_dir() {
                    directories.push(entry.path());
                } else if kind.is_file() {
                    text.push_str(&String::from_utf8_lossy(&fs::read(entry.path()).unwrap()));
                }
            }
        }
    }
}

fn is_root() -> bool {
    rustix::process::getuid().is_root()
}
