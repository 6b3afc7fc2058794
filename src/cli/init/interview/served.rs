//! What is served, where, and to whom.

use std::net::TcpListener;

use ipnet::IpNet;
use rustix::process::geteuid;

use super::{Interview, Item, Stop};
use crate::cli::init::terminal::Question;
use crate::config::template::{Offer, check_listen_address, networks};
use crate::provider::Protocol;

/// The listeners and devices of the file.
pub(super) struct Served {
    pub(super) listeners: Vec<(Protocol, String)>,
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
        // A service is another user, and has no privilege.
        let is_privileged = geteuid().is_root() && self.service.is_none();
        let ports = if is_privileged { Ports::Expected } else { Ports::Unprivileged };
        let listeners = listeners.into_iter().map(|(protocol, address)| {
            let is_for_devices = !devices.is_empty() && protocol == Protocol::Submission;
            let host = if is_for_devices { "0.0.0.0" } else { "localhost" };
            let address = match address {
                Some(address) if is_for_devices || is_local(&address) => address,
                Some(_) => return Err(Stop::Wrong(NOT_LOCAL.to_owned())),
                None => usual_address(protocol, host, ports),
            };
            Ok((protocol, address))
        });
        Ok(Some(Served { listeners: listeners.collect::<Result<_, _>>()?, devices }))
    }

    fn wish(&self, offer: &Offer) -> Result<Wish, Stop> {
        let is_offered =
            |wish: &Wish| wish.protocols().iter().all(|it| offer.protocols.contains(it));
        let wishes: Vec<Wish> = Wish::ALL.into_iter().filter(is_offered).collect();
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

fn is_local(address: &str) -> bool {
    address.starts_with("localhost:")
        || address.parse::<std::net::SocketAddr>().is_ok_and(|it| it.ip().is_loopback())
}

/// Which ports are proposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ports {
    /// Those that programs expect, as far as they are free.
    Expected,
    /// Those that need no privilege.
    Unprivileged,
}

fn usual_address(protocol: Protocol, host: &str, ports: Ports) -> String {
    let (expected, unprivileged) = match protocol {
        Protocol::Submission => (587, 1587),
        Protocol::Imap => (143, 1143),
        Protocol::Pop3 => (110, 1110),
    };
    // Whatever has it, a mail server mostly, is there to stay.
    let is_free = ports == Ports::Expected && TcpListener::bind((host, expected)).is_ok();
    format!("{host}:{}", if is_free { expected } else { unprivileged })
}
