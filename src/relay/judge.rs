//! Who a client is, as far as this relay can tell: by its local password, or by its network.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tracing::warn;

use super::ListenerSettings;
use super::attempt::Attempt;
use super::caller::Caller;
use super::listener::Listener;
use super::protocol::MailProtocol;
use super::reason::Reason;
use crate::account::device::DeviceSettings;
use crate::account::password::{AccessEnd, Admitted, LocalRefusal, Origin, SignedIn};
use crate::net::own_addresses::{Own, OwnAddressesError};
use crate::proto::{Claim, LocalCredentials};
use crate::refusal::{Refusal, Unavailable};

/// What to look at when a client is refused for its name or its password. Which of the two it was,
/// nobody is told.
const WRONG_PASSWORD_FIX: &str = "compare what the client shows with the account's whole name, or the \
                                  device's `username`, in the file and with what `mailbearer \
                                  password` printed, which may be good for one protocol alone; see \
                                  `accounts` and `devices` of the listener, too";

/// When every refused local sign-in is answered, counted from its arrival: neither guessing fast
/// nor measuring the time teaches anything.
const REFUSAL_DELAY: Duration = Duration::from_secs(1);

/// Whom a client is by the name and the password that it has shown.
///
/// # Errors
/// What it hears if that is nobody; after a second, where it is for what it has shown.
pub(super) async fn password<P: MailProtocol>(
    listener: &Listener,
    client: Caller,
    shown: &LocalCredentials,
    received: Instant,
    attempt: &mut Attempt<'_>,
) -> Result<SignedIn, Refusal> {
    let directory = listener.service().directory();
    let origin = origin::<P>(listener, client);
    let judged = listener.relay().passwords().sign_in(directory, origin, shown).await;
    let refusal = match judged {
        Ok(access) => return Ok(access),
        Err(LocalRefusal::Wrong) => Refusal::WrongPassword,
        Err(LocalRefusal::Busy) => Refusal::Unavailable(Unavailable::Overloaded),
        Err(LocalRefusal::Unreadable) => Refusal::Unavailable(Unavailable::LocalPassword),
    };
    let fix = (refusal == Refusal::WrongPassword).then_some(WRONG_PASSWORD_FIX);
    warn!(account = shown.username.as_str(), refusal = refusal.kind(), fix, "refused");
    attempt.refuse(&refusal);
    if refusal == Refusal::WrongPassword {
        sleep_until(received + REFUSAL_DELAY).await;
    }
    Err(refusal)
}

/// Waits until a client that was let in may no longer use its account; gives why.
pub(super) async fn until_shut_out(listener: &Listener, access: &SignedIn) -> AccessEnd {
    let mut service = listener.relay().service();
    loop {
        // First as things are: it may have been greeted before a reload, or judged before one.
        if let Some(end) = listener.access_end(access, &service.borrow_and_update()) {
            return end;
        }
        tokio::select! {
            biased;
            () = access.revoked() => return AccessEnd::Revoked,
            // Its sender lives as long as the relay, so this is no error.
            _ = service.changed() => {}
        }
    }
}

/// What a client hears that was shut out while it waited: what it would hear now, and when.
pub(super) async fn shut_out(
    end: AccessEnd,
    access: &SignedIn,
    claim: &Claim,
    received: Instant,
    attempt: &mut Attempt<'_>,
) -> Refusal {
    let refusal = match claim {
        Claim::Password(_) => Refusal::WrongPassword,
        Claim::Device => Refusal::NoDevice,
    };
    let (account, reason) = (access.account().name().as_str(), Reason::from(end).name());
    warn!(account, refusal = refusal.kind(), reason, "refused");
    attempt.refuse(&refusal);
    if refusal == Refusal::WrongPassword {
        sleep_until(received + REFUSAL_DELAY).await;
    }
    refusal
}

