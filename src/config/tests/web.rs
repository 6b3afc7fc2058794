//! `[web]`: what a page is, and what contradicts itself.

use super::*;
use crate::secret::ExposeSecret as _;

/// A token that is long enough. It must never be told.
const TOKEN: &str = "admin_token = \"tell-nobody-of-this\"";

fn web(lines: &str) -> WebSettings {
    config(&[(END, &format!("[web]\n{lines}"))]).web
}

/// The problems of `[web]` with these lines, without their line numbers.
fn told(lines: &str) -> Vec<String> {
    let told = problems(&good_with(&[(END, &format!("[web]\n{lines}"))]));
    told.iter().map(|told| told.split_once(": ").unwrap().1.to_owned()).collect()
}

#[test]
fn page_is_off_unless_an_address_is_given() {
    for off in ["", "address = \"off\""] {
        let web = web(off);
        assert!(web.page.is_none() && web.public_url.is_none() && web.addresses().is_empty());
    }
    for key in [
        "public_url = \"https://mail.example\"",
        "certificate = \"x\"",
        "private_key = \"x\"",
        "behind_proxy = [\"10.0.0.0/8\"]",
        TOKEN,
    ] {
        let name = key.split_once(" =").unwrap().0;
        let sentence = format!("`web.{name}` is about the page, which is off");
        for lines in [key, &format!("address = \"off\"\n{key}")] {
            let told = told(lines);
            assert!(told.len() == 1 && told[0] == sentence, "{told:?}");
        }
    }
}

#[test]
fn page_on_loopback_needs_nothing_else() {
    for address in ["127.0.0.1:8587", "[::1]:8587", "localhost:8587"] {
        let page = web(&format!("address = {address:?}")).page.unwrap();
        assert!(page.tls.is_none() && page.admin_token.is_none() && page.behind_proxy.is_empty());
    }
    let both = web("address = [\"127.0.0.1:8587\", \"[::1]:8587\"]");
    assert_eq!(both.addresses().len(), 2);
}

#[test]
fn page_that_others_reach_needs_tls_and_an_admin_token() {
    let clear =
        "`web.address` is 0.0.0.0:8587, where the admin token would cross a network in clear";
    let lacks = "`web` lacks `admin_token`";
    assert_eq!(told("address = \"0.0.0.0:8587\""), [lacks, clear]);
    assert_eq!(told(&format!("address = \"0.0.0.0:8587\"\n{TOKEN}")), [clear]);
    assert_eq!(told("address = \"0.0.0.0:8587\"\nbehind_proxy = \"10.0.0.5\""), [lacks]);
    let proxied = format!("address = \"[::]:8587\"\nbehind_proxy = \"10.0.0.5\"\n{TOKEN}");
    let page = web(&proxied).page.unwrap();
    assert_eq!(page.behind_proxy, ["10.0.0.5/32".parse().unwrap()]);
    let token = page.admin_token.unwrap().read().unwrap();
    assert_eq!(token.expose_secret(), "tell-nobody-of-this");

    // By a public name others reach a loopback address, too.
    let public = "address = \"127.0.0.1:8587\"\nbehind_proxy = \"127.0.0.1\"\n\
                  public_url = \"https://mail.example\"";
    assert_eq!(told(public), [lacks]);
    assert!(web(&format!("{public}\n{TOKEN}")).page.is_some());

    // A proxy lets others in whatever name it passes on.
    assert_eq!(told("address = \"127.0.0.1:8587\"\nbehind_proxy = \"127.0.0.1\""), [lacks]);
}

