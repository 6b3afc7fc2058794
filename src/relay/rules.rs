//! What the filter of a session is to do: an account's `sender`, a device's `senders` and
//! `messages_per_hour`.

use super::quota::{Quota, Quotas};
use super::stamp::stamp;
use crate::account::Sender;
use crate::account::password::SignedIn;
use crate::names::Username;
use crate::proto::smtp::{Filter, Mailbox, Rewrite, Rules, Stamp, Surroundings};

/// The filter of a session of `access`; none where messages pass as they are.
pub(super) fn filter(access: &SignedIn, quotas: &Quotas) -> Option<Filter> {
    let account = access.account();
    let device = access.device();
    let senders = device.and_then(|device| device.senders.clone());
    let quota = device.and_then(|device| {
        let per_hour = device.messages_per_hour?;
        Some(quotas.of(device.name.as_str(), per_hour))
    });
    let sender = account.settings().sender;
    if sender == Sender::Keep && senders.is_none() && quota.is_none() {
        return None;
    }
    let address = account.sender_address();
    // The configuration and the directory let no other than an address come here.
    let mailbox = Mailbox::parse(address)?;
    let rewrite = match sender {
        Sender::Keep => Rewrite::Keep,
        Sender::Envelope => Rewrite::Envelope(mailbox),
        Sender::EnvelopeAndHeader => Rewrite::EnvelopeAndHeader(mailbox),
    };
    let surroundings = Outside { quota, address: address.clone() };
    Some(Filter::new(Rules { rewrite, senders }, Box::new(surroundings)))
}

/// What the filter has no way to know.
struct Outside {
    quota: Option<Quota>,
    address: Username,
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
        stamp(&self.address)
    }
}
