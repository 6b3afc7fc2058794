//! A script: its items, and what one side of it sends, in every two pieces.
//!
//! In: text, one item a line. Out: marks with the bytes behind them.

/// Every mark, those of both kinds of script.
const MARKS: [&str; 10] = ["S:", "C:", "?:", "!:", "X:", "S|", "C|", "L|", "TLS", "TOKEN"];

/// A mark, and the bytes behind it: with CRLF where the mark ends in a colon.
pub(super) type Item = (&'static str, Vec<u8>);

/// How a segment that begins at an offset is cut into pieces.
pub(super) type Split<'a> = dyn Fn(usize, &[u8]) -> Vec<Vec<u8>> + 'a;

/// Reads a script.
pub(super) fn items(script: &str) -> Vec<Item> {
    let lines = script.lines().map(str::trim_start).filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let mark = MARKS.into_iter().find(|mark| line.starts_with(mark)).expect(line);
            let rest = line.strip_prefix(mark).unwrap();
            let mut bytes = unescape(rest.strip_prefix(' ').unwrap_or(rest));
            if mark.ends_with(':') {
                bytes.extend_from_slice(b"\r\n");
            }
            (mark, bytes)
        })
        .collect()
}

/// What stands behind each `mark`, without line ends.
pub(super) fn texts(items: &[Item], mark: &str) -> Vec<String> {
    items.iter().filter(|item| item.0 == mark).map(|item| trimmed(&item.1)).collect()
}

/// All that stands behind `mark`, as one.
pub(super) fn join(items: &[Item], mark: &str) -> Vec<u8> {
    items.iter().filter(|item| item.0 == mark).flat_map(|item| item.1.clone()).collect()
}

/// Bytes as text, without their line end.
pub(super) fn trimmed(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches("\r\n").to_owned()
}

/// What the side whose marks begin with `mark` sends, cut at each handshake.
pub(super) fn segments(items: &[Item], mark: char) -> Vec<Vec<u8>> {
    let mut segments: Vec<Vec<u8>> = vec![Vec::new()];
    for (item, bytes) in items {
        if *item == "TLS" {
            segments.push(Vec::new());
        } else if item.starts_with(mark) {
            segments.last_mut().unwrap().extend_from_slice(bytes);
        }
    }
    segments
}

/// Every way to cut `segments`: whole, byte by byte, and in two at each byte.
pub(super) fn splits(segments: &[Vec<u8>]) -> Vec<(String, Box<Split<'static>>)> {
    let len = segments.iter().map(Vec::len).sum();
    let mut splits: Vec<(String, Box<Split<'static>>)> = vec![
        ("whole".to_owned(), Box::new(|_, segment: &[u8]| vec![segment.to_vec()])),
        (
            "byte by byte".to_owned(),
            Box::new(|_, segment: &[u8]| segment.iter().map(|&byte| vec![byte]).collect()),
        ),
    ];
    for at in 1..len {
        let split = move |before: usize, segment: &[u8]| {
            let (left, right) = segment.split_at(at.saturating_sub(before).min(segment.len()));
            vec![left.to_vec(), right.to_vec()]
        };
        splits.push((format!("split at byte {at}"), Box::new(split)));
    }
    splits
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next().expect("an escape is two characters or more") {
                b'r' => b'\r',
                b'n' => b'\n',
                b'0' => 0,
                b'x' => {
                    let digits = [rest.next().unwrap(), rest.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                }
                other => other,
            },
            byte => byte,
        });
    }
    bytes
}