#[test]
fn public_url_is_an_origin_and_the_page_speaks_its_scheme() {
    let with = |url: &str, more: &str| {
        format!("address = \"127.0.0.1:8587\"\npublic_url = {url:?}\n{TOKEN}\n{more}")
    };
    let proxied = "behind_proxy = \"127.0.0.1\"";
    for (url, origin) in [
        ("https://mail.example", "https://mail.example"),
        ("https://mail.example/", "https://mail.example"),
        ("https://Mail.Example:443", "https://mail.example"),
        ("https://mail.example:8587", "https://mail.example:8587"),
        ("http://localhost:8587", "http://localhost:8587"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
    ] {
        assert_eq!(web(&with(url, proxied)).public_url.as_deref(), Some(origin), "{url}");
    }
    for (url, problem) in [
        ("mail.example", "is no URL"),
        ("", "is no URL"),
        ("https://mail.example/a b", "is no URL"),
        ("http://mail.example", "is not https, and would show the admin token to the network"),
        ("ftp://localhost", "is not https, and would show the admin token to the network"),
        ("https://me:tell-nobody@mail.example", "holds a user name or password"),
        ("https://mail.example/?x", "holds a query (?) or a fragment (#)"),
        ("https://mail.example/#x", "holds a query (?) or a fragment (#)"),
        (
            "https://mail.example/mailbearer",
            "holds a path, but the page stands at the root of its host",
        ),
    ] {
        assert_eq!(told(&with(url, proxied)), [format!("`web.public_url` {problem}")], "{url}");
    }
    let no_tls = "`web.public_url` is https, but the page has no certificate";
    assert_eq!(told(&with("https://mail.example", "")), [no_tls]);
}

#[test]
fn admin_token_that_could_be_guessed_is_refused() {
    let short = "`web.admin_token` is shorter than 16 characters, so it could be guessed";
    let address = "address = \"127.0.0.1:8587\"";
    assert_eq!(told(&format!("{address}\nadmin_token = \"tell-nobody-one\"")), [short]);
    assert_eq!(told(&format!("{address}\nadmin_token = {{ env = \"SECRET\" }}")), [short]);
    assert!(web(&format!("{address}\nadmin_token = \"tell-nobody-0123\"")).page.is_some());
    let file = tempfile::NamedTempFile::new().unwrap();
    let named = format!("{address}\nadmin_token = {{ file = {:?} }}", file.path());
    fs::write(file.path(), "tell-nobody-one\n").unwrap();
    assert_eq!(told(&named), [short]);
    fs::write(file.path(), "tell-nobody-0123\n").unwrap();
    assert!(web(&named).page.is_some());
}

#[test]
fn certificate_and_key_are_a_pair_and_belong_together() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let pair = || {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(["page.example".to_owned()]).unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    };
    let ((certificate, key), (_, other)) = (pair(), pair());
    let certificate = write("page.pem", &certificate);
    let (key, other) = (write("page.key", &key), write("other.key", &other));
    let lines = |certificate: &str, key: &str, url: &str| {
        format!(
            "address = \"[::]:8587\"\n{TOKEN}\npublic_url = {url:?}\ncertificate = \
             {certificate:?}\nprivate_key = {key:?}"
        )
    };
    let page = web(&lines(&certificate, &key, "https://page.example:8587")).page.unwrap();
    assert_eq!(page.tls.unwrap().0, Path::new(&certificate));

    let mismatch = lines(&certificate, &other, "https://page.example:8587");
    let told_of = told(&mismatch);
    assert!(told_of[0].starts_with("`web.private_key` is not the key of"), "{told_of:?}");
    let missing = told(&lines(&certificate, "/nonexistent/key", "https://page.example:8587"));
    assert!(missing[0].starts_with("`web.private_key` names /nonexistent/key"), "{missing:?}");
    let http = told(&lines(&certificate, &key, "http://localhost:8587"));
    let sentence = "is http, but the page has a certificate and speaks https alone";
    assert_eq!(http, [format!("`web.public_url` {sentence}")]);

    let alone = |key: &str| told(&format!("address = \"127.0.0.1:8587\"\n{key} = \"x\""));
    assert_eq!(alone("certificate"), ["`web.certificate` needs `private_key` beside it"]);
    assert_eq!(alone("private_key"), ["`web.private_key` needs `certificate` beside it"]);
}

