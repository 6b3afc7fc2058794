//! Many patterns of user names as one: what is asked of it costs the same however many there are.

use std::collections::HashSet;

use super::{AccountPattern, Username, domain_of_mailbox};

/// Which user names some patterns cover together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountPatterns {
    names: HashSet<Username>,
    domains: HashSet<String>,
    /// The domains of those in `names` that a wildcard could cover.
    domains_of_names: HashSet<String>,
}

impl AccountPatterns {
    /// Whether one of them covers `name`.
    pub fn covers(&self, name: &Username) -> bool {
        self.covers_folded(&name.folded())
    }

    /// The same of a name that is folded.
    pub fn covers_folded(&self, name: &Username) -> bool {
        self.names.contains(name)
            || domain_of_mailbox(name).is_some_and(|domain| self.domains.contains(domain))
    }

    /// Whether some name is covered by `pattern` and by one of them.
    pub fn overlaps(&self, pattern: &AccountPattern) -> bool {
        match pattern {
            AccountPattern::Exact(name) => self.covers(name),
            AccountPattern::Domain(domain) => {
                self.domains.contains(domain) || self.domains_of_names.contains(domain)
            }
        }
    }
}

impl<'p> FromIterator<&'p AccountPattern> for AccountPatterns {
    fn from_iter<T: IntoIterator<Item = &'p AccountPattern>>(patterns: T) -> Self {
        let mut all = Self::default();
        for pattern in patterns {
            match pattern {
                AccountPattern::Exact(name) => {
                    let domain = domain_of_mailbox(name);
                    all.domains_of_names.extend(domain.map(str::to_owned));
                    all.names.insert(name.clone());
                }
                AccountPattern::Domain(domain) => drop(all.domains.insert(domain.clone())),
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_cover_and_overlap_what_one_of_them_does() {
        let pattern = |text: &str| AccountPattern::parse(text).unwrap();
        let texts = [
            "alice@x.example",
            "ALICE@x.example",
            "bob@x.example",
            "*@x.example",
            "*@y.example",
            "carol@y.example",
            "scanner",
            "@x.example",
            "a@b@x.example",
            "*@b@x.example",
        ];
        let known: Vec<_> =
            texts.iter().filter_map(|text| AccountPattern::parse(text).ok()).collect();
        for some in known.iter().flat_map(|one| known.iter().map(move |two| [one, two])) {
            let together: AccountPatterns = some.into_iter().collect();
            for text in texts {
                let name = Username::parse(text).unwrap();
                let expected = some.iter().any(|pattern| pattern.covers(&name));
                assert_eq!(together.covers(&name), expected, "{some:?} {text}");
            }
            for other in &known {
                let expected = some.iter().any(|pattern| pattern.overlaps(other));
                assert_eq!(together.overlaps(other), expected, "{some:?} {other}");
            }
        }
        assert!(!AccountPatterns::default().overlaps(&pattern("*@x.example")));
    }
}
