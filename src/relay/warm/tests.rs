//! Which way a connection made ahead may be given for, how many descriptors they take, and how long a
//! server that refused is left alone.

use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::version::TLS13;
use tokio::time::{advance, pause};

use super::*;
use crate::names::Username;
use crate::net::egress::Egress;
use crate::net::props::Authority;
use crate::proto::imap::{self, Source};
use crate::provider::{MailHost, Mechanism, UpstreamTls};

/// All that a connection depends on.
#[derive(Clone)]
pub(super) struct Scene {
    pub(super) provider: Provider,
    host: MailHost,
    tls: Arc<ClientConfig>,
    egress: Arc<Egress>,
    mailbox: Username,
    mechanism: Mechanism,
}

impl Scene {
    pub(super) fn set() -> Self {
        let provider = Provider::unknown("corp");
        Self {
            provider,
            host: MailHost { host: "127.0.0.1".into(), port: 1, tls: UpstreamTls::Implicit },
            tls: tls(),
            egress: Arc::default(),
            mailbox: Username::parse("alice@example.com").unwrap(),
            mechanism: Mechanism::Xoauth2,
        }
    }

    pub(super) fn destination(&self) -> Destination<'_> {
        let Self { host, tls, egress, mailbox, mechanism, .. } = self;
        Destination { host, tls: Arc::clone(tls), egress, mailbox, mechanism: *mechanism }
    }
}

fn tls() -> Arc<ClientConfig> {
    Authority::new().client(&[&TLS13])
}

#[test]
fn each_thing_that_decides_where_a_connection_leads_makes_another_way() {
    let scene = Scene::set();
    let way = Way::of(&scene.provider, &scene.destination());
    let leads = |other: &Scene| {
        let leads = way.leads(&other.provider, &other.destination());
        assert_eq!(leads, way == Way::of(&other.provider, &other.destination()));
        leads
    };
    let mailbox = Username::parse("bob@example.com").unwrap();
    assert!(leads(&Scene { mailbox, ..scene.clone() }), "nobody is signed in on it");
    let provider = Provider { name: "other".into(), ..scene.provider.clone() };
    assert!(!leads(&Scene { provider, ..scene.clone() }));
    let host = MailHost { port: 2, ..scene.host.clone() };
    assert!(!leads(&Scene { host, ..scene.clone() }));
    assert!(!leads(&Scene { tls: tls(), ..scene.clone() }), "by identity");
    assert!(!leads(&Scene { egress: Arc::default(), ..scene.clone() }), "by identity");
    assert!(!leads(&Scene { mechanism: Mechanism::OauthBearer, ..scene }));
}

#[tokio::test]
async fn what_a_server_told_who_asked_is_forgotten_once_it_tells_otherwise() {
    let (pool, meter) = (Pool::<Imap>::new(8, CancellationToken::new()), WarmMeter::default());
    let (drain, scene) = (CancellationToken::new(), Scene::set());
    let destination = scene.destination();
    pool.signed_in(&scene.provider, &destination, &meter, &drain);
    let is_kept_behind = |source, untagged: &str| {
        let (untagged, tagged) = (untagged.as_bytes().to_vec(), b"signed in".to_vec());
        pool.learn(&scene.provider, &destination, &imap::Welcome { untagged, tagged, source });
        let (mailbox, now) = (destination.mailbox, clock::unix_time());
        let told = pool.on_way(&scene.provider, &destination, |kept| kept.told.to(mailbox, now));
        told.flatten().is_some()
    };
    let list = "* CAPABILITY IMAP4rev1 MOVE\r\n";
    for (source, untagged) in [(Source::Asked, ""), (Source::Unasked, list)] {
        assert!(is_kept_behind(Source::Asked, list));
        assert!(is_kept_behind(Source::Remembered, list), "it taught nothing");
        assert!(!is_kept_behind(source, untagged), "{source:?}");
    }
}

#[tokio::test]
async fn a_server_that_has_refused_rests_for_a_minute_whatever_else_is_new() {
    pause();
    let (pool, meter) =
        (Pool::<Submission>::new(8, CancellationToken::new()), WarmMeter::default());
    let (drain, scene) = (CancellationToken::new(), Scene::set());
    let sign_ins = |scene: &Scene, count| {
        for _ in 0..count {
            pool.signed_in(&scene.provider, &scene.destination(), &meter, &drain);
        }
        pool.lock().iter().map(|kept| kept.dialling).sum::<usize>()
    };
    assert_eq!(sign_ins(&scene, 1), 0);
    let error = SignInError::Broke {
        host: "127.0.0.1:1".into(),
        source: io::ErrorKind::UnexpectedEof.into(),
    };
    pool.failed(&scene.provider, &scene.destination(), &error, &meter);
    advance(UNUSED_MAX * 2).await;
    let other = Scene { host: MailHost { port: 2, ..scene.host.clone() }, ..scene.clone() };
    assert_eq!(sign_ins(&other, 1), 0);
    assert_eq!(sign_ins(&scene, 2), 0, "it is still left alone");
    advance(REST).await;
    assert_eq!(sign_ins(&scene, 2), 1);
}