#[test]
fn addresses_of_the_page_are_its_own() {
    assert_eq!(
        told("address = \"127.0.0.1:1587\""),
        ["`web.address` is an address that `listeners.submission.address` has already"]
    );
    assert_eq!(
        told("address = [\"127.0.0.1:8587\", \"localhost:8587\"]"),
        ["`web.address` names one address twice"]
    );
    refused(
        "web",
        r#"
        + address = "on"
        address is "on", which is no address with a port
        + address = 8587
        address is an integer, not a string or a list of strings
        + adress = "off"
        adress is no key that mailbearer knows; the nearest is `address`
        "#,
    );
    let proxies = |networks: &str| {
        told(&format!("address = \"127.0.0.1:8587\"\n{TOKEN}\nbehind_proxy = [{networks}]"))
    };
    assert_eq!(
        proxies("\"0.0.0.0/0\""),
        ["`web.behind_proxy` holds \"0.0.0.0/0\", by which everybody could speak for others"]
    );
    assert_eq!(
        proxies("\"proxy.example\""),
        ["`web.behind_proxy` holds \"proxy.example\", which is no network"]
    );
}

#[test]
fn probes_are_off_or_at_any_address_with_the_page_or_without_it() {
    assert!(web("").probes.is_empty());
    assert!(web("probes = \"off\"").probes.is_empty());
    for address in ["127.0.0.1:8588", "0.0.0.0:8588", "[::]:8588", "192.0.2.7:8588"] {
        let web = web(&format!("probes = {address:?}"));
        assert_eq!(web.probes, [ListenAddress::Socket(address.parse().unwrap())]);
        assert!(web.page.is_none());
    }
    let both =
        web("address = \"127.0.0.1:8587\"\nprobes = [\"localhost:8588\", \"10.0.0.1:8588\"]");
    assert_eq!((both.probes.len(), both.addresses().len()), (2, 1));
}

#[test]
fn probes_share_no_address_with_a_listener_or_the_page() {
    let taken = |by: &str| format!("`web.probes` is an address that `{by}` has already");
    assert_eq!(told("probes = \"127.0.0.1:1587\""), [taken("listeners.submission.address")]);
    let page = "address = \"127.0.0.1:8587\"";
    assert_eq!(told(&format!("{page}\nprobes = \"localhost:8587\"")), [taken("web.address")]);
    assert_eq!(told(&format!("{page}\nprobes = \"0.0.0.0:8587\"")), [taken("web.address")]);
    assert_eq!(
        told(&format!("{page}\nprobes = \"0.0.0.0:1587\"")),
        [taken("listeners.submission.address")]
    );
    let twice = "probes = [\"127.0.0.1:8588\", \"localhost:8588\"]";
    assert_eq!(told(twice), ["`web.probes` names one address twice"]);
    refused(
        "web",
        r#"
        + probes = "on"
        probes is "on", which is no address with a port
        + probes = true
        probes is a boolean, not a string or a list of strings
        "#,
    );
}

#[test]
fn probes_are_read_from_a_file_that_somebody_is_editing() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let load = |text: &str| {
        fs::write(file.path(), text).unwrap();
        Config::load_probes(file.path())
    };
    let unfinished =
        "[listeners.x]\n[web]\nadress = 1\nprobes = \"127.0.0.1:8588\"\n[limits]\nx = 1";
    let expected = ListenAddress::Socket("127.0.0.1:8588".parse().unwrap());
    assert_eq!(load(unfinished).unwrap(), [expected]);
    assert!(load("[listeners.x]\n").unwrap().is_empty());
    assert!(load("[web]\nprobes = \"on\"").is_err());
}

#[test]
fn reload_changes_all_of_the_page_but_its_addresses() {
    let with = |lines: &str| config(&[(END, &format!("[web]\n{lines}"))]);
    let before = with("address = \"127.0.0.1:8587\"");
    let more = format!(
        "address = \"127.0.0.1:8587\"\nbehind_proxy = \"127.0.0.1\"\n{TOKEN}\npublic_url = \
         \"https://mail.example\""
    );
    assert!(before.unreloadable_changes(&with(&more)).is_empty());
    for other in ["address = \"127.0.0.1:8588\"", "address = \"off\"", ""] {
        let changes = before.unreloadable_changes(&with(other));
        assert_eq!(changes, ["restart to change `web.address`"], "{other}");
    }
    let probes = with("address = \"127.0.0.1:8587\"\nprobes = \"127.0.0.1:8588\"");
    assert_eq!(before.unreloadable_changes(&probes), ["restart to change `web.probes`"]);
}
