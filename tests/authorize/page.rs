//! Consent through the page of a relay that runs: by browser and by device code.

use std::fs::File;
use std::net::SocketAddr;
use std::process::Stdio;

use mailbearer::sandbox::Conduct;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::Child;
use tokio::time::timeout;

use crate::rig::{BOB, Rig, name, parameter, redirected};
use crate::support::serve::PATIENCE;
use crate::support::{ALICE, AUTH_PLAIN, Client, PASSWORD};

/// Where the file says that browsers reach the page. Nobody listens there: the tests carry what
/// comes for it to the port that the page has got.
const PUBLIC: &str = "localhost:8587";

const WEB: &str = "\n[web]\naddress = \"127.0.0.1:0\"\npublic_url = \"http://localhost:8587\"\n";

/// A relay with a page, and the one browser before it.
struct Served {
    _child: Child,
    submission: SocketAddr,
    imap: SocketAddr,
    page: SocketAddr,
    cookie: String,
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Served {
    async fn start(rig: &Rig) -> Self {
        rig.rewrite(|text| text + WEB);
        let mut child = rig
            .program()
            .arg("serve")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(rig.dir.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut bound = async |listener: &str| -> SocketAddr {
            let line = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap();
            let line = line.strip_prefix("listening on ").expect(&line);
            line.strip_suffix(listener).expect(line).parse().unwrap()
        };
        let submission = bound(" (submission)").await;
        let imap = bound(" (imap)").await;
        let page = bound(" (web)").await;
        Self { _child: child, submission, imap, page, cookie: String::new() }
    }

    async fn ask(&mut self, method: &str, host: &str, path: &str, body: &str) -> Answer {
        let mut stream = TcpStream::connect(self.page).await.unwrap();
        let (cookie, len) = (&self.cookie, body.len());
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nContent-Type: \
             application/x-www-form-urlencoded\r\nContent-Length: {len}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head[9..12].parse().unwrap();
        let answer = Answer { status, head: head.to_owned(), body: body.to_owned() };
        if let Some(cookie) = answer.header("set-cookie") {
            self.cookie = cookie.split(';').next().unwrap().to_owned();
        }
        answer
    }

    async fn get(&mut self, path: &str) -> Answer {
        self.ask("GET", PUBLIC, path, "").await
    }

    /// Presses a button of the accounts; gives where it leads.
    async fn press(&mut self, account: &str, button: &str) -> String {
        let home = self.get("/").await;
        let token = between(&home.body, "name=\"form_token\" value=\"", "\"");
        let path = format!("/accounts/{account}/{button}");
        assert!(home.body.contains(&format!("formaction=\"{path}\"")), "{home:?}");
        let answer = self.ask("POST", PUBLIC, &path, &format!("form_token={token}")).await;
        assert_eq!(answer.status, 303, "{answer:?}");
        answer.header("location").unwrap().to_owned()
    }

    /// Follows the link to the provider; gives the path that it sends the browser back to.
    async fn consent(&mut self, asked: &str) -> String {
        let page = self.get(asked).await;
        assert!(page.body.contains("http://localhost:8587/oauth/callback"), "{page:?}");
        let link = between(&page.body, "class=\"button\" href=\"", "\"").replace("&#38;", "&");
        let back = redirected(&link).await;
        back.strip_prefix("http://localhost:8587").expect(&back).to_owned()
    }
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find_map(|(own, value)| own.eq_ignore_ascii_case(name).then_some(value))
    }
}

fn between<'t>(text: &'t str, start: &str, end: &str) -> &'t str {
    text.split_once(start).expect(text).1.split_once(end).unwrap().0
}

