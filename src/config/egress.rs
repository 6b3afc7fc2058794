//! `[egress]`: how connections leave this machine.

use std::net::IpAddr;

use crate::net::egress::{Egress, Proxy, ProxyUse};
use crate::net::resolver::Resolver;
use crate::secret::SecretSource;

use super::field::Field;
use super::file::Reported;
use super::table::Table;

/// Reads `[egress]`.
pub(super) fn read(root: &mut Table<'_>) -> Result<Egress, Reported> {
    let Some(mut table) = root.read("egress", |field| field.table())? else {
        return Ok(Egress::default());
    };
    let http_proxy = table.read("http_proxy", |field| proxy(&field, ProxyUse::Http));
    let mail_proxy = table.read("mail_proxy", |field| proxy(&field, ProxyUse::Mail));
    let bind = table.read("bind", |field| address(&field));
    table.finish(&[])?;
    let (http_proxy, mail_proxy, bind) = (http_proxy?, mail_proxy?, bind?);
    Ok(Egress { http_proxy, mail_proxy, bind, resolver: Resolver::default() })
}

/// The URL of a proxy, which is a secret because a password may stand in it. It is looked at now
/// where that costs nothing; what a program prints is looked at when it is used.
fn proxy(field: &Field<'_>, of: ProxyUse) -> Result<SecretSource, Reported> {
    let source = field.secret()?;
    let url = match &source {
        SecretSource::Value(url) => Some(url.clone()),
        SecretSource::Env { value, .. } => value.as_ref().ok().cloned(),
        SecretSource::File(_) if field.verifies_secrets() => source.read().ok(),
        SecretSource::File(_) | SecretSource::Command(_) => None,
    };
    if let Some(url) = url {
        // The URL is not told: a password may stand in it.
        Proxy::take(&url, of).map_err(|unfit| field.problem(unfit.to_string(), unfit.fix()))?;
    }
    Ok(source)
}

fn address(field: &Field<'_>) -> Result<IpAddr, Reported> {
    let text = field.text()?;
    text.parse().map_err(|_| {
        let help = "write an address of this machine alone, without brackets, port or mask: \
                    \"192.0.2.10\"; \"0.0.0.0\" is any of IPv4, \"::\" any of IPv6";
        field.problem(format!("is {text:?}, which is no IP address"), help)
    })
}
