//! A secret line of standard input.

use std::io::{self, BufRead};

use zeroize::Zeroizing;

/// Reads the first line of `from` without its end. One that is longer than `len_max` bytes is cut
/// somewhere behind them.
///
/// # Errors
/// When it cannot be read.
pub(super) fn read(from: impl BufRead, len_max: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    // Room for CR, LF and the byte that is too many, reserved so that no copy is left behind.
    let room = len_max.saturating_add(3);
    let mut line = Zeroizing::new(Vec::with_capacity(room));
    from.take(u64::try_from(room).unwrap_or(u64::MAX)).read_until(b'\n', &mut line)?;
    if line.last() == Some(&b'\n') {
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
    }
    Ok(line)
}
