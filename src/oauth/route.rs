//! How an endpoint is reached, by its URL: in clear or not, and through a proxy or not.

use oauth2::url::{Host, Url};

use crate::net::network::is_this_machine;

/// How an endpoint is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Route {
    /// http, on this machine or to the service that gives it its identity: never through a proxy,
    /// which would look for it on its own.
    DirectClear,
    /// https, in the same places, and never through a proxy either.
    Direct,
    /// https, through `egress.http_proxy`, or else the proxy that the usual environment variables name.
    Outward,
}

impl Route {
    /// The route to `url`; `None` where secrets would cross a network in clear.
    pub(super) fn to(url: &Url) -> Option<Self> {
        match (url.scheme(), is_loopback(url)) {
            ("http", true) => Some(Self::DirectClear),
            ("https", true) => Some(Self::Direct),
            ("https", false) => Some(Self::Outward),
            _ => None,
        }
    }

    /// The route to the service at `url` that gives this machine its identity. It speaks plain http
    /// at an address that no router passes on (`http://169.254.169.254`, `http://172.16.0.4:8081`);
    /// `None` for plain http anywhere else.
    pub(super) fn to_identity(url: &Url) -> Option<Self> {
        let is_near = is_loopback(url)
            || match url.host()? {
                Host::Domain(_) => false,
                Host::Ipv4(address) => address.is_link_local() || address.is_private(),
                Host::Ipv6(address) => address.is_unicast_link_local() || address.is_unique_local(),
            };
        match (url.scheme(), is_near) {
            ("http", true) => Some(Self::DirectClear),
            ("https", _) => Some(Self::Direct),
            _ => None,
        }
    }
}

/// Whether `url` names this machine by a loopback address or as `localhost`.
pub fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(is_this_machine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoint_in_clear_is_refused_unless_it_is_on_this_machine() {
        let route = |url: &str| Route::to(&Url::parse(url).unwrap());
        for clear in [
            "http://127.0.0.1:8/t",
            "http://[::1]/t",
            "http://[::ffff:127.0.0.1]/t",
            "http://localhost:9/",
            "http://localhost.:9/",
        ] {
            assert_eq!(route(clear), Some(Route::DirectClear), "{clear}");
        }
        for local in ["https://127.9.9.9/t", "https://LOCALHOST/"] {
            assert_eq!(route(local), Some(Route::Direct), "{local}");
        }
        assert_eq!(route("https://login.example/t"), Some(Route::Outward));
        for bad in
            ["http://login.example/t", "http://localhost.example/", "http://10.0.0.1/", "ftp://::1"]
        {
            let url = Url::parse(bad);
            assert_eq!(url.ok().as_ref().and_then(Route::to), None, "{bad}");
        }
    }

    #[test]
    fn identity_of_a_machine_is_asked_for_in_clear_near_by_alone_and_never_through_a_proxy() {
        let route = |url: &str| Route::to_identity(&Url::parse(url).unwrap());
        for near in [
            "http://169.254.169.254/metadata/identity/oauth2/token",
            "http://172.16.0.4:8081/msi/token",
            "http://localhost:42356/msi/token",
            "http://[fe80::1]/token",
            "http://[fd00:ec2::254]/token",
        ] {
            assert_eq!(route(near), Some(Route::DirectClear), "{near}");
        }
        assert_eq!(route("https://identity.example/token"), Some(Route::Direct));
        for far in
            ["http://identity.example/t", "http://8.8.8.8/t", "http://[2001:db8::1]/", "ftp://::1"]
        {
            let url = Url::parse(far);
            assert_eq!(url.ok().as_ref().and_then(Route::to_identity), None, "{far}");
        }
    }
}
