//! The queue of docs/printers.md: its lines in a real Postfix, before a relay and the stand-in provider.
//!
//! Without root or Postfix it is passed over; tests/run, which is root, installs it.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use mailbearer::names::{AccountPattern, Username};
use mailbearer::sandbox::{Sandbox, SandboxSettings};
use tokio::time::{sleep, timeout};

use super::pages::pages;
use super::scene::Scene;

const SCANNER: &str = "scanner@contoso.com";

/// Longer than it takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where nobody listens: RFC 863's port.
const NOBODY: &str = "9";

/// What this instance needs besides the page's lines: places of its own.
const OWN_CF: &str = "compatibility_level = 3.6\ninet_protocols = ipv4\nalias_maps =\n\
                      myhostname = office.test\n";

/// Debian's services, without those that listen.
const MASTER_CF: &str = "\
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
smtp unix - - n - - smtp
showq unix n - n - - showq
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
";

#[tokio::test(flavor = "multi_thread")]
async fn a_message_waits_in_the_pages_postfix_until_mailbearer_is_there() {
    if !rustix::process::geteuid().is_root() || !Path::new("/usr/sbin/postfix").exists() {
        // CI runs it; elsewhere it takes what few machines have.
        assert!(std::env::var_os("CI").is_none(), "Postfix and root are needed");
        return;
    }
    let mailboxes = vec![AccountPattern::parse(SCANNER).unwrap()];
    let provider = Sandbox::start(SandboxSettings::new(mailboxes)).await.unwrap();
    let scene = Scene::new(&file(&provider));
    fs::write(scene.dir.path().join("provider-ca.pem"), provider.ca_pem()).unwrap();
    let password = scene.run(&["password", SCANNER], b"").trim_end().to_owned();

    let postfix = Postfix::new(&password);
    postfix.deliver_to(NOBODY);
    postfix.run("postfix", &["start"]);
    postfix.send();
    until(|| postfix.run("postqueue", &["-p"]).contains("Connection refused")).await;
    let bob = Username::parse("bob@fabrikam.com").unwrap();
    assert!(provider.messages(&bob).is_empty());

    let mut relay = scene.serve();
    let [port] = relay.ports(["postfix"]);
    postfix.deliver_to(&port);
    postfix.run("postfix", &["reload"]);
    postfix.run("postqueue", &["-f"]);
    until(|| !provider.messages(&bob).is_empty()).await;
    let messages = provider.messages(&bob);
    let [message] = messages.as_slice() else { panic!("{} arrived", messages.len()) };
    let message = String::from_utf8_lossy(message);
    assert!(message.contains("From: scanner@contoso.com\r\n"), "{message}");
    assert!(message.contains("\r\n\r\nThe scan.\r\n"), "{message}");
    until(|| postfix.run("postqueue", &["-p"]).contains("Mail queue is empty")).await;
}

/// Waits for what another program does, of which nothing tells.
async fn until(mut is_so: impl FnMut() -> bool) {
    let waited = async {
        while !is_so() {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, waited).await.unwrap();
}

/// An instance of Postfix of its own, which ends with the test.
struct Postfix {
    dir: tempfile::TempDir,
}

impl Postfix {
    fn new(password: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Its daemons are other users.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["config", "queue", "data"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let owner = Command::new("id").args(["-u", "postfix"]).output().unwrap();
        let owner = String::from_utf8(owner.stdout).unwrap().trim().parse().unwrap();
        chown(dir.path().join("data"), Some(owner), None).unwrap();
        fs::write(dir.path().join("config/master.cf"), MASTER_CF).unwrap();
        let postfix = Self { dir };
        fs::write(postfix.password_file(), password).unwrap();
        postfix
    }

    /// Writes the page's lines, with mailbearer at that port.
    fn deliver_to(&self, port: &str) {
        let page = pages().into_iter().find(|page| page.name == "docs/printers.md").unwrap();
        let block = |name: &str| page.blocks(&format!("text {name}")).concat();
        let passwords = self.dir.path().join("config/mailbearer");
        let port = format!("]:{port}");
        let lines = block("main.cf").replace("]:1587", &port).replace(", 192.168.20.2", "");
        let lines = lines.replace("/etc/postfix/mailbearer", passwords.to_str().unwrap());
        let place = self.dir.path().display();
        let own = format!(
            "{OWN_CF}queue_directory = {place}/queue\ndata_directory = {place}/data\n\
             maillog_file = {place}/log\nmaillog_file_prefixes = {place}\n"
        );
        fs::write(self.dir.path().join("config/main.cf"), lines + &own).unwrap();
        let password = fs::read_to_string(self.password_file()).unwrap();
        let line = block("password").replace("]:1587", &port).replace("LOCAL-PASSWORD", &password);
        fs::write(&passwords, line).unwrap();
        fs::set_permissions(&passwords, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn password_file(&self) -> PathBuf {
        self.dir.path().join("local-password")
    }

    /// Hands over what a device would send.
    fn send(&self) {
        let mut sendmail = Command::new("timeout")
            .args(["30", "/usr/sbin/sendmail", "-C"])
            .arg(self.dir.path().join("config"))
            .args(["-f", "scan@printers.invalid", "bob@fabrikam.com"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let scan = b"From: scan@printers.invalid\nSubject: A scan\n\nThe scan.\n";
        sendmail.stdin.take().unwrap().write_all(scan).unwrap();
        assert!(sendmail.wait().unwrap().success());
    }

    /// Runs a command of it; what that prints.
    fn run(&self, program: &str, arguments: &[&str]) -> String {
        let ran = Command::new("timeout")
            .args(["30", &format!("/usr/sbin/{program}"), "-c"])
            .arg(self.dir.path().join("config"))
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&ran.stderr);
        let log = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        assert!(ran.status.success(), "{program} {arguments:?}: {told}\n{log}");
        String::from_utf8(ran.stdout).unwrap()
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        // One that never began has nothing to stop.
        let _ = Command::new("timeout")
            .args(["30", "/usr/sbin/postfix", "-c"])
            .arg(self.dir.path().join("config"))
            .arg("stop")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
}

fn file(provider: &Sandbox) -> String {
    let host = provider.provider(Path::new("provider-ca.pem")).hosts.submission.unwrap();
    format!(
        "[listeners.postfix]\nprotocol = \"submission\"\naddress = \"127.0.0.1:0\"\n\
         [accounts.\"{SCANNER}\"]\nprovider = \"stand-in\"\ngrant = \"client-credentials\"\n\
         client_id = \"{}\"\nclient_secret = \"{}\"\nsender = \"envelope-and-header\"\n\
         [providers.stand-in]\ntoken_endpoint = \"{}\"\nscopes = [\"{}\"]\n\
         ca_file = \"provider-ca.pem\"\n\
         submission = {{ host = \"{}\", port = {}, tls = \"starttls\" }}\n",
        provider.client_id(),
        provider.client_secret(),
        provider.token_endpoint(),
        mailbearer::sandbox::DEFAULT_SCOPE,
        host.host,
        host.port,
    )
}
