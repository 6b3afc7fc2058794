//! Questions in lines, for terminals that cannot move their cursor.

use std::fmt;
use std::io::{self, BufRead, Read as _, Write as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::{Check, NoAnswer, Question};
use crate::cli::tell;

/// Longest answer, in bytes: longer than any client secret or address.
const ANSWER_LEN_MAX: usize = 4096;

/// Ctrl-C, Ctrl-D, backspace and delete as a terminal sends them.
const INTERRUPT: u8 = 0x03;
const END: u8 = 0x04;
const BACKSPACE: u8 = 0x08;
const DELETE: u8 = 0x7f;

/// Asks for a line, until `check` takes it.
pub(super) fn text(question: Question<'_>, check: Check<'_>) -> Result<String, NoAnswer> {
    loop {
        if !question.help.is_empty() {
            tell(format_args!("  ({})", question.help));
        }
        let answer = match question.proposal {
            Some(proposal) if !proposal.is_empty() => {
                ask(format_args!("{} [{proposal}] ", question.ask))?
            }
            Some(_) | None => ask(format_args!("{} ", question.ask))?,
        };
        let answer = match question.proposal {
            Some(proposal) if answer.is_empty() => proposal.to_owned(),
            _ => answer,
        };
        match check(&answer) {
            Ok(()) => return Ok(answer),
            Err(problem) => tell(problem),
        }
    }
}

/// Has one of `options` chosen by its number.
pub(super) fn choose(
    ask_for: &str,
    options: &[String],
    proposal: usize,
) -> Result<usize, NoAnswer> {
    loop {
        tell(ask_for);
        for (number, option) in (1..).zip(options) {
            tell(format_args!("  {number}  {option}"));
        }
        let answer = ask(format_args!("number [{}]: ", proposal.saturating_add(1)))?;
        if answer.is_empty() {
            return Ok(proposal);
        }
        let number = answer.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        match number.filter(|number| *number < options.len()) {
            Some(number) => return Ok(number),
            None => tell(format_args!("enter a number from 1 to {}", options.len())),
        }
    }
}

/// Asks for a line that is not shown, until it is one that can be kept as it is.
pub(super) fn secret(question: Question<'_>) -> Result<Zeroizing<String>, NoAnswer> {
    loop {
        tell(format_args!("  ({})", question.help));
        // Before it is asked, so that no key of an early answer is shown.
        let hidden = Hidden::begin().map_err(NoAnswer::Broken)?;
        prompt(format_args!("{} ", question.ask))?;
        let answer = read_hidden();
        drop(hidden);
        tell("");
        let answer = answer?;
        match std::str::from_utf8(&answer) {
            Ok(_) if answer.len() > ANSWER_LEN_MAX => {
                tell(format_args!("enter at most {ANSWER_LEN_MAX} bytes"));
            }
            Ok(text) => return Ok(Zeroizing::new(text.to_owned())),
            Err(_) => tell("enter text in UTF-8, which this is not"),
        }
    }
}

/// The terminal while it shows nothing. It takes Ctrl-C for a byte, so that nobody is left with it.
struct Hidden(Termios);

impl Hidden {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut hidden = before.clone();
        hidden.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        tcsetattr(io::stdin(), OptionalActions::Now, &hidden)?;
        Ok(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // If it does not obey, `stty sane` is all that is left.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

/// Reads a line; one that is too long is a byte longer than it may be.
fn read_hidden() -> Result<Zeroizing<Vec<u8>>, NoAnswer> {
    let mut answer = Zeroizing::new(Vec::with_capacity(ANSWER_LEN_MAX.saturating_add(1)));
    for byte in io::stdin().lock().bytes() {
        match byte.map_err(NoAnswer::Broken)? {
            INTERRUPT | END => return Err(NoAnswer::Ended),
            b'\r' | b'\n' => return Ok(answer),
            BACKSPACE | DELETE => drop(answer.pop()),
            byte if answer.len() <= ANSWER_LEN_MAX => answer.push(byte),
            _ => {}
        }
    }
    Err(NoAnswer::Ended)
}

/// Shows `prompt` and reads a line.
fn ask(what: impl fmt::Display) -> Result<String, NoAnswer> {
    prompt(what)?;
    let mut line = Vec::new();
    let mut stdin = io::stdin().lock().take(u64::try_from(ANSWER_LEN_MAX).unwrap_or(u64::MAX));
    let len = stdin.read_until(b'\n', &mut line).map_err(NoAnswer::Broken)?;
    if len == 0 {
        return Err(NoAnswer::Ended);
    }
    Ok(String::from_utf8_lossy(&line).trim().to_owned())
}

fn prompt(what: impl fmt::Display) -> Result<(), NoAnswer> {
    let mut stderr = io::stderr().lock();
    write!(stderr, "{what}").and_then(|()| stderr.flush()).map_err(NoAnswer::Broken)
}
