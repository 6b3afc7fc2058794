//! Where a mail client finds the relay: what to enter as its servers.

use crate::names::Username;
use crate::net::listen::{Door, ListenAddress};
use crate::relay::{ListenerSettings, ListenerTls};

/// Who is to find us.
#[derive(Debug, Clone, Copy)]
pub(super) enum Served<'a> {
    /// The mail client of that account.
    Account(&'a str),
    /// A device that sends as that account.
    Device(&'a str),
}

/// Where who is `served` finds us, a line for each address.
pub(super) fn lines(
    listeners: &[ListenerSettings],
    served: Served<'_>,
    protocols: &[String],
) -> Vec<String> {
    let (Served::Account(name) | Served::Device(name)) = served;
    let Ok(name) = Username::parse(name) else { return Vec::new() };
    let mut lines = Vec::new();
    for listener in listeners {
        let allowed = listener.accounts.as_deref();
        let is_account = matches!(served, Served::Account(_));
        let is_allowed =
            (is_account || listener.devices) && allowed.is_none_or(|some| some.covers(&name));
        let protocol = listener.protocol.name();
        // The words that mail programs have for it.
        let encryption = match listener.tls {
            ListenerTls::None => "no encryption",
            ListenerTls::StartTls(_) => "STARTTLS",
            ListenerTls::Implicit(_) => "SSL/TLS",
        };
        if is_allowed && protocols.iter().any(|good_for| good_for == protocol) {
            let doors = listener.addresses.iter().map(shown);
            lines.extend(doors.map(|door| format!("{protocol:<10}  {door}, {encryption}")));
        }
    }
    lines
}

/// What to enter for `door`.
fn shown(door: &Door) -> String {
    match door {
        Door::Tcp(ListenAddress::Localhost(port)) => format!("localhost, port {port}"),
        Door::Tcp(ListenAddress::Socket(socket)) if socket.ip().is_unspecified() => {
            format!("this machine's name, port {}", socket.port())
        }
        Door::Tcp(ListenAddress::Socket(socket)) => {
            format!("{}, port {}", socket.ip(), socket.port())
        }
        Door::Unix(path) => format!("unix socket {}", path.display()),
        Door::Systemd(name) => format!("where systemd's socket {name} listens"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::names::AccountPattern;
    use crate::net::tls::server::CertificateFiles;
    use crate::provider::Protocol;

    fn listener(protocol: Protocol, address: ListenAddress, accounts: &[&str]) -> ListenerSettings {
        let accounts: Vec<_> =
            accounts.iter().map(|pattern| AccountPattern::parse(pattern).unwrap()).collect();
        ListenerSettings {
            name: "one".to_owned(),
            protocol,
            addresses: vec![Door::Tcp(address)],
            allow: Vec::new(),
            proxy_protocol_from: Vec::new(),
            accounts: (!accounts.is_empty()).then(|| Arc::new(accounts.iter().collect())),
            upstream: None,
            tls: ListenerTls::None,
            require_tls: None,
            devices: false,
        }
    }

    const ALICE: Served<'static> = Served::Account("alice@contoso.com");

    #[test]
    fn device_finds_the_listeners_that_serve_devices() {
        let submission = Protocol::Submission;
        let mut listeners = [1, 2, 3].map(|at| {
            let accounts: &[&str] = if at == 3 { &["bob@contoso.com"] } else { &[] };
            listener(submission, ListenAddress::Localhost(at), accounts)
        });
        listeners[1].devices = true;
        listeners[2].devices = true;
        let lines =
            lines(&listeners, Served::Device("alice@contoso.com"), &["submission".to_owned()]);
        assert_eq!(lines, ["submission  localhost, port 2, no encryption"]);
    }

    #[test]
    fn servers_are_those_where_the_password_works() {
        let submission = Protocol::Submission;
        let everywhere = ListenAddress::Socket("[::]:2587".parse().unwrap());
        let listeners = [
            listener(submission, ListenAddress::Localhost(1587), &[]),
            listener(submission, everywhere, &["*@contoso.com"]),
            listener(submission, ListenAddress::Localhost(3587), &["bob@contoso.com"]),
            listener(Protocol::Imap, ListenAddress::Localhost(1143), &[]),
        ];
        assert_eq!(
            lines(&listeners, ALICE, &["submission".to_owned()]),
            [
                "submission  localhost, port 1587, no encryption",
                "submission  this machine's name, port 2587, no encryption",
            ]
        );
    }

    #[test]
    fn servers_tell_how_a_mail_client_calls_their_tls() {
        let files = || CertificateFiles { certificate: "a".into(), private_key: "b".into() };
        let tls = [ListenerTls::StartTls(files()), ListenerTls::Implicit(files())];
        let listeners = tls.map(|tls| ListenerSettings {
            tls,
            ..listener(Protocol::Pop3, ListenAddress::Localhost(1995), &[])
        });
        assert_eq!(
            lines(&listeners, ALICE, &["pop3".to_owned()]),
            [
                "pop3        localhost, port 1995, STARTTLS",
                "pop3        localhost, port 1995, SSL/TLS",
            ]
        );
    }
}
