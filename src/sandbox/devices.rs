//! Device codes (RFC 8628): given to a client, allowed by a person who enters the user code, and
//! asked for by polls.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::conduct::{Allowed, Asked};

/// How long a code is good.
pub(super) const DEVICE_LIFE: Duration = Duration::from_secs(15 * 60);

/// By how much `slow_down` lengthens the interval (RFC 8628 section 3.5).
const SLOWER: Duration = Duration::from_secs(5);

/// How many codes are kept; then the oldest is forgotten.
const DEVICES_MAX: usize = 1024;

/// The codes that were given.
#[derive(Default)]
pub(super) struct Devices(Mutex<VecDeque<Device>>);

struct Device {
    device_code: String,
    user_code: String,
    asked: Asked,
    interval: Duration,
    polled_at: Option<Instant>,
    ends_at: Instant,
    answer: Answer,
}

enum Answer {
    Pending,
    Denied,
    Allowed(Allowed),
    /// The tokens were given.
    Spent,
}

impl Devices {
    /// Keeps a code that may be asked for every `interval`.
    pub(super) fn add(
        &self,
        device_code: String,
        user_code: String,
        asked: Asked,
        interval: Duration,
    ) {
        let ends_at = Instant::now() + DEVICE_LIFE;
        let (polled_at, answer) = (None, Answer::Pending);
        self.with(|devices| {
            if devices.len() == DEVICES_MAX {
                devices.pop_front();
            }
            let device =
                Device { device_code, user_code, asked, interval, polled_at, ends_at, answer };
            devices.push_back(device);
        });
    }

    /// What is asked for by `user_code`, which still waits for an answer.
    pub(super) fn asked(&self, user_code: &str) -> Option<Asked> {
        self.with(|devices| waiting(devices, user_code).map(|device| device.asked.clone()))
    }

    /// A person answers to `user_code`; `None` is a no. Gives whether it waited for that.
    pub(super) fn answer(&self, user_code: &str, allowed: Option<Allowed>) -> bool {
        self.with(|devices| {
            let Some(device) = waiting(devices, user_code) else { return false };
            device.answer = allowed.map_or(Answer::Denied, Answer::Allowed);
            true
        })
    }

    /// Every code comes to its end.
    pub(super) fn end(&self) {
        let now = Instant::now();
        self.with(|devices| devices.iter_mut().for_each(|device| device.ends_at = now));
    }

    /// Judges a poll: what was allowed, once, or the error of RFC 8628 section 3.5.
    pub(super) fn poll(&self, device_code: &str) -> Result<Allowed, &'static str> {
        let now = Instant::now();
        self.with(|devices| {
            let device = devices.iter_mut().find(|it| it.device_code == device_code);
            let device = device.ok_or("invalid_grant")?;
            if device.ends_at <= now {
                return Err("expired_token");
            }
            let polled_at = device.polled_at.replace(now);
            if polled_at.is_some_and(|polled_at| now < polled_at + device.interval) {
                device.interval += SLOWER;
                return Err("slow_down");
            }
            match std::mem::replace(&mut device.answer, Answer::Spent) {
                Answer::Allowed(allowed) => Ok(allowed),
                Answer::Spent => Err("invalid_grant"),
                Answer::Denied => {
                    device.answer = Answer::Denied;
                    Err("access_denied")
                }
                Answer::Pending => {
                    device.answer = Answer::Pending;
                    Err("authorization_pending")
                }
            }
        })
    }

    fn with<T>(&self, change: impl FnOnce(&mut VecDeque<Device>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The code that still waits for its person, whatever case it is entered in.
fn waiting<'d>(devices: &'d mut VecDeque<Device>, user_code: &str) -> Option<&'d mut Device> {
    let now = Instant::now();
    devices.iter_mut().find(|device| {
        device.user_code.eq_ignore_ascii_case(user_code)
            && device.ends_at > now
            && matches!(device.answer, Answer::Pending)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Username;
    use crate::provider::Protocol;
    use crate::sandbox::Conduct;

    #[tokio::test(start_paused = true)]
    async fn a_device_that_polls_too_early_has_to_wait_five_seconds_longer_each_time() {
        let devices = Devices::default();
        let asked = Asked { protocols: vec![Protocol::Imap], is_openid: false };
        let five = Duration::from_secs(5);
        devices.add("device".into(), "user".into(), asked.clone(), five);
        let poll = || devices.poll("device").err();
        assert_eq!(poll(), Some("authorization_pending"));
        tokio::time::advance(five - Duration::from_millis(1)).await;
        assert_eq!(poll(), Some("slow_down"));
        tokio::time::advance(five).await;
        assert_eq!(poll(), Some("slow_down"), "ten seconds are due");
        tokio::time::advance(3 * five).await;
        assert_eq!(poll(), Some("authorization_pending"));
        let alice = Username::parse("alice@example.com").unwrap();
        assert!(devices.answer("USER", Some(asked.allowed(alice, &Conduct::default()))));
        tokio::time::advance(3 * five).await;
        assert_eq!(poll(), None);
        tokio::time::advance(3 * five).await;
        assert_eq!(poll(), Some("invalid_grant"), "it is good once");
    }

    #[tokio::test(start_paused = true)]
    async fn a_device_code_ends_with_its_time() {
        let devices = Devices::default();
        let asked = Asked { protocols: vec![Protocol::Imap], is_openid: false };
        devices.add("device".into(), "user".into(), asked, Duration::from_secs(1));
        tokio::time::advance(DEVICE_LIFE).await;
        assert_eq!(devices.poll("device").err(), Some("expired_token"));
        assert!(!devices.answer("user", None), "nobody can answer any more");
    }
}
