//! What holds for the configuration, whatever stands in the file.
//!
//! - It is read in the same way twice, and with secrets looked at it is no better than without.
//! - Each problem names a line of the file and is a sentence on one line.
//! - What a variable holds is never told.

use std::env::VarError;
use std::path::Path;

use mailbearer::config::{Config, Problem, Secrets};

/// What every variable holds whose name begins with `SECRET`.
const SECRET: &str = "tell-nobody-but-the-provider";

/// Reads `input` as a configuration file.
pub fn check(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let left = read(text, Secrets::Leave);
    let verified = read(text, Secrets::Verify);
    assert_eq!(shown(&left), shown(&read(text, Secrets::Leave)), "read again");
    assert!(left.is_ok() || verified.is_err(), "a secret that is looked at mends nothing");
    for result in [&left, &verified] {
        let problems = match result {
            Ok(config) => {
                assert!(!config.listeners.is_empty() && !config.accounts.is_empty());
                &config.warnings
            }
            Err(problems) => {
                assert!(!problems.is_empty(), "refused without a reason");
                problems
            }
        };
        problems.iter().for_each(|problem| check_problem(text, problem));
        assert!(text.contains(SECRET) || !shown(result).contains(SECRET), "a secret is told");
    }
}

fn read(text: &str, secrets: Secrets) -> Result<Config, Vec<Problem>> {
    Config::parse(text, Path::new("/nowhere"), &env, secrets)
}

fn env(name: &str) -> Result<String, VarError> {
    match name {
        name if name.starts_with("SECRET") => Ok(SECRET.to_owned()),
        "EMPTY" => Ok(String::new()),
        "BINARY" => Err(VarError::NotUnicode("?".into())),
        _ => Err(VarError::NotPresent),
    }
}

fn shown(result: &Result<Config, Vec<Problem>>) -> String {
    format!("{result:?}")
}

fn check_problem(text: &str, problem: &Problem) {
    let lines = text.bytes().filter(|&byte| byte == b'\n').count() + 1;
    assert!((1..=lines).contains(&problem.line), "line {} of {lines}", problem.line);
    assert!(!problem.message.is_empty() && !problem.help.is_empty(), "{problem:?}");
    let told = problem.in_file(Path::new("mailbearer.toml")).to_string();
    assert_eq!(told.lines().count(), 2, "{told:?}");
    assert!(!told.chars().any(|c| c.is_control() && c != '\n'), "{told:?}");
}
