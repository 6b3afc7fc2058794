//! Lines: who waits for a place, one line for each endpoint's host, so that whoever finds none at
//! one host stands in nobody's way at another.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

/// Who waits, by host; within a line, and among the heads of all, the least is first.
#[derive(Debug)]
pub(super) struct Lines<T> {
    /// None is empty. There are as many as the configuration has hosts.
    lines: BTreeMap<String, BinaryHeap<Reverse<T>>>,
    /// Who is first in each line, and its host: whoever is next is found without a look at each.
    heads: BTreeSet<(T, String)>,
    len: usize,
}

impl<T: Ord> Default for Lines<T> {
    fn default() -> Self {
        Self { lines: BTreeMap::new(), heads: BTreeSet::new(), len: 0 }
    }
}

impl<T: Ord + Clone> Lines<T> {
    /// Has `who` wait in the line of `host`.
    pub(super) fn join(&mut self, host: String, who: T) {
        let line = self.lines.entry(host.clone()).or_default();
        let head = line.peek().map(|Reverse(head)| head.clone());
        line.push(Reverse(who.clone()));
        self.len += 1;
        if head.as_ref().is_none_or(|head| who < *head) {
            if let Some(head) = head {
                self.heads.remove(&(head, host.clone()));
            }
            self.heads.insert((who, host));
        }
    }

    /// Takes who is first in the lines of those hosts that are `open`.
    pub(super) fn take(&mut self, open: impl Fn(&str) -> bool) -> Option<T> {
        let first = self.heads.iter().find(|(_, host)| open(host))?.clone();
        self.heads.remove(&first);
        let (_, host) = first;
        let line = self.lines.get_mut(&host)?;
        let Reverse(who) = line.pop()?;
        match line.peek().map(|Reverse(next)| next.clone()) {
            Some(next) => _ = self.heads.insert((next, host)),
            None => _ = self.lines.remove(&host),
        }
        self.len = self.len.saturating_sub(1);
        Some(who)
    }

    /// Whether somebody waits for one of the hosts that are `open`.
    pub(super) fn wait(&self, open: impl Fn(&str) -> bool) -> bool {
        self.heads.iter().any(|(_, host)| open(host))
    }

    /// Who is first of all.
    pub(super) fn first(&self) -> Option<&T> {
        self.heads.first().map(|(who, _)| who)
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
        self.heads.clear();
        let lines = std::mem::take(&mut self.lines);
        lines.into_values().flatten().map(|Reverse(who)| who)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

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
        assert!(lines.wait(|host| host == "slow") && !lines.wait(|host| host == "other"));
        assert_eq!((lines.take(|_| true), lines.take(|_| true)), (Some(2), Some(4)));
        assert!(lines.is_empty() && lines.first().is_none());
        lines.join("slow".to_owned(), 1);
        assert_eq!(lines.dissolve().collect::<Vec<_>>(), [1]);
        assert!(lines.is_empty());
    }
    #[test]
    fn who_is_next_is_found_without_a_look_at_the_hosts_behind() {
        let mut lines = Lines::default();
        for who in 0..1_000 {
            lines.join(format!("host-{who}"), who);
        }
        let looked_at = Cell::new(0);
        let open = |host: &str| {
            looked_at.set(looked_at.get() + 1);
            host != "host-0"
        };
        assert_eq!((lines.take(open), looked_at.get()), (Some(1), 2));
    }
}
