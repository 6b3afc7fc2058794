//! Sets of message numbers: `1,3:5,7:*` (RFC 3501 section 9, `sequence-set`).

use super::command::Malformed;

/// Such a set; `*` is the largest number in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NumberSet(Vec<(End, End)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Number(u32),
    Largest,
}

impl End {
    fn parse(text: &str) -> Result<Self, Malformed> {
        match text {
            "*" => Ok(Self::Largest),
            digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                let number = digits.parse().ok().filter(|&number| number > 0);
                number.map(Self::Number).ok_or(Malformed)
            }
            _ => Err(Malformed),
        }
    }

    fn resolve(self, largest: u32) -> u32 {
        match self {
            Self::Number(number) => number,
            Self::Largest => largest,
        }
    }
}

impl NumberSet {
    pub(super) fn parse(text: &str) -> Result<Self, Malformed> {
        let range = |range: &str| {
            let (from, to) = range.split_once(':').unwrap_or((range, range));
            Ok((End::parse(from)?, End::parse(to)?))
        };
        text.split(',').map(range).collect::<Result<_, _>>().map(Self)
    }

    /// Whether `number` is in it, where `largest` is the largest number in use.
    pub(super) fn contains(&self, number: u32, largest: u32) -> bool {
        self.0.iter().any(|(from, to)| {
            let (from, to) = (from.resolve(largest), to.resolve(largest));
            (from.min(to)..=from.max(to)).contains(&number)
        })
    }

    /// Whether it names no number above `largest`, as sets of sequence numbers must not.
    pub(super) fn is_within(&self, largest: u32) -> bool {
        let within = |end: &End| (1..=largest).contains(&end.resolve(largest));
        self.0.iter().all(|(from, to)| within(from) && within(to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_contains_its_numbers_in_any_order() {
        let set = NumberSet::parse("2,6:4,*").unwrap();
        let contained: Vec<u32> = (1..=9).filter(|&number| set.contains(number, 9)).collect();
        assert_eq!(contained, [2, 4, 5, 6, 9]);
        assert!(set.is_within(6) && !set.is_within(5));
        assert!(!NumberSet::parse("*").unwrap().is_within(0));
        // RFC 3501: 559:* contains the last message even where 559 is above all.
        assert!(NumberSet::parse("559:*").unwrap().contains(9, 9));
    }

    #[test]
    fn what_is_no_set_is_malformed() {
        for text in ["", "0", "1,", "1:", ":1", "a", "+1", "1:2:3", "4294967296", "-1"] {
            assert_eq!(NumberSet::parse(text), Err(Malformed), "{text:?}");
        }
    }
}
