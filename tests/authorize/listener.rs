//! The listener for one answer, towards everybody who is not the browser with the answer.

use crate::rig::{Rig, browse, parameter, redirected, request};
use crate::support::ALICE;

#[tokio::test]
async fn request_that_is_no_answer_changes_nothing_and_the_listener_goes_on() {
    let rig = Rig::start().await;
    let mut running = rig.authorize(&[ALICE, "--json"]);
    let url = running.object().await["authorize_url"].as_str().unwrap().to_owned();
    let back = redirected(&url).await;
    let address = back.split('/').nth(2).unwrap();
    let target = back.split_once(address).unwrap().1;
    let (code, state) = (parameter(&back, "code"), parameter(&back, "state"));
    let port = address.rsplit(':').next().unwrap();
    for (method, target, host) in [
        ("GET", "/favicon.ico", address),
        ("GET", "/", address),
        ("GET", &format!("/?code={code}"), address),
        ("GET", &format!("/?code={code}&state=forged"), address),
        ("GET", &format!("/?state={state}"), address),
        ("GET", &format!("/callback{}", &target[1..]), address),
        ("POST", target, address),
        ("HEAD", target, address),
        // A page whose name was led to this machine (DNS rebinding).
        ("GET", target, &format!("evil.example:{port}")),
        ("GET", target, "127.0.0.1"),
        ("GET", target, &format!("localhost:{port}")),
    ] {
        let page = request(address, method, target, host).await.unwrap();
        assert_eq!(page.status, 404, "{method} {target} for {host}");
        assert!(!page.body.contains(code) && !page.body.contains("forged"), "{page:?}");
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(page.header("cache-control"), Some("no-store"));
    }
    assert_eq!(browse(&back).await.status, 200);
    assert_eq!(running.end().await.code, Some(0));
}

#[tokio::test]
async fn listener_is_on_both_loopbacks_and_gone_after_the_answer() {
    let rig = Rig::start().await;
    let relay = rig.serve().await;
    let mut running = rig.authorize(&[ALICE, "--json"]);
    let url = running.object().await["authorize_url"].as_str().unwrap().to_owned();
    let back = redirected(&url).await;
    let address = back.split('/').nth(2).unwrap();
    let v6 = address.replace("127.0.0.1", "[::1]");
    // A machine may lack IPv6.
    if tokio::net::TcpListener::bind("[::1]:0").await.is_ok() {
        assert_eq!(request(&v6, "GET", "/", &v6).await.unwrap().status, 404);
    }
    assert_eq!(browse(&back).await.status, 200);
    assert_eq!(running.end().await.code, Some(0));
    let target = back.split_once(address).unwrap().1;
    for address in [address, &v6] {
        assert!(request(address, "GET", target, address).await.is_none(), "a replay finds nobody");
    }
    relay.kill().await;
}

#[tokio::test]
async fn listener_ends_the_consent_after_a_hundred_requests() {
    let rig = Rig::start().await;
    let relay = rig.serve().await;
    let mut running = rig.authorize(&[ALICE, "--json"]);
    let url = running.object().await["authorize_url"].as_str().unwrap().to_owned();
    let back = redirected(&url).await;
    let address = back.split('/').nth(2).unwrap();
    for _ in 0..101 {
        assert_eq!(request(address, "GET", "/", address).await.unwrap().status, 404);
    }
    let end = running.end().await;
    assert_eq!((end.code, end.stdout.len()), (Some(1), 0), "{end:?}");
    assert!(end.stderr.contains("had 100 requests"), "{}", end.stderr);
    assert!(request(address, "GET", "/", address).await.is_none());
    relay.kill().await;
}
