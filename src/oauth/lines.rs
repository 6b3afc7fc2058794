//! Lines: who waits for a place, one line for each endpoint's host, so that whoever finds none at
//! one host stands in nobody's way at another.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// Who waits, by host; within a line, and among the heads of all, the least is first.
#[derive(Debug)]
pub(super) struct Lines<T> {
    /// None is empty. There are as many as the configuration has hosts.
    lines: BTreeMap<String, BinaryHeap<Reverse<T>>>,
    len: usize,
}

impl<T: Ord> Default for Lines<T> {
    fn default() -> Self {
        Self { lines: BTreeMap::new(), len: 0 }
    }
}

impl<T: Ord> Lines<T> {
    /// Has `who` wait in the line of `host`.
    pub(super) fn join(&mut self, host: String, who: T) {
        self.lines.entry(host).or_default().push(Reverse(who));
        self.len += 1;
    }

    /// Takes who is first in the lines of those hosts that are `open`.
    pub(super) fn take(&mut self, open: impl Fn(&str) -> bool) -> Option<T> {
        let heads = self.lines.iter().filter_map(|(host, line)| Some((line.peek()?, host)));
        let open = heads.filter(|(_, host)| open(host));
        // The greatest in reverse.
        let (_, host) = open.max_by(|(one, _), (other, _)| one.cmp(other))?;
        let host = host.clone();
        let line = self.lines.get_mut(&host)?;
        let Reverse(who) = line.pop()?;
        if line.is_empty() {
            self.lines.remove(&host);
        }
        self.len = self.len.saturating_sub(1);
        Some(who)
    }

    /// Who is first of all.
    pub(super) fn first(&self) -> Option<&T> {
        self.lines.values().filter_map(|line| Some(&line.peek()?.0)).min()
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Sends everybody away, and gives them, in no order.
    pub(super) fn dissolve(&mut self) -> impl Iterator<Item = T> + use<T> {
        self.len = 0;
        let lines = std::mem::take(&mut self.lines);
        lines.into_values().flatten().map(|Reverse(who)| who)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_longest_is_first_among_the_hosts_that_are_open() {
        let mut lines = Lines::default();
        for (host, who) in [("slow", 1), ("fast", 4), ("slow", 2), ("fast", 3), ("other", 5)] {
            lines.join(host.to_owned(), who);
        }
        assert_eq!((lines.len(), lines.first()), (5, Some(&1)));
        assert_eq!(lines.take(|host| host != "slow"), Some(3));
        assert_eq!(lines.take(|_| true), Some(1));
        assert_eq!(lines.take(|host| host == "other"), Some(5));
        assert_eq!(lines.take(|host| host == "other"), None, "its line is empty");
        assert_eq!(lines.take(|_| false), None);
        assert_eq!((lines.take(|_| true), lines.take(|_| true)), (Some(2), Some(4)));
        assert!(lines.is_empty() && lines.first().is_none());
        lines.join("slow".to_owned(), 1);
        assert_eq!(lines.dissolve().collect::<Vec<_>>(), [1]);
        assert!(lines.is_empty());
    }
}
