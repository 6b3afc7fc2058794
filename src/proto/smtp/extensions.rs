//! What a submission server's EHLO shows besides AUTH and STARTTLS, as far as a client may be told
//! before it is known which upstream it will reach.
//!
//! Sources: RFC 1870 (SIZE), RFC 6152 (8BITMIME), RFC 6531 (SMTPUTF8), RFC 3461 (DSN), RFC 2920
//! (PIPELINING), RFC 2034 (ENHANCEDSTATUSCODES), RFC 3030 (CHUNKING, BINARYMIME), RFC 2852
//! (DELIVERBY).
//! In:  the keyword lines of an EHLO reply. Out: the same, nothing but the nine keywords above.

use std::num::NonZeroU64;

/// The keywords that take no parameter, in the order in which they are shown.
const PLAIN: [&str; 7] =
    ["8BITMIME", "SMTPUTF8", "DSN", "PIPELINING", "ENHANCEDSTATUSCODES", "CHUNKING", "BINARYMIME"];

/// A set of SMTP extensions; the default is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extensions {
    size_max: Option<SizeMax>,
    /// Which of [`PLAIN`] are there, by position.
    plain: [bool; PLAIN.len()],
    /// The shortest time in seconds that DELIVERBY may ask for; 0 where there is no shortest.
    deliver_by_min_s: Option<u32>,
}

/// The parameter of SIZE. The smaller the earlier, so that the stricter of two is their minimum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum SizeMax {
    /// No message of more bytes is taken.
    Bytes(NonZeroU64),
    /// `SIZE 0`, or no parameter: no maximum is fixed.
    Unfixed,
}

