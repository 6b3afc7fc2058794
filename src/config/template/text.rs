//! The text of a new file. Every line says why it is there; what may be wanted later stands as a
//! comment.

use std::fmt::Write as _;

use toml::Value;

use crate::provider::{GrantKind, MailHost, PerProtocol, Protocol, UpstreamTls};

use super::{Choice, Draft, Offer, OwnProvider, Place, title};

/// The text of `draft`.
pub(super) fn write(draft: &Draft) -> String {
    let mut text = String::new();
    let out = &mut text;
    head(out, draft);
    for (protocol, addresses) in &draft.listeners {
        listener(out, draft, *protocol, addresses);
    }
    listeners_left_out(out, draft);
    if let Choice::Own(own) = &draft.provider {
        own_provider(out, own);
    }
    account(out, draft);
    devices(out, draft);
    rest(out, draft);
    text
}

/// `text` as TOML has it, on one line.
fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

/// Adds lines.
fn add(out: &mut String, lines: impl AsRef<str>) {
    out.push_str(lines.as_ref());
    out.push('\n');
}

fn head(out: &mut String, draft: &Draft) {
    add(
        out,
        format!(
            "# mailbearer: {} at {}.\n\
             #\n\
             # Written by `mailbearer init`; from now on it is yours: nothing writes to it again.\n\
             # After a change: `mailbearer check`, then `mailbearer reload`. Lines that begin with # are\n\
             # not read; where such a line is a key, it is one that may be wanted later. All keys that\n\
             # there are stand in docs/configuration.md of mailbearer's source.",
            draft.address,
            title(draft.provider.name()),
        ),
    );
}

fn listener(out: &mut String, draft: &Draft, protocol: Protocol, addresses: &[String]) {
    let serves_devices = protocol == Protocol::Submission && !draft.devices.is_empty();
    let purpose = match protocol {
        Protocol::Submission => "Where programs send: SMTP with a sign-in.",
        Protocol::Imap => "Where programs read mail by IMAP.",
        Protocol::Pop3 => "Where programs fetch mail by POP3.",
    };
    add(out, format!("\n# {purpose}\n[listeners.{protocol}]"));
    add(out, format!("protocol = \"{protocol}\""));
    if serves_devices {
        add(out, "# Reached from the network.");
    } else {
        add(out, "# Reached from this machine alone, so nothing has to be encrypted.");
    }
    if addresses.iter().any(|address| is_privileged(address)) {
        add(out, "# Below port 1024 serve needs a privilege: CAP_NET_BIND_SERVICE.");
    }
    let quoted_addresses: Vec<String> = addresses.iter().map(|address| quoted(address)).collect();
    match &quoted_addresses[..] {
        [address] => add(out, format!("address = {address}")),
        several => add(out, format!("address = [{}]", several.join(", "))),
    }
    if serves_devices {
        add(
            out,
            "# Printers and scanners are served: those of [devices] below. They and this machine may\n\
             # connect, nobody else.\n\
             devices = true\n\
             # Devices mostly speak without TLS: this says that you accept that in your network. See\n\
             # docs/tls.md for a listener with TLS.\n\
             require_tls = false",
        );
    }
    add(
        out,
        format!(
            "# Who may sign in here. Left out: all accounts of this file.\n# accounts = [{}]",
            quoted(draft.address.as_str())
        ),
    );
}

/// Whether the port of `address` is one that needs a privilege.
pub fn is_privileged(address: &str) -> bool {
    let port = address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    port.is_some_and(|port| (1..1024).contains(&port))
}

/// The listeners that the provider would have, too.
fn listeners_left_out(out: &mut String, draft: &Draft) {
    let offered = Offer::of(&draft.provider).protocols;
    let is_there = |protocol| draft.listeners.iter().any(|(there, _)| *there == protocol);
    for protocol in offered.into_iter().filter(|protocol| !is_there(*protocol)) {
        let port = usual_port(protocol);
        add(out, "");
        if protocol == Protocol::Pop3 && draft.grant.is_kept() {
            add(out, "# A person who has consented already has to consent again for it.");
        }
        add(
            out,
            format!(
                "# [listeners.{protocol}]\n# protocol = \"{protocol}\"\n\
                 # address = \"localhost:{port}\""
            ),
        );
    }
}

