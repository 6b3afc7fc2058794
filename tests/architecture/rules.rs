//! The rules: what a file may look like, and what a module may name.

use crate::source::{Path, code_of, paths_of, words_of};

/// The floors from the ground up. A module imports from floors below its own. Those of the ground
/// floor are plain data and may use each other.
const FLOORS: [&[&str]; 9] = [
    &["names", "provider", "refusal", "secret", "clock"],
    &["proto"],
    &["net", "store"],
    &["oauth", "account"],
    &["relay"],
    &["config", "web", "sandbox"],
    &["app", "logging"],
    &["cli"],
    &["main"],
];

/// The protocols below `proto`, which never import each other.
const PROTOCOLS: [&str; 3] = ["smtp", "imap", "pop3"];

/// Words that mean I/O, a clock or a log in a protocol machine.
const NOT_IN_PROTO: [&str; 8] =
    ["tokio", "tokio_util", "tokio_rustls", "rustls", "tracing", "reqwest", "socket2", "axum"];

/// What a protocol machine uses of the standard library: plain data. The rest of it is I/O, clocks
/// and threads, or grows.
const STD_IN_PROTO: [&[&str]; 12] = [
    &["borrow"],
    &["cmp"],
    &["collections"],
    &["fmt"],
    &["iter"],
    &["mem"],
    &["num"],
    &["ops"],
    &["str"],
    &["string"],
    &["time", "Duration"],
    &["vec"],
];

/// Where secrets may be opened; `*` is any one name.
const DOORS: [&[&str]; 11] = [
    &["secret"],
    &["proto", "sasl"],
    &["proto", "*", "upstream"],
    &["oauth"],
    &["store"],
    &["account"],
    &["net", "egress"],
    &["web", "control"],
    &["web", "admin"],
    &["cli", "token"],
    &["cli", "password"],
];

/// The longest file, tests included, in lines.
const FILE_LINES_MAX: usize = 600;

/// What is wrong with a Rust file as such.
pub(crate) fn problems_of_file(name: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let lines = text.lines().count();
    if lines > FILE_LINES_MAX {
        problems.push(format!("{name} has {lines} lines: split it by nouns"));
    }
    if !text.starts_with("//! ") {
        problems.push(format!("{name} does not begin with a `//!` header that says what it is"));
    }
    if words_of(&code_of(text)).contains(&"unsafe") {
        problems.push(format!("{name} holds unsafe code"));
    }
    problems
}

/// What is wrong with what a module of the library or the program names.
pub(crate) fn problems_of_module(name: &str, text: &str) -> Vec<String> {
    let module = module_of(name);
    let code = code_of(text);
    let words = words_of(&code);
    let paths = paths_of(&words);
    let mut problems: Vec<_> = paths
        .iter()
        .filter_map(|path| {
            let problem = import_problem(&module, &absolute(path, &module)?)?;
            Some(format!("{name} names {}: {problem}", path.join("::")))
        })
        .collect();
    if module.first() == Some(&"proto") {
        let words = words.iter().filter(|word| NOT_IN_PROTO.contains(word));
        problems.extend(words.map(|word| format!("{name} names {word}: proto does no I/O")));
        let paths = paths.iter().filter(|path| is_not_for_proto(path));
        problems.extend(
            paths.map(|path| format!("{name} names {}: proto does no I/O", path.join("::"))),
        );
    }
    let opens_secrets = words.iter().any(|word| word.starts_with("expose_secret"));
    if opens_secrets && !DOORS.iter().any(|door| is_behind(&module, door)) {
        problems.push(format!("{name} names expose_secret: it is not among the doors for secrets"));
    }
    problems
}

/// Whether a protocol machine must not name this path of the standard library, or our clock.
fn is_not_for_proto(path: &[&str]) -> bool {
    match path {
        ["std" | "core" | "alloc", path @ ..] => {
            !STD_IN_PROTO.iter().any(|allowed| path.starts_with(allowed))
        }
        path => path.starts_with(&["crate", "clock"]),
    }
}

/// The modules of tests that `name` declares by `#[cfg(test)] mod transcript;`: their files, the
/// ending `.rs` or `/mod.rs` left out.
pub(crate) fn test_modules_of(name: &str, text: &str) -> Vec<String> {
    let code = code_of(text);
    let base = name.strip_suffix("/mod.rs").or(name.strip_suffix(".rs")).unwrap_or(name);
    words_of(&code)
        .windows(10)
        .filter_map(|window| match window {
            ["#", "[", "cfg", "(", "test", ")", "]", "mod", module, ";"] => {
                Some(format!("{base}/{module}"))
            }
            _ => None,
        })
        .collect()
}

