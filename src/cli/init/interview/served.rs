//! What is served, where, and to whom.

use std::net::SocketAddr;

use ipnet::IpNet;
use rustix::process::geteuid;

use super::ports::{Hosts, Ports, usual_addresses};
use super::{Interview, Item, Stop, is_local};
use crate::cli::init::service::Service;
use crate::cli::init::terminal::Question;
use crate::config::template::{Offer, check_listen_address, is_privileged, networks};
use crate::provider::Protocol;

/// The listeners and devices of the file.
pub(super) struct Served {
    pub(super) listeners: Vec<(Protocol, Vec<String>)>,
    pub(super) devices: Vec<IpNet>,
}

/// What may be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Send,
    SendAndImap,
    SendAndPop3,
    Devices,
}

impl Wish {
    const ALL: [Self; 4] = [Self::SendAndImap, Self::SendAndPop3, Self::Send, Self::Devices];

    fn protocols(self) -> &'static [Protocol] {
        match self {
            Self::Send | Self::Devices => &[Protocol::Submission],
            Self::SendAndImap => &[Protocol::Submission, Protocol::Imap],
            Self::SendAndPop3 => &[Protocol::Submission, Protocol::Pop3],
        }
    }

    fn told(self) -> &'static str {
        match self {
            Self::Send => "programs on this machine, to send (SMTP)",
            Self::SendAndImap => "programs on this machine, to send and read (SMTP, IMAP)",
            Self::SendAndPop3 => "programs on this machine, to send and fetch (SMTP, POP3)",
            Self::Devices => "printers and scanners in the network, and programs here, to send",
        }
    }
}

impl Interview<'_> {
    /// What a provider with that `offer` is asked to serve.
    pub(super) fn served(&mut self, offer: &Offer) -> Result<Option<Served>, Stop> {
        let arguments = self.arguments;
        let mut listeners =
            arguments.listen.iter().map(|given| listener(given)).collect::<Result<Vec<_>, _>>()?;
        for (nth, (protocol, _)) in listeners.iter().enumerate() {
            if listeners.iter().take(nth).any(|(other, _)| other == protocol) {
                return Err(Stop::Wrong(format!("--listen: {protocol} is told twice")));
            }
        }
        let mut devices = Vec::new();
        for given in &arguments.devices {
            let given = networks(given);
            devices.extend(given.map_err(|problem| Stop::Wrong(format!("--devices: {problem}")))?);
        }
        let mut wants_devices = !devices.is_empty();
        if listeners.is_empty() {
            let wish = if wants_devices { Wish::Devices } else { self.wish(offer)? };
            wants_devices = wish == Wish::Devices;
            let wanted = wish.protocols().iter().filter(|it| offer.protocols.contains(*it));
            listeners = wanted.map(|protocol| (*protocol, None)).collect();
        }
        if wants_devices && devices.is_empty() {
            let item = Item {
                given: None,
                flag: "--devices NETWORK",
                question: Question {
                    ask: "Addresses of the printers and scanners:",
                    help: "single ones or networks, separated by blanks: 192.168.20.17 10.1.2.0/24",
                    proposal: None,
                },
            };
            let Some(told) = self.ask(&item, &networks)? else { return Ok(None) };
            devices = told;
        }
        if !devices.is_empty() && self.service.is_some_and(|it| !it.is_reached_by_devices()) {
            return Err(Stop::Wrong(NO_DEVICES_IN_CONTAINER.to_owned()));
        }
        if !devices.is_empty() && !listeners.iter().any(|(it, _)| *it == Protocol::Submission) {
            let problem = "--devices: they send, so --listen submission has to be told, too";
            return Err(Stop::Wrong(problem.to_owned()));
        }
        // A service is another user, and has no privilege.
        let is_privileged = geteuid().is_root() && self.service.is_none();
        let ports = if is_privileged { Ports::Expected } else { Ports::Unprivileged };
        let taken = self.taken();
        let listeners = listeners.into_iter().map(|(protocol, address)| {
            if let (Some(Service::Unit(_)), Some(address)) = (self.service, &address) {
                check_unprivileged(address)?;
            }
            let is_for_devices = !devices.is_empty() && protocol == Protocol::Submission;
            let addresses = match address {
                Some(address) if is_for_devices => {
                    check_reached(&address, &devices)?;
                    vec![address]
                }
                Some(address) if is_local(&address) => vec![address],
                Some(_) => return Err(Stop::Wrong(NOT_LOCAL.to_owned())),
                None if is_for_devices => {
                    usual_addresses(protocol, Hosts::of(&devices), ports, taken)
                }
                None => usual_addresses(protocol, Hosts::Localhost, ports, taken),
            };
            Ok((protocol, addresses))
        });
        Ok(Some(Served { listeners: listeners.collect::<Result<_, _>>()?, devices }))
    }

    fn wish(&self, offer: &Offer) -> Result<Wish, Stop> {
        let is_offered =
            |wish: &Wish| wish.protocols().iter().all(|it| offer.protocols.contains(it));
        let is_reached = |wish: &Wish| {
            *wish != Wish::Devices || self.service.is_none_or(Service::is_reached_by_devices)
        };
        let wishes = Wish::ALL.into_iter().filter(is_offered).filter(is_reached);
        let wishes: Vec<Wish> = wishes.collect();
        let chosen = match self.terminal {
            Some(terminal) => {
                let options: Vec<String> = wishes.iter().map(|it| it.told().to_owned()).collect();
                terminal.choose("Who uses it?", &options, 0)?
            }
            None => 0,
        };
        Ok(wishes.get(chosen).copied().unwrap_or(Wish::Send))
    }
}

