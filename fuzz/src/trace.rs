//! What came of a session: all that has to be the same at every split.

/// What a machine said and wanted, and how that ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    /// What it said.
    pub said: Vec<u8>,
    /// What it wanted: how much it had consumed and said by then, and what it was.
    pub events: Vec<(usize, usize, String)>,
    /// How it ended.
    pub end: End,
}

/// How a session ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum End {
    /// It waits for more.
    #[default]
    Waiting,
    /// The machine is gone, and these bytes are left to somebody else.
    Streams(Vec<u8>),
    /// The machine gave up, for this reason.
    Closed(String),
}

impl Trace {
    /// The lines that were said, without their ends.
    ///
    /// # Panics
    /// When one does not end in CRLF, or holds anything but printable ASCII.
    pub fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.said.split_inclusive(|&byte| byte == b'\n').map(|line| {
            let shown = String::from_utf8_lossy(line);
            let line = line.strip_suffix(b"\r\n").unwrap_or_else(|| panic!("{shown:?} has no end"));
            let is_printable = line.iter().all(|byte| (b' '..=b'~').contains(byte));
            assert!(is_printable, "{shown:?} is not printable");
            line
        })
    }
}
