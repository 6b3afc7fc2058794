//! Whose mail servers the mailbox has.

use super::{Interview, Item, Stop};
use crate::cli::init::finding;
use crate::cli::init::terminal::Question;
use crate::cli::tell;
use crate::config::template::{Choice, OwnProvider, issuer, mail_host, names, scopes, title};
use crate::names::Address;
use crate::net::exchangers::NameServer;
use crate::provider::{MailHost, PerProtocol, Protocol};

const NO_UTF_8: &str = "--ca-file: enter a path in UTF-8: no other can stand in the configuration";

impl Interview<'_> {
    /// The provider by flag, by what can be found out about `address`, or by asking.
    pub(super) fn provider(&mut self, address: &Address) -> Result<Option<Choice>, Stop> {
        if let Some(told) = self.told_provider()? {
            return Ok(Some(told));
        }
        if self.arguments.issuer.is_some() {
            return Ok(None); // its servers are missing, which is noted
        }
        let server = self.arguments.name_server.map_or(NameServer::System, NameServer::At);
        if let Some((name, by)) = finding::find(address.domain(), server) {
            tell(format_args!(
                "{address} is at {} ({name}), {}; --provider names another",
                title(name),
                by.told()
            ));
            return Ok(Some(Choice::BuiltIn(name)));
        }
        let Some(terminal) = self.terminal else {
            self.missing
                .push("--provider NAME, or --issuer URL with its --submission and --scopes");
            return Ok(None);
        };
        tell(format_args!("the domain of {address} does not tell its provider"));
        let built_in = names().iter().map(|name| format!("{} ({name})", title(name)));
        let mut options: Vec<String> = built_in.collect();
        options.push("another, which has an authorisation server of its own".to_owned());
        let chosen = terminal.choose("Who has this mailbox?", &options, 0)?;
        match names().get(chosen) {
            Some(name) => Ok(Some(Choice::BuiltIn(name))),
            None => self.own(),
        }
    }

    /// The provider that flags tell, if they do.
    pub(super) fn told_provider(&mut self) -> Result<Option<Choice>, Stop> {
        if self.arguments.issuer.is_some() {
            return self.own();
        }
        let Some(given) = &self.arguments.provider else { return Ok(None) };
        let known = names().iter().find(|name| *name == given);
        known.map(|name| Some(Choice::BuiltIn(name))).ok_or_else(|| {
            let names = names().join(", ");
            Stop::Wrong(format!(
                "--provider: name one of {names}; any other by --issuer, or see \
                 docs/providers/others.md"
            ))
        })
    }

    /// A provider that is not built in.
    fn own(&mut self) -> Result<Option<Choice>, Stop> {
        let arguments = self.arguments;
        let item = Item {
            given: arguments.issuer.as_deref(),
            flag: "--issuer URL",
            question: Question {
                ask: "Issuer of its authorisation server:",
                help: "its metadata tell the endpoints: RFC 8414, OpenID Connect Discovery",
                proposal: None,
            },
        };
        let issuer = self.ask(&item, &issuer)?;
        let item = Item {
            given: arguments.scopes.as_deref(),
            flag: "--scopes SCOPES",
            question: Question {
                ask: "Scopes for mail:",
                help: "separated by blanks; openid tells who consented, offline_access makes it last",
                proposal: None,
            },
        };
        let scopes = self.ask(&item, &scopes)?;
        let submission = self.server(
            Protocol::Submission,
            arguments.submission.as_deref(),
            ("--submission HOST:PORT", "Its submission server (SMTP), HOST:PORT:"),
        )?;
        // One that sends alone is whole; who tells it by flags leaves the others out.
        let is_told = arguments.submission.is_some();
        let imap = self.server_if(
            Protocol::Imap,
            arguments.imap.as_deref(),
            is_told,
            ("--imap HOST:PORT", "Its IMAP server, HOST:PORT, or empty:"),
        )?;
        let pop3 = arguments.pop3.as_deref();
        let pop3 = self.server_if(Protocol::Pop3, pop3, true, ("--pop3 HOST:PORT", ""))?;
        let (Some(issuer), Some(scopes), Some(submission)) = (issuer, scopes, submission) else {
            return Ok(None);
        };
        let hosts = PerProtocol { submission: Some(submission), imap, pop3 };
        // Relative paths of the file are relative to it, those of a flag to where it is typed.
        let ca_file = arguments
            .ca_file
            .as_ref()
            .map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone()));
        if ca_file.as_ref().is_some_and(|path| path.to_str().is_none()) {
            return Err(Stop::Wrong(NO_UTF_8.to_owned()));
        }
        Ok(Some(Choice::Own(Box::new(OwnProvider { issuer, scopes, hosts, ca_file }))))
    }

    fn server(
        &mut self,
        protocol: Protocol,
        given: Option<&str>,
        (flag, ask): (&'static str, &str),
    ) -> Result<Option<MailHost>, Stop> {
        let help = "such as mail.example.com:465; /tls or /starttls where the port does not tell";
        let question = Question { ask, help, proposal: None };
        self.ask(&Item { given, flag, question }, &|text| mail_host(text, protocol))
    }

    /// A server that there may be: not asked for where it `is_told` that there is none.
    fn server_if(
        &mut self,
        protocol: Protocol,
        given: Option<&str>,
        is_told: bool,
        (flag, ask): (&'static str, &str),
    ) -> Result<Option<MailHost>, Stop> {
        if given.is_none() && (is_told || self.terminal.is_none()) {
            return Ok(None);
        }
        let question = Question { ask, help: "to read mail", proposal: Some("") };
        let item = Item { given, flag, question };
        let host = self.ask(&item, &|text| {
            if text.is_empty() { Ok(None) } else { mail_host(text, protocol).map(Some) }
        })?;
        Ok(host.flatten())
    }
}
