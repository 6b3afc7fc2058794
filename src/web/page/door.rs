//! Who may ask the page at all: by a name that is ours, from a page that is ours.
//!
//! A name that is not ours means that somebody's DNS leads a browser here (DNS rebinding); an
//! origin that is not ours, that a foreign page made the browser ask (request forgery).
//!
//! In:  a request's header and the ends of its connection.
//! Out: a [`Visit`], or why not.

use std::net::IpAddr;

use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, request};
use ipnet::IpNet;

use crate::web::http::Ends;

/// A header of proxies (no RFC has it): who connected to them. Each adds its peer behind a comma.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// A header of proxies: the host that was asked for.
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// A header of proxies: "http" or "https".
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Where a browser's request comes from (Fetch Metadata Request Headers, section 2.2).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Which names are ours, and who may speak for others.
#[derive(Debug, Clone, Default)]
pub(super) struct Door {
    /// Scheme, host and port where browsers reach the page, besides where it listens.
    pub(super) public_origin: Option<String>,
    /// Proxies.
    pub(super) behind_proxy: Vec<IpNet>,
}

/// A request that was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Visit {
    /// Who asks, as far as trusted proxies tell.
    pub(super) client: IpAddr,
    /// Whether the browser speaks https.
    pub(super) is_https: bool,
}

/// Why a request is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    /// A sentence for whoever asked; it repeats nothing of the request.
    pub(super) problem: &'static str,
}

/// Whether the origin of a request is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origins {
    /// It has to be ours.
    Own,
    /// It may be anybody's: the provider sends browsers here, and `state` tells whether it is an
    /// answer.
    Any,
}

impl Door {
    /// Looks at a request that came over a connection with these `ends`.
    pub(super) fn admit(
        &self,
        ends: Ends,
        request: &request::Parts,
        origins: Origins,
    ) -> Result<Visit, Refused> {
        // RFC 9112 section 3.2: one Host. A target with a name of its own is for proxies.
        let hosts = request.headers.get_all(HOST).iter().count();
        if request.uri.authority().is_some() || hosts != 1 {
            return Err(refused(StatusCode::BAD_REQUEST, "write one Host, and a path alone"));
        }
        let is_proxy = self.behind_proxy.iter().any(|it| it.contains(&ends.peer));
        let is_here = ends.local.ip().is_loopback();
        if !ends.is_tls && !is_proxy && !is_here {
            let problem = "here this page is reached by its proxies alone: see web.behind_proxy";
            return Err(refused(StatusCode::FORBIDDEN, problem));
        }
        let forwarded = |name| is_proxy.then(|| last(&request.headers, &name)).flatten();
        let host = forwarded(FORWARDED_HOST)
            .or_else(|| last(&request.headers, &HOST))
            .unwrap_or_default()
            .to_ascii_lowercase();
        let scheme = forwarded(FORWARDED_PROTO);
        let is_https = match scheme {
            Some("https") => true,
            Some("http") => false,
            _ => ends.is_tls,
        };
        let origin = self.origin(ends, &host, is_https, is_proxy && scheme.is_none())?;
        if origins == Origins::Own {
            refuse_foreign(request, &origin)?;
        }
        Ok(Visit {
            client: if is_proxy { self.client(ends.peer, &request.headers) } else { ends.peer },
            is_https: origin.starts_with("https:"),
        })
    }

    /// Our origin by which `host` was asked. A proxy that is `silent` tells no scheme: then it is
    /// the one of the public origin.
    fn origin(
        &self,
        ends: Ends,
        host: &str,
        is_https: bool,
        silent: bool,
    ) -> Result<String, Refused> {
        let public = self.public_origin.as_deref();
        if let Some((scheme, name)) = public.and_then(|origin| origin.split_once("://"))
            && is_same_host(host, name, scheme == "https")
        {
            if !silent && is_https != (scheme == "https") {
                let problem = "this page is reached by the scheme of web.public_url alone; a proxy \
                               that does https for it has to be in web.behind_proxy";
                return Err(refused(StatusCode::FORBIDDEN, problem));
            }
            return Ok(format!("{scheme}://{name}"));
        }
        let port = ends.local.port();
        let own = [
            format!("localhost:{port}"),
            format!("127.0.0.1:{port}"),
            format!("[::1]:{port}"),
            // An address is nobody's to rebind.
            ends.local.to_string(),
        ];
        let own = own.into_iter().find(|own| is_same_host(host, own, is_https));
        let own = own.ok_or(refused(
            StatusCode::MISDIRECTED_REQUEST,
            "this page is not reached by that name: write it as web.public_url, or use the \
             address that mailbearer prints at its start",
        ))?;
        let (scheme, default) = if is_https { ("https", ":443") } else { ("http", ":80") };
        Ok(format!("{scheme}://{}", own.strip_suffix(default).unwrap_or(&own)))
    }