#[tokio::test]
async fn consent_through_the_page_is_good_for_waiting_clients_at_once() {
    let rig = Rig::start().await;
    let mut served = Served::start(&rig).await;
    let mut client = Client::connect(served.submission).await;
    client.expect("220 ").await;
    client.ask(AUTH_PLAIN, "454 4.7.0 ").await;

    let asked = served.press(ALICE, "authorize").await;
    let back = served.consent(&asked).await;
    let (code, state) = (parameter(&back, "code").to_owned(), parameter(&back, "state").to_owned());
    // None of these is the answer, so it is still waited for.
    for (method, host, path, status) in [
        ("HEAD", PUBLIC, back.clone(), 405),
        ("POST", PUBLIC, back.clone(), 403),
        ("GET", "evil.example:8587", back.clone(), 421),
        ("GET", PUBLIC, format!("http://{PUBLIC}{back}"), 400),
        ("GET", PUBLIC, back.replace(&state, "forged"), 400),
        ("GET", PUBLIC, format!("{back}&state={state}"), 400),
        ("GET", PUBLIC, format!("{back}&x={}", "x".repeat(20_000)), 400),
    ] {
        let answer = served.ask(method, host, &path, "").await;
        assert_eq!(answer.status, status, "{method} {host} {answer:?}");
        assert!(!answer.body.contains(&code), "{answer:?}");
        assert!(served.get(&asked).await.body.contains("Waiting for consent"));
    }
    let given = served.get(&back).await;
    assert_eq!(given.status, 200, "{given:?}");
    assert!(given.body.contains(&format!("<strong>{ALICE}</strong> signed in")), "{given:?}");
    assert!(!given.body.contains(&code) && !given.body.contains(&state), "{given:?}");
    assert_eq!(given.header("referrer-policy"), Some("no-referrer"));
    client.ask(AUTH_PLAIN, "235 ").await;

    // The page that is loaded again says the same, and the code is not used again: the provider
    // would end the consent.
    for again in [back.clone(), back.replace(&code, "another")] {
        let told = served.get(&again).await;
        assert_eq!((told.status, told.body), (200, given.body.clone()));
    }
    assert!(served.get(&asked).await.body.contains("Consent is given"));
    assert!(served.get("/").await.body.contains(">ready</span>"));
    let mut imap = Client::connect(served.imap).await;
    imap.expect("* OK").await;
    imap.send(&format!("b LOGIN {ALICE} {PASSWORD}")).await;
    imap.expect_after("b OK").await;
    let log = std::fs::read_to_string(rig.dir.path().join("log")).unwrap();
    assert!(log.contains("consent kept") && !log.contains(&code) && !log.contains(&state), "{log}");
}

#[tokio::test]
async fn page_that_leads_to_the_provider_says_what_to_register_and_keeps_still() {
    let rig = Rig::start().await;
    let mut served = Served::start(&rig).await;
    let asked = served.press(ALICE, "authorize").await;
    let page = served.get(&asked).await.body;
    let redirect_uri = format!("http://{PUBLIC}/oauth/callback");
    let answer = format!("sends the answer to <code>{redirect_uri}</code>");
    assert!(page.contains(&answer), "{page}");
    assert!(page.contains(&format!("register there {redirect_uri}, exactly so")), "{page}");
    assert!(!page.contains("http-equiv"), "the link loses its focus: {page}");
}

#[tokio::test]
async fn consent_of_somebody_else_through_the_page_is_not_kept() {
    let rig = Rig::start().await;
    let mut served = Served::start(&rig).await;
    rig.provider.set_conduct(Conduct { user: Some(name(BOB)), ..Conduct::default() });
    let asked = served.press(ALICE, "authorize").await;
    let back = served.consent(&asked).await;
    let refused = served.get(&back).await;
    assert_eq!(refused.status, 400, "{refused:?}");
    for page in [refused, served.get(&asked).await] {
        assert!(page.body.contains(&format!("{BOB} consented, not {ALICE}")), "{page:?}");
        assert!(page.body.contains(&format!("enter {BOB} under")), "{page:?}");
        assert!(!page.body.contains("--as"), "{page:?}");
    }
    assert_eq!(rig.token_state(ALICE).await, "consent needed");
}

#[tokio::test]
async fn code_that_is_shown_on_the_page_and_entered_is_a_consent() {
    let rig = Rig::start().await;
    let mut served = Served::start(&rig).await;
    let asked = served.press(ALICE, "device").await;
    let page = served.get(&asked).await;
    assert!(page.body.contains("<svg") && page.body.contains("http-equiv=\"refresh\""), "{page:?}");
    let code = between(&page.body, "class=\"code\">", "<");
    assert!(rig.provider.approve_device(code, &name(ALICE)));
    let ended = timeout(PATIENCE, async {
        loop {
            let page = served.get(&asked).await;
            if !page.body.contains("Waiting for consent") {
                break page;
            }
        }
    });
    let ended = ended.await.unwrap();
    assert!(ended.body.contains("Consent is given"), "{ended:?}");
    assert_ne!(rig.token_state(ALICE).await, "consent needed");
}

#[tokio::test]
async fn second_consent_of_an_account_ends_the_one_that_the_page_shows() {
    let rig = Rig::start().await;
    let mut served = Served::start(&rig).await;
    let first = served.press(ALICE, "authorize").await;
    let late = served.consent(&first).await;
    let second = served.press(ALICE, "device").await;
    assert_ne!(first, second);
    assert!(served.get(&late).await.body.contains("another consent of this account"));
    assert!(served.get(&first).await.body.contains("another consent of this account"));
    assert!(served.get(&second).await.body.contains("Waiting for consent"));
    assert_eq!(rig.token_state(ALICE).await, "consent needed");
}
