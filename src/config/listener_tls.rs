//! `tls`, `certificate`, `private_key` and `require_tls` of a listener: how its clients come by TLS,
//! and what they may say without.

use crate::net::listen::{Door, ListenAddress};
use crate::provider::Protocol;
use crate::relay::ListenerTls;

use super::certificate::Pair;
use super::door::is_local;
use super::field::Field;
use super::file::Reported;
use super::listeners::At;
use super::table::Table;

/// What the keys say, before they are compared with the addresses.
pub(super) struct Keys<'t> {
    tls: Result<Option<At<'t, Mode>>, Reported>,
    pair: Pair<'t>,
    require_tls: Result<Option<At<'t, bool>>, Reported>,
}

/// A word of `tls`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    None,
    StartTls,
    Implicit,
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::StartTls => "starttls",
            Self::Implicit => "implicit",
        }
    }
}

/// How TLS begins, and what `require_tls` says.
pub(super) struct Settings {
    pub(super) tls: ListenerTls,
    pub(super) require_tls: Option<bool>,
}

impl<'t> Keys<'t> {
    /// Takes them out of `table`.
    pub(super) fn take(table: &mut Table<'t>) -> Self {
        let modes = [Mode::None, Mode::StartTls, Mode::Implicit].map(|mode| (mode.name(), mode));
        Self {
            tls: table.read("tls", |field| field.choice(&modes, &[]).map(|mode| (field, mode))),
            pair: Pair::take(table),
            require_tls: table.read("require_tls", |field| field.flag().map(|flag| (field, flag))),
        }
    }

    /// The settings of the `listener` with these `addresses`, as far as they and the `protocol` were
    /// right. Reports what contradicts itself.
    pub(super) fn settle(
        self,
        listener: &Field<'t>,
        protocol: Option<Protocol>,
        addresses: Option<&[At<'t, Door>]>,
    ) -> Result<Settings, Reported> {
        let Self { tls, pair, require_tls } = self;
        let (field, mode) = tls?.unwrap_or_else(|| (listener.clone(), Mode::None));
        let require_tls = require_tls?;
        if let (Some(protocol), Some(addresses)) = (protocol, addresses) {
            warn_of_ports(protocol, addresses, mode);
        }
        let files = |pair: Pair<'_>| {
            pair.read()?.ok_or_else(|| {
                let name = mode.name();
                let lacks = format!("is {name:?}, which needs `certificate` and `private_key`");
                field.problem(lacks, "name both; `mailbearer certificates --out certs` makes them")
            })
        };
        let tls = match mode {
            Mode::None => {
                let unused = pair.forbid(
                    "is for TLS, which this listener does not speak",
                    "write tls = \"starttls\" or tls = \"implicit\" beside it, or leave it out",
                );
                let clear = match &require_tls {
                    Some((field, true)) => Err(refuse_required(field)),
                    Some((_, false)) => Ok(()),
                    None => refuse_in_clear(addresses.unwrap_or_default()),
                };
                unused.and(clear)?;
                ListenerTls::None
            }
            Mode::StartTls => ListenerTls::StartTls(files(pair)?),
            Mode::Implicit => {
                if let Some((field, false)) = &require_tls {
                    field.warning(
                        "has no effect: with tls = \"implicit\" nothing is said in clear",
                        "leave it out",
                    );
                }
                ListenerTls::Implicit(files(pair)?)
            }
        };
        Ok(Settings { tls, require_tls: require_tls.map(|(_, is_required)| is_required) })
    }
}

fn refuse_required(field: &Field<'_>) -> Reported {
    field.problem(
        "is true, but this listener has no TLS, so nobody could sign in",
        "write tls = \"starttls\" or tls = \"implicit\", or leave it out",
    )
}

fn refuse_in_clear(addresses: &[At<'_, Door>]) -> Result<(), Reported> {
    let mut refused = Ok(());
    for (field, address) in addresses {
        // What systemd passes is looked at when it is there.
        if let Door::Tcp(ListenAddress::Socket(socket)) = address
            && !is_local(address)
        {
            refused = Err(field.problem(
                format!("is {socket}, where passwords would cross a network in clear"),
                "write tls = \"starttls\" or \"implicit\", with a certificate; or listen on \
                 localhost, or write `require_tls = false` to accept that",
            ));
        }
    }
    refused
}

/// Warns of every well-known port at which clients begin otherwise: they would wait for each other,
/// or speak past each other.
fn warn_of_ports(protocol: Protocol, addresses: &[At<'_, Door>], mode: Mode) {
    let (clear, implicit) = ports(protocol);
    for (field, address) in addresses {
        let Some(port) = address.tcp().map(ListenAddress::port) else { continue };
        if port == implicit && mode != Mode::Implicit {
            field.warning(
                format!(
                    "is port {port}, where clients begin with TLS, and tls is {:?}",
                    mode.name()
                ),
                "write tls = \"implicit\", or another port",
            );
        } else if port == clear && mode == Mode::Implicit {
            field.warning(
                format!("is port {port}, where clients begin in clear, and tls is \"implicit\""),
                format!("write tls = \"starttls\", or port {implicit}"),
            );
        }
    }
}

/// The ports at which clients begin in clear, and with TLS: RFC 6409 section 3.1, RFC 3501 section
/// 2.1 and RFC 1939 section 3; RFC 8314 section 7.
fn ports(protocol: Protocol) -> (u16, u16) {
    match protocol {
        Protocol::Submission => (587, 465),
        Protocol::Imap => (143, 993),
        Protocol::Pop3 => (110, 995),
    }
}