/// Which device a client is by its address.
///
/// The default gateway and this machine are none, even within a listed network, unless they are
/// listed alone: where addresses are translated, everybody comes from there.
///
/// # Errors
/// [`Refusal::NoDevice`] if it is none, or `listener` serves none. The log names the line of the file
/// that would make it one.
pub(super) fn device<P: MailProtocol>(
    listener: &Listener,
    client: Caller,
    attempt: &mut Attempt<'_>,
) -> Result<SignedIn, Refusal> {
    let (refusal, hint) = match client {
        Caller::Address(address) => match device_at::<P>(listener, address) {
            Ok(access) => return Ok(access),
            Err(refused) => refused,
        },
        Caller::Announced(address) => (Refusal::NoDevice, announced(listener, address)),
        Caller::UnixSocket => (Refusal::NoDevice, at_unix_socket(listener)),
    };
    warn!(refusal = refusal.kind(), hint, "refused");
    attempt.refuse(&refusal);
    Err(refusal)
}

/// Which device a client at `client` is; the error is what it hears, and what to do about it.
fn device_at<P: MailProtocol>(
    listener: &Listener,
    client: IpAddr,
) -> Result<SignedIn, (Refusal, String)> {
    let directory = listener.service().directory();
    let origin = origin::<P>(listener, client.into());
    let known = listener.relay().passwords().known_device(directory, origin, client);
    let access = known.ok_or_else(|| (Refusal::NoDevice, who_may(listener, client)))?;
    match hides_others(listener, client, access.device()) {
        Ok(None) => Ok(access),
        Ok(Some(hint)) => Err((Refusal::NoDevice, hint)),
        Err(error) => Err((Refusal::Unavailable(Unavailable::Addresses), error.to_string())),
    }
}

/// What to do about a client that a load balancer announces, by whose word nobody is a device.
fn announced(listener: &Listener, address: IpAddr) -> String {
    format!(
        "{}{address} is what a load balancer announces, by which no device is known: let it sign \
         in, by the `username` of a [devices.NAME] for one, or connect directly",
        unless_served(listener)
    )
}

/// What to do about a client at a unix socket, which has no address.
fn at_unix_socket(listener: &Listener) -> String {
    format!(
        "{}a client at a unix socket has no address, by which devices are known: let it sign in, \
         or connect to a port of [listeners.{}]",
        unless_served(listener),
        listener.settings().name
    )
}

/// How a hint begins at a listener that serves no devices.
fn unless_served(listener: &Listener) -> &'static str {
    let serves = listener.settings().devices;
    if serves { "" } else { "this listener serves no devices, and " }
}

/// What to do about `client`, which is no device of `listener`: the line that would make it one.
fn who_may(listener: &Listener, client: IpAddr) -> String {
    let ListenerSettings { name, devices, .. } = listener.settings();
    match (devices, listener.service().directory().device_at(client)) {
        (true, Some(device)) => format!(
            "this is [devices.{}], and its account is not among the `accounts` of the listener",
            device.name
        ),
        (true, None) => format!(
            "add \"{client}\" to the `networks` of a [devices.NAME] that may send without signing in, \
             or let it sign in"
        ),
        (false, Some(device)) => format!(
            "this listener serves no devices: add `devices = true` to [listeners.{name}] for \
             [devices.{}], or let it sign in",
            device.name
        ),
        (false, None) => format!(
            "this listener serves no devices: let the client sign in, or add `devices = true` to \
             [listeners.{name}] and \"{client}\" to the `networks` of a [devices.NAME]"
        ),
    }
}

/// What to do if `client`, which is in a network of `device`, is an address from which others come as
/// well.
fn hides_others(
    listener: &Listener,
    client: IpAddr,
    device: Option<&Arc<DeviceSettings>>,
) -> Result<Option<String>, OwnAddressesError> {
    let Some(device) = device.filter(|device| !device.lists_alone(client)) else { return Ok(None) };
    let whose = match listener.relay().own_addresses().what_is(client)? {
        None => return Ok(None),
        Some(Own::ThisMachine) => "this machine's own address",
        Some(Own::Gateway) => "the default gateway",
    };
    Ok(Some(format!(
        "{client} is {whose}, from which everybody comes whose address is translated: let devices \
         sign in, or add \"{client}\" to the `networks` of [devices.{}] if all of them may send",
        device.name
    )))
}

fn origin<P: MailProtocol>(listener: &Listener, client: Caller) -> Origin<'_> {
    let Admitted { accounts, devices } = listener.admitted();
    Origin { accounts, devices, protocol: P::PROTOCOL, peer: client.peer() }
}
