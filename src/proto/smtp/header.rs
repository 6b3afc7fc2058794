//! The header of a message whose From: becomes the mailbox.
//!
//! Sources: RFC 5322 sections 2.2 and 3.6, RFC 5321 section 4.5.2 (dot-stuffing), RFC 2047.
//! In:  lines as they are sent, dot-stuffed. Out: the same lines in the same order, without those of
//!      From:, behind the fields that are new.
//! Holds at most [`HEADER_LEN_MAX`] bytes.
//!
//! The new fields stand first, behind an mbox's `From ` line alone, so that they hold wherever a
//! server takes the header to end: some do so at a line that is no field. Such lines stay. Sender:
//! stays, too, for the contract names From: and Reply-To: alone.

mod field;
mod originator;

use memchr::memchr;

use super::Stamp;
use crate::names::Address;
use crate::proto::Output;
use field::{fields, is_field, is_mbox_line};
use originator::Originator;

/// Longest header that is rewritten, in bytes as sent, the empty line not counted.
const HEADER_LEN_MAX: usize = 256 * 1024;

/// Longest line, in bytes without CRLF (RFC 5322 section 2.1.1).
const LINE_LEN_MAX: usize = 998;

/// How long a line should be at most, in bytes without CRLF: with an encoded word on it, it must
/// (RFC 2047 section 2).
const FOLDED_LEN_MAX: usize = 76;

/// A header, as far as it came.
#[derive(Debug, Default)]
pub(super) struct Header {
    bytes: Vec<u8>,
    /// Where the line begins that has not ended.
    line_start: usize,
    found: Found,
}

/// What the lines so far are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Found {
    /// None of them is a field.
    #[default]
    Nothing,
    /// They are a header that has not ended.
    Fields,
    /// They are a whole header, which may be empty: the empty line was here.
    Header,
    /// They are no header, but the first lines of a body.
    Body,
}

/// Whether a header has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    Open,
    Ended,
}

/// Why a header cannot be rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeaderFault {
    /// It has more than [`HEADER_LEN_MAX`] bytes.
    TooLong,
    /// CR or LF stand alone in it: where its lines end, servers disagree.
    LineEnd,
}

impl Header {
    /// Takes bytes up to the end of the header; how many, and whether it has ended.
    ///
    /// # Errors
    /// [`HeaderFault`], behind which nothing more is to be taken.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<(usize, Progress), HeaderFault> {
        let mut taken = 0;
        while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
            let end = memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
            let piece = rest.get(..end).unwrap_or_default();
            // The empty line is not counted.
            if self.bytes.len() + piece.len() > HEADER_LEN_MAX + 2 {
                return Err(HeaderFault::TooLong);
            }
            self.bytes.extend_from_slice(piece);
            taken += end;
            if piece.ends_with(b"\n") && self.end_line()? == Progress::Ended {
                return Ok((taken, Progress::Ended));
            }
        }
        Ok((taken, Progress::Open))
    }

    fn end_line(&mut self) -> Result<Progress, HeaderFault> {
        let line = self.bytes.get(self.line_start..).unwrap_or_default();
        let line = line.strip_suffix(b"\r\n").ok_or(HeaderFault::LineEnd)?;
        if line.contains(&b'\r') {
            return Err(HeaderFault::LineEnd);
        }
        if line.is_empty() {
            self.bytes.truncate(self.line_start);
            self.found = Found::Header;
            return Ok(Progress::Ended);
        }
        if self.bytes.len() > HEADER_LEN_MAX {
            return Err(HeaderFault::TooLong);
        }
        if self.found == Found::Nothing && !is_mbox_line(line) {
            if !is_field(line) {
                self.found = Found::Body;
                return Ok(Progress::Ended);
            }
            self.found = Found::Fields;
        }
        self.line_start = self.bytes.len();
        Ok(Progress::Open)
    }

    /// Writes the header with its empty line, and what was taken for a body; or, where the message
    /// has ended within the header, what there is of it.
    pub(super) fn write(&self, mailbox: &Address, stamp: impl FnOnce() -> Stamp, up: &mut Output) {
        let (header, body) = match self.found {
            Found::Header | Found::Fields => (&self.bytes[..], None),
            Found::Nothing | Found::Body => (&[][..], Some(&self.bytes[..])),
        };
        write_fields(header, mailbox, stamp, up);
        if self.found != Found::Fields {
            up.bytes(b"\r\n");
        }
        up.bytes(body.unwrap_or_default());
    }
}

fn write_fields(header: &[u8], mailbox: &Address, stamp: impl FnOnce() -> Stamp, up: &mut Output) {
    let has = |name: &str| fields(header).any(|field| field.is(name));
    let froms = || fields(header).filter(|field| field.is("From"));
    // There may be ten thousands of them: they are not gathered.
    let is_mailbox = |value: &[u8]| Originator::parse(value).is_some_and(|from| from.is(mailbox));
    let kept = froms().nth(1).is_none() && froms().any(|only| is_mailbox(only.value));
    for field in fields(header).take_while(|field| is_mbox_line(field.bytes)) {
        up.bytes(field.bytes);
    }
    if !kept {
        // Of several, which RFC 5322 section 3.6 forbids, readers show the first.
        let told = || froms().map(|field| field.value).filter(|it| !it.trim_ascii().is_empty());
        write_from(told().next().and_then(Originator::parse).and_then(|it| it.name), mailbox, up);
        // Answers to the mailbox need no field; one beside it would be lost without.
        let other = told().find(|value| !is_mailbox(value));
        if let Some(value) = other.filter(|_| !has("Reply-To")) {
            write_reply_to(value, up);
        }
    }
    let (has_date, has_id) = (has("Date"), has("Message-ID"));
    if !(has_date && has_id) {
        let Stamp { date, message_id } = stamp();
        if !has_date {
            up.line(&format!("Date: {date}"));
        }
        if !has_id {
            up.line(&format!("Message-ID: {message_id}"));
        }
    }
    for field in fields(header).skip_while(|field| is_mbox_line(field.bytes)) {
        if kept || !field.is("From") {
            up.bytes(field.bytes);
        }
    }
}

/// Writes From: with the mailbox, behind the name that stood there.
fn write_from(name: Option<&[u8]>, mailbox: &Address, up: &mut Output) {
    let Some(name) = name else { return up.line(&format!("From: {mailbox}")) };
    up.bytes(b"From: ");
    up.bytes(name);
    let last_line = name.rsplit(|&byte| byte == b'\n').next().unwrap_or_default();
    let before = if last_line.len() == name.len() { "From: ".len() } else { 0 };
    let is_short =
        before + last_line.len() + " <>".len() + mailbox.as_str().len() <= FOLDED_LEN_MAX;
    up.bytes(if is_short { b" <" } else { b"\r\n <" });
    up.line(&format!("{mailbox}>"));
}

/// Writes Reply-To: with the value of the old From:, byte for byte.
fn write_reply_to(value: &[u8], up: &mut Output) {
    const NAME: &[u8] = b"Reply-To:";
    up.bytes(NAME);
    let first_line = value.split(|&byte| byte == b'\r').next().unwrap_or_default();
    if NAME.len() + first_line.len() > LINE_LEN_MAX {
        // The name is longer than that of From:.
        up.bytes(if first_line.first() == Some(&b' ') { b"\r\n" } else { b"\r\n " });
    }
    up.bytes(value);
}

#[cfg(test)]
mod tests;