/// The port that needs no privilege.
fn usual_port(protocol: Protocol) -> u16 {
    match protocol {
        Protocol::Submission => 1587,
        Protocol::Imap => 1143,
        Protocol::Pop3 => 1110,
    }
}

fn own_provider(out: &mut String, own: &OwnProvider) {
    let scopes: Vec<String> = own.scopes.iter().map(|scope| quoted(scope)).collect();
    let issuer = quoted(&own.issuer);
    add(
        out,
        format!(
            "\n# The provider: who gives tokens, and where the mail servers are.\n[providers.own]\n\
             # Tells the endpoints by its metadata (RFC 8414, OpenID Connect Discovery).\n\
             issuer = {issuer}\n\
             # What tokens are asked for.\n\
             scopes = [{}]",
            scopes.join(", ")
        ),
    );
    if own.scopes.iter().any(|scope| scope == "offline_access") {
        add(
            out,
            "# `offline_access` lasts only if the person is asked (OpenID Connect Core section 11).\n\
             authorization_params = { prompt = \"consent\" }",
        );
    }
    add(out, "# Its mail servers. Where STARTTLS is written, nothing is said without it.");
    let PerProtocol { submission, imap, pop3 } = &own.hosts;
    for (name, host) in [("submission", submission), ("imap", imap), ("pop3", pop3)] {
        if let Some(host) = host {
            add(out, format!("{name} = {}", server(host)));
        }
    }
    match &own.ca_file {
        Some(path) => add(
            out,
            format!(
                "# Certificates that it is trusted by, besides those of this machine.\nca_file = {}",
                quoted(&path.to_string_lossy())
            ),
        ),
        None => add(
            out,
            "# Certificates that it is trusted by, besides those of this machine.\n\
             # ca_file = \"ca.pem\"",
        ),
    }
    add(out, "# How it takes tokens: \"xoauth2\" or \"oauthbearer\".\n# mechanism = \"xoauth2\"");
}

fn server(host: &MailHost) -> String {
    let tls = match host.tls {
        UpstreamTls::Implicit => "implicit",
        UpstreamTls::StartTls => "starttls",
    };
    format!("{{ host = {}, port = {}, tls = \"{tls}\" }}", quoted(&host.host), host.port)
}

fn account(out: &mut String, draft: &Draft) {
    let name = quoted(draft.address.as_str());
    add(
        out,
        format!(
            "\n# The mailbox. Its name is what programs sign in by.\n[accounts.{name}]\n\
             provider = \"{}\"",
            draft.provider.name()
        ),
    );
    if let Some(tenant) = &draft.tenant {
        add(
            out,
            format!(
                "# The organisation in Entra: its directory (tenant) ID, or one of its domains.\n\
                 tenant = {}",
                quoted(tenant)
            ),
        );
    }
    grant(out, draft);
    add(
        out,
        "# What programs show is a password that `mailbearer password` makes, or a hash of one that\n\
         # you choose, as `mailbearer password --hash` prints it.\n\
         # local_password = \"$argon2id$...\"\n\
         # The mailbox, where the provider knows it by another name.\n\
         # mailbox = \"shared@example.com\"",
    );
    if draft.devices.is_empty() {
        add(
            out,
            "# Programs that invent their sender: \"envelope-and-header\" writes the mailbox in its place.\n\
             # sender = \"keep\"",
        );
    } else {
        add(
            out,
            "# Devices invent their sender, which providers refuse: the mailbox is written in its place,\n\
             # and the old From goes to Reply-To.\n\
             sender = \"envelope-and-header\"",
        );
    }
}

