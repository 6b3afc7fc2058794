//! Which built-in provider has the mail of a domain: by the domain's own name, by where its mail is
//! delivered, or by where its mail programs find their settings.
//!
//! Sources: what the providers tell their customers to enter as MX records: Microsoft's "External DNS
//! records for Microsoft 365" (`*.mail.protection.outlook.com`, autodiscover) and "How SMTP DANE works"
//! (`*.mx.microsoft`), its pages for the US government and 21Vianet; Google's "Set up MX records"
//! (`smtp.google.com`, before 2023 `aspmx.l.google.com` and its alternatives); Fastmail's "Custom
//! domains" (`*.messagingengine.com`). Those of Outlook.com, Yahoo and AOL are what their own domains
//! have.
//!
//! What DNS says is a stranger's word: it chooses among these names and is not repeated.

/// Domains of mailboxes that a provider gives to everybody.
const DOMAINS: &[(&str, &[&str])] = &[
    (
        "outlook-com",
        &["outlook.com", "hotmail.com", "hotmail.co.uk", "hotmail.de", "hotmail.fr", "hotmail.it"],
    ),
    ("outlook-com", &["live.com", "live.co.uk", "live.de", "live.fr", "live.nl", "msn.com"]),
    ("outlook-com", &["outlook.de", "outlook.fr", "outlook.es", "outlook.it", "outlook.jp"]),
    ("google", &["gmail.com", "googlemail.com"]),
    (
        "yahoo",
        &["yahoo.com", "yahoo.co.uk", "yahoo.de", "yahoo.fr", "yahoo.it", "yahoo.es", "yahoo.ca"],
    ),
    ("yahoo", &["yahoo.co.in", "yahoo.in", "yahoo.com.br", "ymail.com", "rocketmail.com"]),
    ("yahoo", &["att.net", "sbcglobal.net", "bellsouth.net"]),
    ("aol", &["aol.com", "aol.co.uk", "aol.de", "aol.fr", "aim.com"]),
    ("fastmail", &["fastmail.com", "fastmail.fm", "sent.com", "messagingengine.com"]),
];

/// Ends of the names of mail exchangers; the first that fits counts.
const EXCHANGERS: &[(&str, &str)] = &[
    // Personal accounts come first: their exchangers lie below the same name.
    ("olc.protection.outlook.com", "outlook-com"),
    ("mail.protection.outlook.com", "microsoft"),
    ("mx.microsoft", "microsoft"),
    ("mail.protection.office365.us", "microsoft-gcc-high"),
    ("mail.protection.partner.outlook.cn", "microsoft-21vianet"),
    ("aspmx.l.google.com", "google"),
    ("gmail-smtp-in.l.google.com", "google"),
    ("smtp.google.com", "google"),
    ("googlemail.com", "google"),
    ("mx-aol.mail.gm0.yahoodns.net", "aol"),
    ("yahoodns.net", "yahoo"),
    ("messagingengine.com", "fastmail"),
];

/// Names that `autodiscover.DOMAIN` stands for.
const AUTODISCOVER: &[(&str, &str)] = &[
    ("autodiscover.outlook.com", "microsoft"),
    ("autodiscover-s.office365.us", "microsoft-gcc-high"),
    ("autodiscover.partner.outlook.cn", "microsoft-21vianet"),
];

/// The provider that gives mailboxes of `domain` to everybody.
pub fn of_domain(domain: &str) -> Option<&'static str> {
    let is_it = |known: &str| known.eq_ignore_ascii_case(domain);
    DOMAINS.iter().find(|(_, domains)| domains.iter().any(|it| is_it(it))).map(|(name, _)| *name)
}

/// The provider that takes mail in at the exchanger `host`.
pub fn of_exchanger(host: &str) -> Option<&'static str> {
    below(EXCHANGERS, host)
}

/// The provider that `host`, for which `autodiscover.DOMAIN` is another name, is of.
pub fn of_autodiscover(host: &str) -> Option<&'static str> {
    below(AUTODISCOVER, host)
}

/// The entry whose name `host` is or lies below.
fn below(table: &[(&str, &'static str)], host: &str) -> Option<&'static str> {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let is_below = |name: &str| {
        host.strip_suffix(name).is_some_and(|above| above.is_empty() || above.ends_with('.'))
    };
    table.iter().find(|(name, _)| is_below(name)).map(|(_, provider)| *provider)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domain_of_everybodys_mailboxes_tells_the_provider() {
        for (domain, provider) in [
            ("gmail.com", "google"),
            ("GMail.com", "google"),
            ("hotmail.com", "outlook-com"),
            ("yahoo.de", "yahoo"),
            ("aol.com", "aol"),
            ("fastmail.fm", "fastmail"),
        ] {
            assert_eq!(of_domain(domain), Some(provider), "{domain}");
        }
        for other in ["contoso.com", "notgmail.com", "x.gmail.com", ""] {
            assert_eq!(of_domain(other), None, "{other}");
        }
    }

    #[test]
    fn exchanger_tells_the_provider_by_the_end_of_its_name() {
        for (host, provider) in [
            ("contoso-com.mail.protection.outlook.com.", "microsoft"),
            ("Contoso-COM.Mail.Protection.Outlook.COM", "microsoft"),
            ("contoso-com.a-v1.mx.microsoft", "microsoft"),
            ("outlook-com.olc.protection.outlook.com", "outlook-com"),
            ("contoso-com.mail.protection.office365.us", "microsoft-gcc-high"),
            ("aspmx.l.google.com", "google"),
            ("alt1.aspmx.l.google.com", "google"),
            ("aspmx2.googlemail.com", "google"),
            ("smtp.google.com", "google"),
            ("mta7.am0.yahoodns.net", "yahoo"),
            ("mx-aol.mail.gm0.yahoodns.net", "aol"),
            ("in1-smtp.messagingengine.com", "fastmail"),
        ] {
            assert_eq!(of_exchanger(host), Some(provider), "{host}");
        }
        for other in [
            "",
            ".",
            "mail.contoso.com",
            "mail.protection.outlook.com.evil.example",
            "evilyahoodns.net",
            "notaspmx.l.google.com",
        ] {
            assert_eq!(of_exchanger(other), None, "{other}");
        }
    }

    #[test]
    fn autodiscover_tells_exchange_online() {
        assert_eq!(of_autodiscover("Autodiscover.Outlook.com."), Some("microsoft"));
        assert_eq!(of_autodiscover("autodiscover.contoso.com"), None);
    }
}
