//! What the default build may depend on: one TLS stack, one HTTP stack, licences that a
//! proprietary product can live with, and crates.io as the only source of crates.
//!
//! `deny.toml` says the same to cargo-deny, which also knows advisories but is slow to install.
//! Asked is `cargo tree`, not the lock file: that one lists crates which no build contains.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::{fs, io, iter};

/// Crates that must not be in the build: a second TLS or crypto library.
const BANNED: [&str; 4] = ["native-tls", "openssl", "openssl-sys", "ring"];

/// Crates of which a second version would be a second stack.
const SINGLE: [&str; 7] =
    ["aws-lc-rs", "hyper", "reqwest", "rustls", "rustls-webpki", "tokio", "tokio-rustls"];

/// Licences, one of which every crate offers; where several apply at once, all of them.
const LICENCES: [&str; 6] = ["Apache-2.0", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "Unicode-3.0"];

/// crates.io as the lock file writes it.
const CRATES_IO: &str = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";

/// A crate of the default build for this machine.
struct Crate {
    name: String,
    licence: String,
}

/// All of them, build scripts' included, and those that only tests need left out.
///
/// # Errors
/// When cargo cannot be started, or fails.
fn build() -> io::Result<Vec<Crate>> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--edges", "normal,build", "--prefix", "none"])
        .args(["--no-dedupe", "--format", "{p}\t{l}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr)));
    }
    let mut lines: Vec<_> =
        String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    lines.sort();
    lines.dedup();
    let crates = lines.iter().filter_map(|line| {
        let (package, licence) = line.split_once('\t')?;
        let name = package.split(' ').next()?;
        Some(Crate { name: name.to_owned(), licence: licence.to_owned() })
    });
    Ok(crates.collect())
}

/// Whether `expression` (SPDX, or its old form with slashes) can be satisfied by [`LICENCES`].
fn is_allowed(expression: &str) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    any_of(&mut spaced.split_whitespace().peekable())
}

type Tokens<'a> = iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any_of(tokens: &mut Tokens<'_>) -> bool {
    let mut allowed = all_of(tokens);
    while tokens.next_if_eq(&"OR").is_some() {
        allowed |= all_of(tokens);
    }
    allowed
}

fn all_of(tokens: &mut Tokens<'_>) -> bool {
    let mut allowed = one(tokens);
    while tokens.next_if_eq(&"AND").is_some() {
        allowed &= one(tokens);
    }
    allowed
}

fn one(tokens: &mut Tokens<'_>) -> bool {
    match tokens.next() {
        Some("(") => {
            let allowed = any_of(tokens);
            tokens.next() == Some(")") && allowed
        }
        Some(licence) => {
            let exception = tokens.next_if_eq(&"WITH").and_then(|_| tokens.next());
            exception.is_none() && LICENCES.contains(&licence)
        }
        None => false,
    }
}

#[test]
fn build_holds_one_tls_stack_and_one_http_stack() {
    let mut versions = BTreeMap::<_, usize>::new();
    for package in build().unwrap() {
        *versions.entry(package.name).or_default() += 1;
    }
    for name in BANNED {
        assert!(!versions.contains_key(name), "{name} is in the build: see `cargo tree -i {name}`");
    }
    for name in SINGLE {
        assert_eq!(versions.get(name), Some(&1), "versions of {name}: see `cargo tree -d`");
    }
}

#[test]
fn build_holds_allowed_licences_only() {
    let crates = build().unwrap();
    assert!(crates.len() > SINGLE.len(), "cargo tree lists the crates");
    let refused: Vec<_> = crates
        .iter()
        .filter(|package| !is_allowed(&package.licence))
        .map(|package| format!("{}: {:?}", package.name, package.licence))
        .collect();
    assert!(refused.is_empty(), "licences that are not allowed: {refused:#?}");
}

#[test]
fn licence_expressions_are_read_as_spdx_means_them() {
    for allowed in [
        "MIT",
        "MIT/Apache-2.0",
        "GPL-3.0-only OR MIT",
        "(MIT OR GPL-3.0-only) AND Unicode-3.0",
        "Apache-2.0 WITH LLVM-exception OR MIT",
        "GPL-3.0-only AND ISC OR MIT",
    ] {
        assert!(is_allowed(allowed), "{allowed}");
    }
    for refused in [
        "",
        "GPL-3.0-only",
        "MIT AND GPL-3.0-only",
        "MIT AND (GPL-3.0-only OR AGPL-3.0-only)",
        "GPL-2.0-only WITH Classpath-exception-2.0",
        "(MIT",
    ] {
        assert!(!is_allowed(refused), "{refused}");
    }
}

#[test]
fn every_dependency_comes_from_crates_io() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock");
    let lock = fs::read_to_string(path).unwrap();
    let packages = lock.split("[[package]]").skip(1);
    let elsewhere: Vec<_> = packages
        .filter(|package| !package.contains(CRATES_IO))
        .filter_map(|package| package.lines().find(|line| line.starts_with("name = ")))
        .collect();
    assert_eq!(elsewhere, ["name = \"mailbearer\""]);
}
