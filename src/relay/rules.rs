//! What the filter of a session is to do: an account's `sender`, a device's `senders` and
//! `messages_per_hour`.

use super::quota::{Quota, Quotas};
use super::stamp::stamp;
use crate::account::Sender;
use crate::account::directory::Account;
use crate::account::password::SignedIn;
use crate::names::{Address, Username};
use crate::proto::smtp::{Filter, Rewrite, Rules, Stamp, Surroundings};

/// The filter of a session of `access`; none where messages pass as they are.
pub(super) fn filter(access: &SignedIn, quotas: &Quotas) -> Option<Filter> {
    let account = access.account();
    let device = access.device();
    let senders = device.and_then(|device| device.senders.clone());
    let quota = device.and_then(|device| {
        let per_hour = device.messages_per_hour?;
        Some(quotas.of(device.name.as_str(), per_hour))
    });
    let rewrite = match account.settings().sender {
        Sender::Keep if senders.is_none() && quota.is_none() => return None,
        Sender::Keep => Rewrite::Keep,
        Sender::Envelope => Rewrite::Envelope(address(account)),
        Sender::EnvelopeAndHeader => Rewrite::EnvelopeAndHeader(address(account)),
    };
    let surroundings = Outside { quota, mailbox: account.sender_address().clone() };
    Some(Filter::new(Rules { rewrite, senders }, Box::new(surroundings)))
}

#[expect(
    clippy::expect_used,
    reason = "no account is found whose `sender` cannot write its mailbox: see \
              `AccountSettings::fits_as_sender`"
)]
fn address(account: &Account) -> Address {
    Address::parse(account.sender_address().as_str()).expect("the directory gives no other")
}

/// What the filter has no way to know.
struct Outside {
    quota: Option<Quota>,
    mailbox: Username,
}

impl Surroundings for Outside {
    fn take_message(&mut self) -> bool {
        self.quota.as_ref().is_none_or(Quota::take)
    }

    fn give_back_message(&mut self) {
        if let Some(quota) = &self.quota {
            quota.give_back();
        }
    }

    fn stamp(&mut self) -> Stamp {
        stamp(self.mailbox.domain().unwrap_or_default())
    }
}
