//! TLS towards clients: what a listener may say of it, and what contradicts itself.

use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use super::*;
use crate::net::tls::server::CertificateFiles;

/// Where clients off this machine connect.
const OUTSIDE: &str = "address = \"192.0.2.1:1587\"\nallow = [\"192.0.2.0/24\"]";

/// A directory with a certificate `a.pem`, its key `a.key`, and another key `b.key`.
fn files() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["relay.example".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    let other = KeyPair::generate().unwrap();
    for (name, text) in
        [("a.pem", certificate), ("a.key", key.serialize_pem()), ("b.key", other.serialize_pem())]
    {
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

/// Reads [`GOOD`] with these lines in the listener, and paths below `dir`.
fn read_in(
    dir: &Path,
    address: &str,
    lines: &str,
    secrets: Secrets,
) -> Result<Config, Vec<Problem>> {
    let text = good_with(&[(ADDRESS, address), (LISTENER, lines)]);
    Config::parse(&text, dir, &env, secrets)
}

/// The problems of such a file, and what to do about each.
fn told(address: &str, lines: &str) -> Vec<(String, String)> {
    let problems = read_in(files().path(), address, lines, Secrets::Verify).unwrap_err();
    let told = problems.into_iter().map(|problem| {
        let key = problem.key.unwrap();
        let key = key.trim_start_matches("listeners.submission.");
        (format!("`{key}` {}", problem.message), problem.help)
    });
    told.collect()
}

const PAIR: &str = "certificate = \"a.pem\"\nprivate_key = \"a.key\"";

#[test]
fn tls_of_a_listener_reaches_its_settings() {
    let dir = files();
    let of = |words: &str| {
        let lines = format!("{words}\n{PAIR}");
        let config = read_in(dir.path(), OUTSIDE, &lines, Secrets::Verify).unwrap();
        assert_eq!(warnings(&config), Vec::<String>::new(), "{words}");
        let listener = config.listeners.into_iter().next().unwrap();
        (listener.tls, listener.require_tls)
    };
    let files = CertificateFiles {
        certificate: dir.path().join("a.pem"),
        private_key: dir.path().join("a.key"),
    };
    let (starttls, implicit) = (ListenerTls::StartTls(files.clone()), ListenerTls::Implicit(files));
    assert_eq!(of("tls = \"starttls\""), (starttls.clone(), None));
    assert_eq!(of("tls = \"starttls\"\nrequire_tls = true"), (starttls.clone(), Some(true)));
    assert_eq!(of("tls = \"starttls\"\nrequire_tls = false"), (starttls, Some(false)));
    assert_eq!(of("tls = \"implicit\""), (implicit.clone(), None));
    assert_eq!(of("tls = \"implicit\"\nrequire_tls = true"), (implicit, Some(true)));
}

#[test]
fn tls_needs_certificate_and_key() {
    for tls in ["starttls", "implicit"] {
        let [(told_of, help)] = told(OUTSIDE, &format!("tls = \"{tls}\"")).try_into().unwrap();
        assert_eq!(
            told_of,
            format!("`tls` is \"{tls}\", which needs `certificate` and `private_key`")
        );
        assert!(help.contains("`mailbearer certificates --out certs`"), "{help}");
    }
    for (key, other) in [("certificate", "private_key"), ("private_key", "certificate")] {
        let lines = format!("tls = \"starttls\"\n{key} = \"a.pem\"");
        let [(told_of, help)] = told(OUTSIDE, &lines).try_into().unwrap();
        assert_eq!(told_of, format!("`{key}` needs `{other}` beside it"));
        assert!(help.contains(other), "{help}");
    }
}

#[test]
fn certificate_that_nobody_would_see_is_refused() {
    for tls in ["", "tls = \"none\"\n"] {
        let unused = |key| format!("`{key}` is for TLS, which this listener does not speak");
        let told_of = told("address = \"localhost:1587\"", &format!("{tls}{PAIR}"));
        let told_of: Vec<_> = told_of.into_iter().map(|(sentence, _)| sentence).collect();
        assert_eq!(told_of, ["certificate", "private_key"].map(unused));
    }
}

#[test]
fn clear_text_off_loopback_is_accepted_in_writing_alone() {
    for tls in ["", "tls = \"none\""] {
        let [(told_of, help)] = told(OUTSIDE, tls).try_into().unwrap();
        let sentence = "is 192.0.2.1:1587, where passwords would cross a network in clear";
        assert_eq!(told_of, format!("`address` {sentence}"));
        assert!(help.contains("\"starttls\"") && help.contains("`require_tls = false`"), "{help}");
        let accepted = format!("{tls}\nrequire_tls = false");
        let config = read_in(Path::new(""), OUTSIDE, &accepted, Secrets::Verify).unwrap();
        assert_eq!(config.listeners[0].tls, ListenerTls::None);
        assert_eq!(config.listeners[0].require_tls, Some(false));

        let required = format!("{tls}\nrequire_tls = true");
        for address in [OUTSIDE, "address = \"localhost:1587\""] {
            let [(told_of, _)] = told(address, &required).try_into().unwrap();
            let sentence = "is true, but this listener has no TLS, so nobody could sign in";
            assert_eq!(told_of, format!("`require_tls` {sentence}"));
        }
    }
}

#[test]
fn certificate_and_key_are_read_and_compared_by_who_needs_them() {
    for (lines, sentence) in [
        ("certificate = \"a.pem\"\nprivate_key = \"b.key\"", "`private_key` is not the key of"),
        ("certificate = \"b.key\"\nprivate_key = \"a.key\"", "`certificate` names "),
        ("certificate = \"none.pem\"\nprivate_key = \"a.key\"", "`certificate` names "),
        ("certificate = \"b.key\"\nprivate_key = \"b.key\"", "`certificate` names "),
        ("certificate = \"a.pem\"\nprivate_key = \"a.pem\"", "`private_key` names "),
        ("certificate = \"none.pem\"\nprivate_key = \"none.pem\"", "`certificate` names "),
        ("certificate = \"a.pem\"\nprivate_key = \"none.key\"", "`private_key` names "),
        ("certificate = 1\nprivate_key = \"none.key\"", "`certificate` is an integer"),
    ] {
        let lines = format!("tls = \"implicit\"\n{lines}");
        let [(told_of, _)] = told(OUTSIDE, &lines).try_into().unwrap();
        assert!(told_of.starts_with(sentence), "{told_of}");
    }
    // Whoever asks the relay by its control socket may not be able to read the key.
    let lines = "tls = \"implicit\"\ncertificate = \"none.pem\"\nprivate_key = \"none.key\"";
    assert!(read_in(Path::new("/nowhere"), OUTSIDE, lines, Secrets::Leave).is_ok());
}

#[test]
fn port_at_which_clients_begin_otherwise_is_warned_of() {
    let dir = files();
    let warned = |protocol: &str, port: u16, tls: &str| {
        let pair = if tls == "none" { "" } else { PAIR };
        let text = good_with(&[
            (PROTOCOL, &format!("protocol = \"{protocol}\"")),
            (ADDRESS, &format!("address = \"localhost:{port}\"")),
            (LISTENER, &format!("tls = \"{tls}\"\n{pair}")),
        ]);
        warnings(&Config::parse(&text, dir.path(), &env, Secrets::Verify).unwrap())
    };
    for (protocol, clear, implicit) in
        [("submission", 587, 465), ("imap", 143, 993), ("pop3", 110, 995)]
    {
        for tls in ["none", "starttls"] {
            assert_eq!(
                warned(protocol, implicit, tls),
                [format!(
                    "3: `listeners.submission.address` is port {implicit}, where clients begin \
                     with TLS, and tls is \"{tls}\""
                )]
            );
            assert!(warned(protocol, clear, tls).is_empty());
        }
        assert_eq!(
            warned(protocol, clear, "implicit"),
            [format!(
                "3: `listeners.submission.address` is port {clear}, where clients begin in clear, \
                 and tls is \"implicit\""
            )]
        );
        for (port, tls) in [(implicit, "implicit"), (25, "none"), (2525, "implicit"), (0, "none")] {
            assert!(warned(protocol, port, tls).is_empty(), "{protocol} {port} {tls}");
        }
    }
}

#[test]
fn clear_text_that_implicit_tls_cannot_hear_is_warned_of() {
    let lines = format!("tls = \"implicit\"\n{PAIR}\nrequire_tls = false");
    let config = read_in(files().path(), OUTSIDE, &lines, Secrets::Verify).unwrap();
    let sentence = "has no effect: with tls = \"implicit\" nothing is said in clear";
    assert_eq!(warnings(&config), [format!("8: `listeners.submission.require_tls` {sentence}")]);
}

/// The warnings of `text`, read at `now`, in seconds since 1970.
fn warned_at(dir: &Path, text: &str, now: u64) -> Vec<String> {
    let file = File::new(text, dir, &env, Secrets::Verify).at(Duration::from_secs(now));
    warnings(&Config::parse_file(file, text).unwrap())
}

#[test]
fn certificate_of_a_listener_or_the_page_is_warned_of_while_it_is_not_good_or_not_for_long() {
    let dir = tempfile::tempdir().unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["elsewhere.example".to_owned()]).unwrap();
    params.not_before = date_time_ymd(2029, 6, 15);
    params.not_after = date_time_ymd(2030, 6, 15);
    fs::write(dir.path().join("a.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    fs::write(dir.path().join("a.key"), key.serialize_pem()).unwrap();
    // By `date -u -d 2029-06-15 +%s` and the same a year later.
    let (begins, ends, month) = (1_876_176_000, 1_907_712_000, 30 * 24 * 60 * 60);
    let listener =
        good_with(&[(ADDRESS, OUTSIDE), (LISTENER, &format!("tls = \"implicit\"\n{PAIR}"))]);
    let page =
        "[web]\naddress = \"127.0.0.1:8587\"\ncertificate = \"a.pem\"\nprivate_key = \"a.key\"";
    let page = good_with(&[(END, page)]);
    for (text, key) in [(listener, "listeners.submission.certificate"), (page, "web.certificate")] {
        let warned_at = |now| warned_at(dir.path(), &text, now);
        for (now, said) in [
            (begins - 1, "is not good before 2029-06-15T00:00:00Z"),
            (ends - month, "ends on 2030-06-15"),
            (ends - 1, "ends on 2030-06-15"),
            (ends, "ended on 2030-06-15"),
        ] {
            let [warning] = warned_at(now).try_into().unwrap();
            let sentence = format!("`{key}` names a certificate that {said}");
            assert!(warning.ends_with(&sentence), "{warning}");
        }
        for now in [begins, ends - month - 1] {
            assert_eq!(warned_at(now), Vec::<String>::new());
        }
        // Whoever asks the relay by its control socket may not be able to read it.
        let file = File::new(&text, Path::new("/nowhere"), &env, Secrets::Leave);
        let config = Config::parse_file(file.at(Duration::from_secs(ends)), &text).unwrap();
        assert_eq!(warnings(&config), Vec::<String>::new());
    }
}
