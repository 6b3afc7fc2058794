//! The address that a person pastes, read beside everything else.

use std::io::{self, BufRead, IsTerminal as _};
use std::thread;

use tokio::sync::mpsc;
use zeroize::Zeroizing;

use crate::cli::line;

/// Longest line taken, in bytes: more than the longest address that can be an answer.
const LINE_LEN_MAX: usize = 64 * 1024;

/// From here on a terminal throws the rest of a line away, in bytes (Linux's `N_TTY_BUF_SIZE`
/// without the line end).
const TERMINAL_LINE_LEN: usize = 4095;

/// A line of standard input, or that there is none.
#[derive(Debug)]
pub(super) enum Input {
    /// A line that is not blank.
    Line(Zeroizing<Vec<u8>>),
    /// A line that the terminal has cut.
    Cut,
    /// There are no more.
    End,
    /// It cannot be read.
    Unreadable(io::Error),
}

/// The lines of standard input, one after the other. Nobody has to wait for the last one: whoever
/// signs in may never paste anything.
pub(super) fn inputs() -> mpsc::Receiver<Input> {
    let (to, inputs) = mpsc::channel(1);
    // Reading cannot be broken off, and the runtime would wait for a thread of its own.
    thread::spawn(move || {
        let mut stdin = io::stdin().lock();
        let line_len = if stdin.is_terminal() { TERMINAL_LINE_LEN } else { usize::MAX };
        loop {
            let input = next(&mut stdin, line_len);
            let is_last = matches!(input, Input::End | Input::Unreadable(_));
            if to.blocking_send(input).is_err() || is_last {
                break;
            }
        }
    });
    inputs
}

/// The next line that is not blank; one of `cut_at` bytes was cut.
fn next(from: &mut impl BufRead, cut_at: usize) -> Input {
    loop {
        match from.fill_buf() {
            Ok([]) => return Input::End,
            Ok(_) => {}
            Err(error) => return Input::Unreadable(error),
        }
        match line::read(&mut *from, LINE_LEN_MAX) {
            Ok(line) if line.len() >= cut_at => return Input::Cut,
            Ok(line) if line.iter().all(u8::is_ascii_whitespace) => {}
            Ok(line) => return Input::Line(line),
            Err(error) => return Input::Unreadable(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_one_by_one_and_blank_ones_are_left_out() {
        let mut from = &b"\n  \r\nhttp://localhost/?code=a\r\n\nagain"[..];
        for expected in ["http://localhost/?code=a", "again"] {
            let input = next(&mut from, usize::MAX);
            assert!(
                matches!(&input, Input::Line(line) if **line == expected.as_bytes()),
                "{input:?}"
            );
        }
        assert!(matches!(next(&mut from, usize::MAX), Input::End));
    }

    #[test]
    fn line_that_the_terminal_cut_is_told_from_a_whole_one() {
        let (whole, cut) = ("x".repeat(TERMINAL_LINE_LEN - 1), "x".repeat(TERMINAL_LINE_LEN));
        assert!(matches!(next(&mut whole.as_bytes(), TERMINAL_LINE_LEN), Input::Line(_)));
        assert!(matches!(next(&mut cut.as_bytes(), TERMINAL_LINE_LEN), Input::Cut));
    }

    #[test]
    fn line_without_an_end_takes_bounded_memory() {
        let endless = vec![b'x'; 1_000_000];
        let Input::Line(line) = next(&mut &endless[..], usize::MAX) else { panic!("no line") };
        assert!(line.len() <= LINE_LEN_MAX + 3);
    }
}