const NOT_LOCAL: &str = "--listen: without TLS none but this machine is served, except by submission \
                         with --devices; docs/tls.md says how others are";

/// Looks whether a unit, which has no privilege, can listen at `address`.
fn check_unprivileged(address: &str) -> Result<(), Stop> {
    if is_privileged(address) {
        return Err(Stop::Wrong(PRIVILEGED.to_owned()));
    }
    Ok(())
}

const PRIVILEGED: &str = "--listen: the unit has no privilege for a port below 1024: choose another one, \
                          or see the sockets of systemd in docs/operation.md";

/// `PROTOCOL`, or `PROTOCOL=ADDRESS`.
fn listener(given: &str) -> Result<(Protocol, Option<String>), Stop> {
    let (name, address) = match given.split_once('=') {
        Some((name, address)) => (name, Some(address)),
        None => (given, None),
    };
    let protocol = Protocol::ALL.into_iter().find(|protocol| protocol.name() == name);
    let protocol =
        protocol.ok_or_else(|| Stop::Wrong("--listen: say submission, imap or pop3".to_owned()))?;
    if let Some(address) = address {
        check_listen_address(address)
            .map_err(|problem| Stop::Wrong(format!("--listen: {problem}")))?;
    }
    Ok((protocol, address.map(str::to_owned)))
}

const NO_DEVICES_IN_CONTAINER: &str = "--devices: none reaches a container that shares the network of one application: write no \
     compose file, or see docs/printers.md";

/// Looks whether `devices` can reach the listener at `address`.
fn check_reached(address: &str, devices: &[IpNet]) -> Result<(), Stop> {
    let wrong = |problem: &str| {
        Err(Stop::Wrong(format!(
            "--listen: {problem}: tell an address of this machine in their network, or none for all"
        )))
    };
    if is_local(address) && !devices.iter().any(|it| it.addr().is_loopback()) {
        return wrong("none but this machine reaches that address, and the devices are elsewhere");
    }
    let address = address.parse::<SocketAddr>();
    match address.map(|address| devices.iter().find(|it| it.addr().is_ipv4() != address.is_ipv4()))
    {
        Ok(Some(device)) => {
            let (own, other) =
                if device.addr().is_ipv4() { ("IPv4", "IPv6") } else { ("IPv6", "IPv4") };
            wrong(&format!("{device} is {own} and never reaches an address of {other}"))
        }
        Ok(None) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unit_is_refused_the_ports_that_need_a_privilege() {
        for (port, is_right) in [(0, true), (1, false), (587, false), (1023, false), (1024, true)] {
            let address = format!("localhost:{port}");
            assert_eq!(check_unprivileged(&address).is_ok(), is_right, "{address}");
        }
    }

    #[test]
    fn address_that_a_device_never_reaches_is_refused() {
        let check = |address: &str, device: &str| {
            check_reached(address, &[device.parse().unwrap()]).is_ok()
        };
        for (address, device) in [
            ("0.0.0.0:587", "10.1.0.0/24"),
            ("[::]:587", "2001:db8::/64"),
            ("localhost:587", "127.0.0.1/32"),
            ("[::1]:587", "::1/128"),
        ] {
            assert!(check(address, device), "{address} {device}");
        }
        for (address, device) in [
            ("127.0.0.1:587", "10.1.0.0/24"),
            ("localhost:587", "10.1.0.0/24"),
            ("0.0.0.0:587", "2001:db8::/64"),
            ("[::]:587", "10.1.0.0/24"),
        ] {
            assert!(!check(address, device), "{address} {device}");
        }
    }
}
