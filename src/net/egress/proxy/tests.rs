//! What the URL of a proxy names, and what is refused of it.

use super::*;

fn mail(url: &str) -> Result<Proxy, UnfitProxy> {
    Proxy::parse(url, ProxyUse::Mail)
}

#[test]
fn url_names_kind_host_and_port() {
    for (url, named) in [
        ("socks5://proxy.example:1081", "socks5://proxy.example:1081"),
        ("SOCKS5H://Proxy.Example/", "socks5://proxy.example:1080"),
        ("http://10.0.0.3:3128/", "http://10.0.0.3:3128"),
        ("http://u:p@[2001:db8::1]", "http://[2001:db8::1]:80"),
        (" http://[::1]:65535 ", "http://[::1]:65535"),
    ] {
        assert_eq!(mail(url).unwrap().url(), named);
    }
}

#[test]
fn url_that_names_no_usable_proxy_is_refused_with_what_is_wrong() {
    let scheme = UnfitProxy::Scheme(ProxyUse::Mail);
    for (url, problem) in [
        ("", scheme),
        ("proxy.example:1080", scheme),
        ("https://proxy.example", scheme),
        ("socks4://proxy.example", scheme),
        ("socks5://", UnfitProxy::Host),
        ("socks5://two words:1", UnfitProxy::Host),
        ("socks5://[::1:1080", UnfitProxy::Host),
        ("socks5://[proxy]:1080", UnfitProxy::Host),
        ("socks5://proxy:", UnfitProxy::Port),
        ("socks5://proxy:0", UnfitProxy::Port),
        ("socks5://proxy:+1", UnfitProxy::Port),
        ("socks5://proxy:65536", UnfitProxy::Port),
        ("socks5://[::1]1080", UnfitProxy::Port),
        ("http://proxy:3128/path", UnfitProxy::Port),
        ("socks5://user@proxy", UnfitProxy::Credentials),
        ("socks5://user:@proxy", UnfitProxy::Credentials),
        ("socks5://:password@proxy", UnfitProxy::Credentials),
        ("socks5://a%3Ab:password@proxy", UnfitProxy::Credentials),
        ("socks5://user:100%@proxy", UnfitProxy::Credentials),
        ("socks5://user:%0d%0a@proxy", UnfitProxy::Credentials),
        ("socks5://user:%ff@proxy", UnfitProxy::Credentials),
    ] {
        assert_eq!(mail(url).unwrap_err(), problem, "{url}");
    }
    let http = Proxy::parse("socks5://proxy", ProxyUse::Http).unwrap_err();
    assert_eq!(http, UnfitProxy::Scheme(ProxyUse::Http));
    let longest = "x".repeat(CREDENTIAL_LEN_MAX);
    assert!(mail(&format!("socks5://{longest}:{longest}@proxy")).is_ok());
    let too_long = mail(&format!("socks5://{longest}x:p@proxy"));
    assert_eq!(too_long.unwrap_err(), UnfitProxy::Credentials);
}

#[test]
fn proxies_are_the_same_when_everything_of_their_urls_is() {
    let urls = ["http://a", "http://b", "http://a:1", "http://u:p@a", "http://u:q@a"];
    for one in urls {
        for other in urls.into_iter().chain(["socks5://a:80"]) {
            let is_same = mail(one).unwrap().is_same_as(&mail(other).unwrap());
            assert_eq!(is_same, one == other, "{one} {other}");
        }
    }
}

#[test]
fn credentials_are_decoded_and_never_printed() {
    // RFC 7617 section 2: Aladdin, open sesame.
    let proxy = mail("http://Aladdin:open%20sesame@proxy:3128").unwrap();
    assert_eq!(proxy.basic().unwrap().expose_secret(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    assert_eq!(format!("{proxy} {proxy:?}"), "proxy:3128 Proxy(\"http://proxy:3128\")");
    let odd = mail("socks5://u:p@s:/%40%25@proxy").unwrap();
    assert_eq!(odd.credentials.unwrap().password.expose_secret(), "p@s:/@%");
    assert!(mail("http://proxy").unwrap().basic().is_none());
}