/// Whether the file `name` is the module of tests `module`, or lies below it.
pub(crate) fn is_of_tests(name: &str, module: &str) -> bool {
    name.strip_prefix(module).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

/// The module that a file is: `src/proto/smtp/mod.rs` is `["proto", "smtp"]`, the library's root
/// is empty.
fn module_of(name: &str) -> Path<'_> {
    let name = name.strip_prefix("src/").unwrap_or(name);
    let name = name.strip_suffix(".rs").unwrap_or(name);
    let mut module: Path<'_> = name.split('/').collect();
    if matches!(module.last(), Some(&("mod" | "lib"))) {
        module.pop();
    }
    module
}

/// The path from the library's root, if it leads into the library. `main.rs` and tests in
/// documentation know the library by its name.
fn absolute<'a>(path: &[&'a str], module: &[&'a str]) -> Option<Path<'a>> {
    match path {
        ["crate" | "mailbearer", rest @ ..] => Some(rest.to_vec()),
        ["self", rest @ ..] if rest.first() == Some(&"super") => absolute(rest, module),
        ["super", ..] => {
            let ups = path.iter().take_while(|&&name| name == "super").count();
            let parents = module.len().saturating_sub(ups);
            Some(module.iter().take(parents).chain(path.iter().skip(ups)).copied().collect())
        }
        _ => None,
    }
}

/// What is wrong with `module` naming `target`, both from the library's root.
fn import_problem(module: &[&str], target: &[&str]) -> Option<String> {
    let from = *module.first()?;
    let Some(&to) = target.first() else {
        return Some("that is every floor at once".to_owned());
    };
    if from == to {
        let protocol = |path: &[&str]| {
            let name = *path.get(1)?;
            (from == "proto" && PROTOCOLS.contains(&name)).then(|| name.to_owned())
        };
        let to = protocol(target).filter(|to| protocol(module).as_ref() != Some(to))?;
        return Some(format!("what protocols share does not know {to}"));
    }
    let floor = |name: &str| FLOORS.iter().position(|floor| floor.contains(&name));
    let Some(own) = floor(from) else {
        return Some(format!("{from} stands on no floor: give it one in FLOORS"));
    };
    match floor(to) {
        None => Some(format!("{to} stands on no floor: give it one in FLOORS")),
        Some(other) if other > own => Some("imports only go down".to_owned()),
        Some(other) if other == own && own > 0 => Some("siblings do not import".to_owned()),
        Some(_) => None,
    }
}

/// Whether `module` is `door` or lies below it.
fn is_behind(module: &[&str], door: &[&str]) -> bool {
    module.len() >= door.len() && module.iter().zip(door).all(|(a, b)| *b == "*" || a == b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_problems(file: &str, text: &str, expected: &[&str]) {
        let problems = problems_of_module(file, text);
        assert_eq!(problems.len(), expected.len(), "{file}: {text}\n{problems:#?}");
        for (problem, expected) in problems.iter().zip(expected) {
            assert!(problem.contains(expected), "{problem}");
        }
    }

    #[test]
    fn import_is_refused_when_it_goes_up() {
        let up = &["imports only go down"];
        assert_problems("src/names.rs", "use crate::proto::Line;", up);
        assert_problems("src/proto/mod.rs", "use crate::{names, oauth::Tokens};", up);
        assert_problems("src/account/mod.rs", "use super::relay;", up);
        assert_problems("src/relay/session.rs", "fn f() { super::super::config::load() }", up);
        assert_problems("src/names.rs", "use self::super::relay::Relay;", up);
        assert_problems("src/cli/serve.rs", "use crate::{app, config, relay::Session};", &[]);
    }

    #[test]
    fn import_is_refused_when_it_takes_all_that_stands_on_any_floor() {
        let all = &["every floor at once"];
        assert_problems("src/account/mod.rs", "use super::*; use relay::Relay;", all);
        assert_problems("src/proto/smtp/reply.rs", "use crate::*;", all);
        assert_problems("src/account/password.rs", "use super::*; use self::x::Y;", &[]);
    }

    #[test]
    fn import_is_refused_when_it_names_a_sibling() {
        let sibling = &["siblings do not import"];
        assert_problems("src/account/mod.rs", "use crate::oauth::Tokens;", sibling);
        assert_problems("src/config/mod.rs", "use crate::sandbox::Sandbox;", sibling);
        assert_problems("src/provider.rs", "use crate::secret::SecretSource;", &[]);
        assert_problems("src/oauth/cache.rs", "use super::Tokens; use crate::oauth::Error;", &[]);
        assert_problems("src/main.rs", "fn main() { mailbearer::cli::main() }", &[]);
    }

    #[test]
    fn import_is_refused_when_a_protocol_names_another() {
        let known = &["does not know"];
        assert_problems("src/proto/smtp/reply.rs", "use crate::proto::imap::Tag;", known);
        assert_problems("src/proto/imap/mod.rs", "use super::smtp::Reply;", known);
        assert_problems("src/proto/preauth.rs", "use super::smtp::Reply;", known);
        assert_problems(
            "src/proto/smtp/upstream.rs",
            "use super::reply; use crate::proto::sasl;",
            &[],
        );
        assert_problems("src/relay/session.rs", "use crate::proto::{imap, smtp};", &[]);
    }

    #[test]
    fn module_is_refused_when_it_stands_on_no_floor() {
        let none = &["no floor"];
        assert_problems("src/util.rs", "use crate::names::Username;", none);
        assert_problems("src/relay/mod.rs", "use crate::util::Thing;", none);
    }

    #[test]
    fn io_is_refused_in_proto_alone() {
        for io in [
            "use tokio::net::TcpStream;",
            "fn f() { tracing::info!(\"x\") }",
            "use rustls::ServerConfig;",
            "use std::{fs::File, fmt};",
            "use std::net::IpAddr;",
            "use core::net::IpAddr;",
            "use std::os::unix::net::UnixStream;",
            "fn f() { std::io::stdin(); }",
            "use std::time; fn f() { time::Instant::now(); }",
            "use std::{self as s, fmt};",
            "fn f() { std::time::Instant::now(); }",
            "use crate::clock;",
        ] {
            assert_problems("src/proto/smtp/downstream.rs", io, &["proto does no I/O"]);
            assert_problems("src/relay/session.rs", io, &[]);
        }
        assert_problems("src/proto/preauth.rs", "use std::time::Duration; // tokio waits", &[]);
    }

    #[test]
    fn secret_is_opened_behind_its_doors_alone() {
        let text = "fn f(s: &SecretString) { s.expose_secret(); }";
        for door in ["secret", "proto/sasl/plain", "proto/imap/upstream", "oauth/mod", "account/x"]
        {
            assert_problems(&format!("src/{door}.rs"), text, &[]);
        }
        for other in
            ["relay/session", "proto/imap/downstream", "proto/mod", "cli/serve", "config/mod"]
        {
            assert_problems(&format!("src/{other}.rs"), text, &["not among the doors"]);
        }
        let mutable = "fn f(s: &mut SecretString) { s.expose_secret_mut(); }";
        assert_problems("src/relay/session.rs", mutable, &["not among the doors"]);
        let test = format!("#[cfg(test)]\nmod tests {{ {text} }}");
        assert_problems("src/relay/session.rs", &test, &[]);
    }

    #[test]
    fn modules_of_tests_are_found_with_all_their_files() {
        let text = "#[cfg(test)]\nmod cases;\nmod line;\n#[cfg(test)]\nmod tests { mod x; }";
        assert_eq!(test_modules_of("src/proto/mod.rs", text), ["src/proto/cases"]);
        assert_eq!(test_modules_of("src/clock.rs", text), ["src/clock/cases"]);
        for file in ["src/clock/cases.rs", "src/clock/cases/mod.rs", "src/clock/cases/late.rs"] {
            assert!(is_of_tests(file, "src/clock/cases"), "{file}");
        }
        assert!(!is_of_tests("src/clock/cases_more.rs", "src/clock/cases"));
    }

    #[test]
    fn file_is_refused_when_it_is_long_headless_or_unsafe() {
        let problems = |text: &str| problems_of_file("src/x.rs", text).len();
        let long = |lines| format!("//! A header.\n{}", "\n".repeat(lines - 1));
        assert_eq!(problems(&long(FILE_LINES_MAX)), 0);
        assert_eq!(problems(&long(FILE_LINES_MAX + 1)), 1);
        assert_eq!(problems("fn f() {}\n"), 1);
        assert_eq!(problems("//! Nothing unsafe.\nfn f() { unsafe { g() } }\n"), 1);
        assert_eq!(problems("//! Nothing unsafe.\nfn f() { g(\"unsafe\") }\n"), 0);
    }
}