fn grant(out: &mut String, draft: &Draft) {
    let why = match draft.grant {
        GrantKind::AuthorizationCode => {
            "A person consents once in a browser: `mailbearer authorize`."
        }
        GrantKind::DeviceCode => {
            "A person consents once by a code on another device: `mailbearer authorize`."
        }
        GrantKind::ClientCredentials => {
            "An application's own permission, which an administrator gives once. Nobody signs in."
        }
        GrantKind::ServiceAccount => {
            "A service account with domain-wide delegation, which an administrator gives once."
        }
        GrantKind::Password
        | GrantKind::WorkloadIdentity
        | GrantKind::ManagedIdentity
        | GrantKind::Command => "How tokens are obtained.",
    };
    add(out, format!("# {why}\ngrant = \"{}\"", draft.grant));
    if let Some(client_id) = &draft.client_id {
        add(
            out,
            format!(
                "# The application (client) ID of the registration at the provider.\nclient_id = {}",
                quoted(client_id)
            ),
        );
    }
    match &draft.secret {
        Some(place) => {
            add(out, format!("# {}", where_it_is(place)));
            add(out, format!("client_secret = {}", table(place)));
            add(
                out,
                "# When it ends, as the registration shows it: mailbearer warns 30 days before.\n\
                 # client_secret_expires = \"2027-11-01\"",
            );
        }
        None if draft.client_id.is_some() => add(
            out,
            "# The registration's client secret, if it has one.\n\
             # client_secret = { file = \"client-secret\" }",
        ),
        None => {}
    }
    if let Some(key_file) = &draft.key_file {
        add(
            out,
            format!(
                "# The JSON file that Google made, read anew at each request. It is for the owner alone.\n\
                 key_file = {}",
                quoted(&key_file.to_string_lossy())
            ),
        );
    }
}

fn where_it_is(place: &Place) -> &'static str {
    match place {
        Place::Variable(_) => "The client secret's value, from the environment, read at the start.",
        Place::File(_) => {
            "The client secret's value, in a file for the owner alone, read at each use."
        }
    }
}

fn table(place: &Place) -> String {
    match place {
        Place::Variable(name) => format!("{{ env = {} }}", quoted(name)),
        Place::File(path) => format!("{{ file = {} }}", quoted(&path.to_string_lossy())),
    }
}

fn devices(out: &mut String, draft: &Draft) {
    if draft.devices.is_empty() {
        return;
    }
    let networks: Vec<String> = draft
        .devices
        .iter()
        .map(|network| {
            let is_single = network.prefix_len() == network.max_prefix_len();
            let shown = if is_single { network.addr().to_string() } else { network.to_string() };
            quoted(&shown)
        })
        .collect();
    let _ = writeln!(
        out,
        "\n# Printers and scanners: they send by the mailbox, without signing in. The name is yours to\n\
         # choose, and stands in the log.\n\
         [devices.printers]\n\
         account = {}\n\
         # Where they are: whoever is in there may send as the mailbox, so keep it narrow.\n\
         networks = [{}]\n\
         # For one that signs in: a short user name, and `mailbearer password printers`.\n\
         # username = \"printers\"\n\
         # Messages that they may send in an hour, then they hear to try again.\n\
         # messages_per_hour = 200",
        quoted(draft.address.as_str()),
        networks.join(", "),
    );
}

fn rest(out: &mut String, draft: &Draft) {
    let store = match &draft.store {
        Some(path) => format!("[store]\npath = {}", quoted(path)),
        None => "# [store]\n# path = \"/var/lib/mailbearer/mailbearer.redb\"".to_owned(),
    };
    add(
        out,
        format!(
            "\n# The page that shows the accounts with their last error, for browsers of this machine;\n\
             # \"off\" for none.\n[web]\naddress = {}\n\
             \n# What is kept, sealed: consents and local passwords. docs/operation.md says where, and how\n\
             # to back it up.\n\
             {store}\n\
             \n# [log]\n\
             # level = \"debug\"",
            quoted(&draft.page)
        ),
    );
}
