//! The page answers to a proxy that is set up as docs/consent.md says, and to nobody else.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use super::pages::pages;
use super::scene::Scene;

/// The status line of the answer to `headers`, and where it leads.
fn ask(address: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET / HTTP/1.1\r\n{headers}Connection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let told = |line: &&str| line.starts_with("HTTP/1.1 ") || line.starts_with("location: ");
    answer.lines().take_while(|line| !line.is_empty()).filter(told).collect::<Vec<_>>().join(" ")
}

#[test]
fn page_answers_to_the_headers_that_the_guide_sets_and_to_no_others() {
    let page = pages().into_iter().find(|page| page.name == "docs/consent.md").unwrap();
    let of = |language: &str, what: &str| {
        page.blocks(language).into_iter().find(|block| block.contains(what)).unwrap()
    };
    let file = of("toml", "behind_proxy").replace(":1143", ":0").replace(":8587", ":0");
    let scene = Scene::new(&file);
    let mut relay = scene.serve();
    let address = relay.page_address();

    // What nginx sends for a browser that asks for the `public_url` of that file.
    let set = of("text", "proxy_pass").replace("$http_host", "mail.contoso.com");
    let set = set.replace("$remote_addr", "192.0.2.7");
    let set: Vec<_> =
        set.lines().filter_map(|line| line.trim().strip_prefix("proxy_set_header ")).collect();
    let header = |line: &str| {
        let (name, value) = line.trim_end_matches(';').split_once(' ').unwrap();
        format!("{name}: {value}\r\n")
    };
    let all: String = set.iter().map(|line| header(line)).collect();
    assert_eq!(set.len(), 4, "{all}");
    assert_eq!(ask(&address, &all), "HTTP/1.1 303 See Other location: /login");
    let foreign = all.replace("mail.contoso.com", "mail.contoso.example");
    assert!(ask(&address, &foreign).starts_with("HTTP/1.1 421 "), "{foreign}");
    let clear = all.replace("https", "http");
    assert!(ask(&address, &clear).starts_with("HTTP/1.1 403 "), "{clear}");
    relay.end();
}
