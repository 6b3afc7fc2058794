//! How often a token that the upstream refuses is asked for anew: a limit for each account, so that
//! a mailbox which refuses every token does not become a flood at the token endpoint.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::names::Username;
use crate::provider::Protocol;

/// How many tokens in a row are asked for in vain before it is held to be no matter of tokens.
const IN_A_ROW_MAX: u32 = 5;

/// How long the next one has to wait after that.
const PACE: Duration = Duration::from_secs(60);

/// How many accounts are counted. One more is asked for nothing until another is accepted or has
/// been still for [`FORGOTTEN_AFTER`].
const ACCOUNTS_MAX: usize = 10_000;

/// After how long without a refused token an account is counted from the start, where room is
/// needed.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60 * 60);

/// The tokens asked for in vain, by account.
#[derive(Debug, Default)]
pub(super) struct Insistence {
    accounts: Mutex<HashMap<Username, Vain>>,
}

/// Tokens asked for in a row, each of which the upstream refused.
#[derive(Debug)]
struct Vain {
    in_a_row: u32,
    last: Instant,
    /// Where the last one was refused. A token that another protocol's server takes says nothing
    /// of this one's.
    refused_at: Protocol,
}

impl Insistence {
    /// Takes the right to ask for another token for `account`, whose last one was refused at
    /// `protocol`'s server, if there is one left.
    pub(super) fn take(&self, account: &Username, protocol: Protocol) -> bool {
        let account = account.folded();
        let now = Instant::now();
        let mut accounts = self.lock();
        if accounts.len() >= ACCOUNTS_MAX && !accounts.contains_key(&account) {
            accounts.retain(|_, vain| now.duration_since(vain.last) < FORGOTTEN_AFTER);
            if accounts.len() >= ACCOUNTS_MAX {
                return false;
            }
        }
        let first = Vain { in_a_row: 0, last: now, refused_at: protocol };
        let vain = accounts.entry(account).or_insert(first);
        vain.refused_at = protocol;
        let may = vain.in_a_row < IN_A_ROW_MAX || now.duration_since(vain.last) >= PACE;
        if may {
            vain.in_a_row = vain.in_a_row.saturating_add(1);
            vain.last = now;
        }
        may
    }

    /// Counts `account` from the start, if it was at `protocol`'s server, which now took a token
    /// from it, that the last one was refused.
    pub(super) fn forgive(&self, account: &Username, protocol: Protocol) {
        let mut accounts = self.lock();
        if accounts.is_empty() {
            return;
        }
        let account = account.folded();
        if accounts.get(&account).is_some_and(|vain| vain.refused_at == protocol) {
            accounts.remove(&account);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Username, Vain>> {
        // Nothing that is done under the lock leaves a count half changed.
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const SMTP: Protocol = Protocol::Submission;

    fn user(name: &str) -> Username {
        Username::parse(name).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn insistence_is_five_in_a_row_and_then_one_a_minute() {
        let insistence = Insistence::default();
        let alice = user("alice@contoso.com");
        assert!((0..5).all(|_| insistence.take(&alice, SMTP)));
        assert!(!insistence.take(&alice, SMTP));
        assert!(insistence.take(&user("bob@contoso.com"), SMTP), "each account has its own");
        advance(PACE - Duration::from_secs(1)).await;
        assert!(!insistence.take(&user("ALICE@contoso.com"), SMTP));
        advance(Duration::from_secs(1)).await;
        assert!(insistence.take(&alice, SMTP) && !insistence.take(&alice, SMTP));
    }

    #[tokio::test(start_paused = true)]
    async fn insistence_begins_anew_when_a_token_was_accepted() {
        let insistence = Insistence::default();
        let alice = user("alice@contoso.com");
        assert!((0..5).all(|_| insistence.take(&alice, SMTP)));
        insistence.forgive(&alice, Protocol::Imap);
        assert!(!insistence.take(&alice, SMTP), "what another server takes counts for nothing");
        insistence.forgive(&user("Alice@Contoso.com"), SMTP);
        assert!((0..5).all(|_| insistence.take(&alice, SMTP)));
        assert!(!insistence.take(&alice, SMTP));
    }

    #[tokio::test(start_paused = true)]
    async fn insistence_counts_ten_thousand_accounts_and_forgets_the_still_ones() {
        let insistence = Insistence::default();
        assert!((0..ACCOUNTS_MAX).all(|number| insistence.take(&user(&number.to_string()), SMTP)));
        assert!(!insistence.take(&user("one more"), SMTP));
        assert!(insistence.take(&user("7"), SMTP), "who is counted already goes on");
        advance(FORGOTTEN_AFTER).await;
        assert!(insistence.take(&user("one more"), SMTP));
        assert_eq!(insistence.lock().len(), 1);
    }
}