    /// Whom the proxy `peer` speaks for: the last that is no proxy itself.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let named = headers.get_all(FORWARDED_FOR);
        let named: Vec<_> = named.iter().filter_map(|value| value.to_str().ok()).collect();
        let mut client = peer;
        for name in named.iter().rev().flat_map(|value| value.rsplit(',')) {
            let Ok(address) = name.trim().parse::<IpAddr>() else { break };
            client = address.to_canonical();
            if !self.behind_proxy.iter().any(|it| it.contains(&client)) {
                break;
            }
        }
        client
    }
}

/// Refuses what a foreign page made the browser send.
fn refuse_foreign(request: &request::Parts, own: &str) -> Result<(), Refused> {
    let problem = "this request comes from a page that is not mailbearer's";
    let foreign = refused(StatusCode::FORBIDDEN, problem);
    if request.headers.get_all(ORIGIN).iter().any(|origin| origin.as_bytes() != own.as_bytes()) {
        return Err(foreign);
    }
    // A link from elsewhere may lead here; a form may not.
    let sites = request.headers.get_all(SEC_FETCH_SITE);
    let is_own = |site: &[u8]| site == b"same-origin" || site == b"none";
    if request.method == Method::POST && !sites.iter().all(|site| is_own(site.as_bytes())) {
        return Err(foreign);
    }
    Ok(())
}

/// Whether both are the same host and port; `is_https` tells which port may be left out.
fn is_same_host(asked: &str, own: &str, is_https: bool) -> bool {
    let default = if is_https { ":443" } else { ":80" };
    let bare = |host: &str| host.strip_suffix(default).unwrap_or(host).to_owned();
    bare(asked) == bare(own)
}

/// The last of a header's values, which the nearest proxy added.
fn last<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let value = headers.get_all(name).iter().next_back()?.to_str().ok()?;
    value.rsplit(',').next().map(str::trim)
}

