//! `completions` and `man`.

use std::fs;
use std::process::Command;

use super::{FILE, mailbearer, printed};

#[test]
fn bash_completes_commands_and_options() {
    let script = printed(FILE, &["completions", "bash"]);
    let complete = |words: &str, count: usize| {
        let ask = format!(
            "{script}\nCOMP_WORDS=({words}); COMP_CWORD={count}; \
             _mailbearer mailbearer \"${{COMP_WORDS[$COMP_CWORD]}}\" \"\"; echo \"${{COMPREPLY[@]}}\""
        );
        let output = Command::new("bash").args(["--norc", "-c", &ask]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(complete("mailbearer supp", 1), "support-bundle");
    assert_eq!(complete("mailbearer import --for", 2), "--force");
    assert_eq!(complete("mailbearer completions z", 2), "zsh");
}

#[test]
fn every_shell_has_completions() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        assert!(printed(FILE, &["completions", shell]).contains("healthcheck"), "{shell}");
    }
}

#[test]
fn man_makes_a_page_for_the_program_and_for_each_command() {
    let dir = tempfile::tempdir().unwrap();
    assert!(mailbearer(dir.path(), &["man", "--out", "pages/man1"]).status.success());
    let page = |name: &str| fs::read_to_string(dir.path().join("pages/man1").join(name)).unwrap();
    assert!(page("mailbearer.1").contains(".TH MAILBEARER 1"), "{}", page("mailbearer.1"));
    let serve = page("mailbearer-serve.1");
    assert!(serve.contains("SIGTERM") && serve.contains("mailbearer \\-c mailbearer.toml serve"));
    // All of them on standard output.
    let all = printed(FILE, &["man"]);
    let pages = fs::read_dir(dir.path().join("pages/man1")).unwrap().count();
    assert_eq!(all.matches(".TH ").count(), pages);
}