impl Extensions {
    /// Reads the keyword lines of an EHLO reply, without codes and without the first line.
    ///
    /// Case does not matter. Lines of other keywords, and lines whose parameter cannot be read, are
    /// left out: a client that is shown less asks for less.
    pub fn parse<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut extensions = Self::default();
        for line in lines {
            extensions.add(line);
        }
        extensions
    }

    /// Takes keyword lines that a provider's preset declares.
    pub fn declared(lines: &[&str]) -> Self {
        Self::parse(lines.iter().map(|line| line.as_bytes()))
    }

    /// What holds for both: the smaller SIZE, the longer DELIVERBY.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let mut plain = self.plain;
        for (here, there) in plain.iter_mut().zip(other.plain) {
            *here &= there;
        }
        Self {
            size_max: self.size_max.zip(other.size_max).map(|(here, there)| here.min(there)),
            plain,
            deliver_by_min_s: self
                .deliver_by_min_s
                .zip(other.deliver_by_min_s)
                .map(|(here, there)| here.max(there)),
        }
    }

    /// The same without CHUNKING and BINARYMIME: a message comes by DATA then, which can be read and
    /// held back.
    #[must_use]
    pub fn without_chunks(mut self) -> Self {
        for (keyword, there) in PLAIN.iter().zip(&mut self.plain) {
            *there &= !matches!(*keyword, "CHUNKING" | "BINARYMIME");
        }
        self
    }

    /// Which lines of `shown` these extensions do not live up to; a smaller SIZE is one of them.
    pub fn lacking(&self, shown: &Self) -> Vec<String> {
        let kept: Vec<String> = self.intersection(shown).lines().collect();
        shown.lines().filter(|line| !kept.contains(line)).collect()
    }

    /// The keyword lines as an EHLO reply shows them, always in the same order.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let size = self.size_max.map(|max| match max {
            SizeMax::Bytes(max) => format!("SIZE {max}"),
            SizeMax::Unfixed => "SIZE".to_owned(),
        });
        let plain = PLAIN.into_iter().zip(self.plain).filter(|(_, there)| *there);
        let deliver_by = self.deliver_by_min_s.map(|min_s| match min_s {
            0 => "DELIVERBY".to_owned(),
            min_s => format!("DELIVERBY {min_s}"),
        });
        size.into_iter().chain(plain.map(|(keyword, _)| keyword.to_owned())).chain(deliver_by)
    }

    fn add(&mut self, line: &[u8]) {
        let Ok(line) = std::str::from_utf8(line) else { return };
        let mut words = line.split_ascii_whitespace();
        let Some(keyword) = words.next() else { return };
        let parameter = words.next();
        if keyword.eq_ignore_ascii_case("SIZE") {
            let max = parameter.unwrap_or("0").parse::<u64>();
            self.size_max =
                max.ok().map(|max| NonZeroU64::new(max).map_or(SizeMax::Unfixed, SizeMax::Bytes));
        } else if keyword.eq_ignore_ascii_case("DELIVERBY") {
            self.deliver_by_min_s = parameter.unwrap_or("0").parse().ok();
        }
        for (known, there) in PLAIN.iter().zip(&mut self.plain) {
            *there |= keyword.eq_ignore_ascii_case(known);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(extensions: &Extensions) -> Vec<String> {
        extensions.lines().collect()
    }

    #[test]
    fn extensions_are_shown_in_one_order_whatever_the_upstream_s_was() {
        let upstream = Extensions::declared(&[
            "DELIVERBY 240",
            "chunking",
            "Dsn",
            "BINARYMIME",
            "SMTPUTF8",
            "PIPELINING",
            "ENHANCEDSTATUSCODES",
            "8BITMIME",
            "  SIZE   1000  ",
        ]);
        assert_eq!(
            shown(&upstream),
            [
                "SIZE 1000",
                "8BITMIME",
                "SMTPUTF8",
                "DSN",
                "PIPELINING",
                "ENHANCEDSTATUSCODES",
                "CHUNKING",
                "BINARYMIME",
                "DELIVERBY 240",
            ]
        );
        assert_eq!(Extensions::declared(&[]), Extensions::default());
        assert!(shown(&Extensions::default()).is_empty());
    }

    #[test]
    fn extensions_that_are_not_ours_to_show_are_left_out() {
        let lines: [&[u8]; 9] = [
            b"AUTH LOGIN XOAUTH2",
            b"STARTTLS",
            b"XCLIENT NAME ADDR",
            b"ETRN",
            b"",
            b" ",
            b"\xff\xfe",
            b"SIZE much",
            b"DELIVERBY soon",
        ];
        assert_eq!(Extensions::parse(lines), Extensions::default());
    }

    #[test]
    fn the_intersection_shows_the_smallest_size_and_what_both_have() {
        let exchange = Extensions::declared(&["SIZE 157286400", "DSN", "CHUNKING"]);
        let gmail = Extensions::declared(&["SIZE 35882577", "CHUNKING", "SMTPUTF8"]);
        let both = exchange.intersection(&gmail);
        assert_eq!(shown(&both), ["SIZE 35882577", "CHUNKING"]);
        assert_eq!(gmail.intersection(&exchange), both);
        assert_eq!(both.intersection(&both), both);
        assert_eq!(exchange.intersection(&Extensions::default()), Extensions::default());
    }

    #[test]
    fn a_size_of_zero_or_without_a_number_is_larger_than_any() {
        let fixed = Extensions::declared(&["SIZE 1"]);
        for line in ["SIZE", "SIZE 0"] {
            let unfixed = Extensions::declared(&[line]);
            assert_eq!(shown(&unfixed), ["SIZE"]);
            assert_eq!(unfixed.intersection(&fixed), fixed);
            assert_eq!(unfixed.intersection(&unfixed), unfixed);
        }
    }

    #[test]
    fn the_intersection_shows_the_longest_deliver_by() {
        let short = Extensions::declared(&["DELIVERBY"]);
        let long = Extensions::declared(&["DELIVERBY 600"]);
        assert_eq!(shown(&short.intersection(&long)), ["DELIVERBY 600"]);
        assert_eq!(shown(&short), ["DELIVERBY"]);
    }

    #[test]
    fn without_chunks_a_message_comes_by_data() {
        let all = ["SIZE 9", "8BITMIME", "SMTPUTF8", "CHUNKING", "BINARYMIME", "DELIVERBY 240"];
        let left = Extensions::declared(&all).without_chunks();
        assert_eq!(shown(&left), ["SIZE 9", "8BITMIME", "SMTPUTF8", "DELIVERBY 240"]);
        assert_eq!(left.clone().without_chunks(), left);
    }

    #[test]
    fn an_upstream_lacks_what_it_has_not_or_has_smaller() {
        let of_a_client = Extensions::declared(&["SIZE 100", "DSN", "CHUNKING"]);
        let less = Extensions::declared(&["SIZE 99", "CHUNKING"]);
        assert_eq!(less.lacking(&of_a_client), ["SIZE 100", "DSN"]);
        let more = Extensions::declared(&["SIZE", "DSN", "CHUNKING", "8BITMIME"]);
        assert!(more.lacking(&of_a_client).is_empty());
        assert!(less.lacking(&Extensions::default()).is_empty());
    }
}