fn refused(status: StatusCode, problem: &'static str) -> Refused {
    Refused { status, problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: &str = "127.0.0.1:8587";
    const LAN: &str = "192.0.2.7:8587";

    fn door() -> Door {
        Door {
            public_origin: Some("https://mail.example".to_owned()),
            behind_proxy: vec!["10.0.0.0/8".parse().unwrap()],
        }
    }

    fn ends(peer: &str, local: &str, is_tls: bool) -> Ends {
        Ends { peer: peer.parse().unwrap(), local: local.parse().unwrap(), is_tls }
    }

    /// What the door says to a request with these header lines.
    fn knock(ends: Ends, method: Method, lines: &[(&str, &str)]) -> Result<Visit, StatusCode> {
        let mut request = axum::http::Request::builder().method(method).uri("/");
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        door().admit(ends, &parts, Origins::Own).map_err(|refused| refused.status)
    }

    fn get(ends: Ends, lines: &[(&str, &str)]) -> Result<bool, u16> {
        knock(ends, Method::GET, lines).map(|it| it.is_https).map_err(|it| it.as_u16())
    }

    #[test]
    fn names_that_are_ours_are_let_in_and_no_others() {
        let here = ends("127.0.0.1", LOOPBACK, false);
        for own in ["127.0.0.1:8587", "localhost:8587", "LocalHost:8587", "[::1]:8587"] {
            assert_eq!(get(here, &[("Host", own)]), Ok(false), "{own}");
        }
        for foreign in
            ["evil.example", "evil.example:8587", "localhost", "localhost:1", "127.0.0.1", ""]
        {
            assert_eq!(get(here, &[("Host", foreign)]), Err(421), "{foreign}");
        }
        let abroad = ends("192.0.2.9", LAN, true);
        assert_eq!(get(abroad, &[("Host", LAN)]), Ok(true));
        assert_eq!(get(abroad, &[("Host", "mail.example")]), Ok(true));
        assert_eq!(get(abroad, &[("Host", "mail.example:443")]), Ok(true));
        assert_eq!(get(abroad, &[("Host", "mail.example:8587")]), Err(421));
        assert_eq!(get(abroad, &[]), Err(400));
        assert_eq!(get(abroad, &[("Host", LAN), ("Host", LAN)]), Err(400));
    }

    #[test]
    fn public_name_is_not_served_in_clear() {
        let here = ends("127.0.0.1", LOOPBACK, false);
        assert_eq!(get(here, &[("Host", "mail.example")]), Err(403));
        assert_eq!(get(ends("192.0.2.9", LAN, false), &[("Host", LAN)]), Err(403));
    }

    #[test]
    fn proxies_that_are_listed_are_believed_and_no_others() {
        let host = ("Host", "backend");
        let forwarded = [
            host,
            ("X-Forwarded-Host", "mail.example"),
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-For", "203.0.113.1, 198.51.100.7, 10.0.0.9"),
        ];
        let proxy = ends("10.0.0.1", LAN, false);
        let visit = knock(proxy, Method::GET, &forwarded).unwrap();
        assert!(visit.is_https);
        assert_eq!(visit.client.to_string(), "198.51.100.7", "what stands before it is hearsay");

        let stranger = ends("192.0.2.9", LAN, true);
        assert_eq!(get(stranger, &forwarded), Err(421));
        let own = [("Host", LAN), ("X-Forwarded-For", "203.0.113.1")];
        let visit = knock(stranger, Method::GET, &own).unwrap();
        assert_eq!(visit.client.to_string(), "192.0.2.9");

        let public = ("Host", "mail.example");
        assert_eq!(get(proxy, &[public]), Ok(true), "a proxy that tells no scheme");
        assert_eq!(get(proxy, &[public, ("X-Forwarded-Proto", "http")]), Err(403));
        let two = [host, ("X-Forwarded-Host", "mail.example, evil.example")];
        assert_eq!(get(proxy, &two), Err(421), "the nearest proxy's word counts");
        let visit = knock(proxy, Method::GET, &[public, ("X-Forwarded-For", "<script>")]).unwrap();
        assert_eq!(visit.client.to_string(), "10.0.0.1");
    }

    #[test]
    fn foreign_origins_are_refused() {
        let here = ends("127.0.0.1", LOOPBACK, false);
        let host = ("Host", "localhost:8587");
        let post = |lines: &[(&str, &str)]| {
            let lines: Vec<_> = [host].iter().chain(lines).copied().collect();
            knock(here, Method::POST, &lines).map(drop).map_err(|it| it.as_u16())
        };
        assert_eq!(post(&[("Origin", "http://localhost:8587")]), Ok(()));
        assert_eq!(post(&[("Sec-Fetch-Site", "same-origin")]), Ok(()));
        assert_eq!(post(&[]), Ok(()), "what is no browser has to have the form's token still");
        for origin in [
            "http://evil.example",
            "null",
            "",
            "https://localhost:8587",
            "http://localhost:8588",
            "http://127.0.0.1:8587",
            "http://localhost:8587.evil.example",
        ] {
            assert_eq!(post(&[("Origin", origin)]), Err(403), "{origin}");
            assert_eq!(get(here, &[host, ("Origin", origin)]), Err(403), "{origin}");
        }
        for site in ["cross-site", "same-site"] {
            assert_eq!(post(&[("Sec-Fetch-Site", site)]), Err(403), "{site}");
            assert_eq!(get(here, &[host, ("Sec-Fetch-Site", site)]), Ok(false), "a link");
        }
    }

    #[test]
    fn ports_that_a_scheme_has_are_left_out_of_origins() {
        let lines = [("Host", "127.0.0.1"), ("Origin", "http://127.0.0.1")];
        assert_eq!(get(ends("127.0.0.1", "127.0.0.1:80", false), &lines), Ok(false));
    }

    #[test]
    fn target_with_a_name_of_its_own_is_refused() {
        let here = ends("127.0.0.1", LOOPBACK, false);
        let request = axum::http::Request::get("http://localhost:8587/");
        let request = request.header("Host", "localhost:8587").body(()).unwrap();
        let admitted = door().admit(here, &request.into_parts().0, Origins::Any);
        assert_eq!(admitted.unwrap_err().status, StatusCode::BAD_REQUEST);
    }
}
