//! The configuration that the units of systemd show in their heads belongs to them.

use super::pages::{Page, pages};
use super::scene::Scene;

/// The lines that a unit has as comments, three blanks in.
fn shown(unit: &Page) -> Vec<String> {
    let shown = unit.text.lines().filter_map(|line| line.strip_prefix("#   "));
    shown.map(str::to_owned).collect()
}

/// The value of `key` in a unit.
fn value<'u>(unit: &'u Page, key: &str) -> &'u str {
    unit.text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap()
}

#[test]
fn listener_in_the_head_of_each_socket_unit_takes_its_sockets() {
    let mut units = 0;
    for unit in pages().iter().filter(|page| page.name.ends_with(".socket")) {
        let is_toml = |line: &String| line.starts_with('[') || line.contains(" = ");
        let listener: Vec<String> = shown(unit).into_iter().filter(is_toml).collect();
        let address = format!("address = \"systemd:{}\"", value(unit, "FileDescriptorName"));
        assert!(listener.contains(&address), "{}: {listener:?}", unit.name);
        let file = listener.join("\n")
            + "\n[accounts.\"alice@gmail.com\"]\nprovider = \"google\"\nclient_id = \"id\"\n\
               client_secret = \"secret\"\ngrant = \"authorization-code\"\n";
        let told = Scene::new(&file).run(&["check"], b"");
        assert!(told.contains(": no problems") && !told.contains("warning"), "{told}");
        // RFC 6409, RFC 3501 and RFC 1939: the port of what the listener speaks.
        let protocol = ["submission", "imap", "pop3"]
            .into_iter()
            .find(|protocol| listener.contains(&format!("protocol = \"{protocol}\"")));
        let port = match protocol {
            Some("submission") => ":587",
            Some("imap") => ":143",
            _ => ":110",
        };
        assert!(value(unit, "ListenStream").ends_with(port), "{}", unit.name);
        units += 1;
    }
    assert_eq!(units, 3);
}

#[test]
fn files_that_a_unit_installs_are_there_and_have_its_name() {
    let mut installed = 0;
    for unit in pages().iter().filter(|page| page.name.starts_with("deploy/mailbearer")) {
        let lines = shown(unit);
        let own = lines.iter().filter(|line| line.contains(&format!(" {} ", unit.name))).count();
        assert_eq!(own, 1, "{} installs itself: {lines:?}", unit.name);
        // What is started has the name that was installed.
        let name = unit.name.trim_start_matches("deploy/").trim_end_matches(".service");
        let start = format!("enable --now {name}");
        let starts = |line: &String| line.split(" && ").any(|command| command.ends_with(&start));
        assert!(lines.iter().any(starts), "{start}: {lines:?}");
        installed += 1;
    }
    assert_eq!(installed, 4);
}
