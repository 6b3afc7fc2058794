//! A shortfall: what a consent lacks of what was asked for, and what a refresh names because of it.
//!
//! Source: RFC 6749 section 3.3 (less may be granted than was asked for), section 5.1 (`scope` of an
//! answer), section 6 (a refresh names nothing that was not granted; to name nothing is to ask for all
//! that was). What is remembered saves a refresh the request that would be refused. It hides nothing:
//! a scope that was never asked for, because the file has it since then, is asked for by its name.

use std::collections::BTreeSet;

use tracing::warn;

use super::answer::tellable;
use super::grant::Answer;
use crate::provider::GrantId;
use crate::store::StoredShortfall;

/// What a refresh names for which `scopes` are wanted: those that the consent does not lack, as far
/// as that is known; nothing where naming them is known to be refused.
///
/// If the consent lacks all of them, all are named: then it is the provider that says no.
pub(super) fn named(kept: Option<&StoredShortfall>, scopes: &[String]) -> Vec<String> {
    let Some(StoredShortfall { missing, unnamed }) = kept else { return scopes.to_vec() };
    let lacks = |scope: &String| missing.as_ref().is_some_and(|missing| missing.contains(scope));
    let granted: Vec<String> = scopes.iter().filter(|scope| !lacks(scope)).cloned().collect();
    if tellable(&granted) == 0 {
        return scopes.to_vec();
    }
    if granted.iter().all(|scope| unnamed.contains(scope)) { Vec::new() } else { granted }
}

/// What is known after `answer`, which came to a request that named `named` and wanted `scopes`,
/// where `kept` was known before. What it says nothing of is as it was.
pub(super) fn after(
    kept: Option<StoredShortfall>,
    scopes: &[String],
    named: &[String],
    answer: &Answer,
) -> Option<StoredShortfall> {
    let kept = kept.unwrap_or_else(|| StoredShortfall {
        missing: Some(BTreeSet::new()),
        unnamed: BTreeSet::new(),
    });
    let missing = match (&answer.missing, kept.missing) {
        (Some(told), before) => {
            let others = before.unwrap_or_default().into_iter();
            let others = others.filter(|scope| !scopes.contains(scope));
            Some(others.chain(told.iter().cloned()).collect())
        }
        (None, Some(before))
            if !answer.is_unnamed || before.iter().any(|scope| scopes.contains(scope)) =>
        {
            Some(before)
        }
        // Why the scopes were refused together is not known.
        (None, _) => None,
    };
    let mut unnamed = kept.unnamed;
    if answer.is_unnamed {
        unnamed.extend(named.iter().cloned());
    }
    let is_whole = unnamed.is_empty() && missing.as_ref().is_some_and(BTreeSet::is_empty);
    (!is_whole).then_some(StoredShortfall { missing, unnamed })
}

/// Tells in the log what the consent `whose` lacks, when that is known anew.
pub(super) fn tell(
    whose: &GrantId,
    before: Option<&StoredShortfall>,
    after: Option<&StoredShortfall>,
) {
    let missing = |known: Option<&StoredShortfall>| {
        known.map_or_else(|| Some(BTreeSet::new()), |known| known.missing.clone())
    };
    let (before, after) = (missing(before), missing(after));
    if after == before || after.as_ref().is_some_and(BTreeSet::is_empty) {
        return;
    }
    let missing: Vec<_> = after.into_iter().flatten().collect();
    warn!(
        grant = %whose,
        ?missing,
        hint = "authorize the account again, and tick every box",
        "the consent lacks permissions"
    );
}
