//! Mail servers of the file: `{ host = "smtp.example", port = 587, tls = "starttls" }`.

use rustls::pki_types::ServerName;

use crate::provider::{MailHost, UpstreamTls};

use super::field::Field;
use super::file::Reported;

impl Field<'_> {
    /// The mail server that this is.
    pub(super) fn mail_host(&self) -> Result<MailHost, Reported> {
        let mut table = self.table()?;
        let host = table.require("host", "write the server's name: host = \"smtp.example\"");
        let host = host.and_then(|field| field.host());
        let port = table.require("port", "write the server's port: 587, 465, 993 or 995 mostly");
        let port = port.and_then(|field| field.port());
        let tls = table.require(
            "tls",
            "write tls = \"implicit\" (465, 993, 995) or \"starttls\" (587, 143, 110)",
        );
        let tls = tls.and_then(|field| field.upstream_tls());
        table.finish(&[])?;
        Ok(MailHost { host: host?, port: port?, tls: tls? })
    }

    fn host(&self) -> Result<String, Reported> {
        let text = self.text()?;
        // An IPv6 address may wear the brackets that it needs before a port.
        let host = text.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(text);
        match ServerName::try_from(host) {
            Ok(_) => Ok(host.to_lowercase()),
            Err(_) => Err(self.problem(
                format!("is {text:?}, which is no host name and no IP address"),
                "write the name alone: no scheme, no port, and in ASCII (xn--...)",
            )),
        }
    }

    fn port(&self) -> Result<u16, Reported> {
        let port = self.number(1..=u16::MAX.into())?;
        u16::try_from(port).map_err(|_| self.wrong_type("a port"))
    }

    fn upstream_tls(&self) -> Result<UpstreamTls, Reported> {
        if self.text()? == "none" {
            return Err(self.problem(
                "is \"none\", but no token is ever sent in clear",
                "write \"implicit\" (ports 465, 993, 995) or \"starttls\" (587, 143, 110)",
            ));
        }
        let known = [("starttls", UpstreamTls::StartTls), ("implicit", UpstreamTls::Implicit)];
        self.choice(&known, &[])
    }
}
