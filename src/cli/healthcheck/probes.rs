//! The probes of the running relay, asked by `healthcheck`.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::told;
use crate::cli::{Exit, tell};
use crate::net::listen::ListenAddress;
use crate::web::probes::{READY_PATH, Readiness};

/// How long a relay may take to answer. It does within a second.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest answer, in bytes: numbers and some sentences.
const ANSWER_LEN_MAX: usize = 64 * 1024;

/// Asks the relay whose probes are at `addresses` of this machine.
pub(super) fn ask(addresses: &[ListenAddress]) -> Result<Exit, Exit> {
    let sockets: Vec<_> = addresses.iter().flat_map(|address| near(*address)).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let asked = runtime.map_err(|error| format!("no runtime can be started ({error})")).and_then(
        |runtime| {
            let asking = async {
                let answer = timeout(ANSWER_TIMEOUT, readiness(&sockets)).await;
                answer.unwrap_or_else(|_| Err(format!("no answer in {ANSWER_TIMEOUT:?}")))
            };
            runtime.block_on(asking)
        },
    );
    let readiness = asked.map_err(|problem| {
        tell(format_args!("the probes cannot be asked: {problem}"));
        tell("  start the relay with `mailbearer serve`, or see its log");
        Exit::Failed
    })?;
    if readiness.unsaved && readiness.ready {
        tell("the store is not written, do not restart before it is: see the log of the relay");
    }
    Ok(told(&readiness.not_ready))
}

/// Where this machine reaches what listens there.
fn near(address: ListenAddress) -> Vec<SocketAddr> {
    let (v4, v6) = (IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST));
    match address {
        ListenAddress::Localhost(port) => vec![(v4, port).into(), (v6, port).into()],
        ListenAddress::Socket(socket) if socket.ip().is_unspecified() => {
            vec![(if socket.is_ipv4() { v4 } else { v6 }, socket.port()).into()]
        }
        ListenAddress::Socket(socket) => vec![socket],
    }
}

/// What the first of `sockets` that somebody listens at says.
async fn readiness(sockets: &[SocketAddr]) -> Result<Readiness, String> {
    let stream = TcpStream::connect(sockets).await.map_err(|error| unreachable(sockets, &error))?;
    let broken = |error: hyper::Error| format!("they break off ({error})");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // It ends with the answer, or with the runtime.
    tokio::spawn(connection);
    let request = Request::get(READY_PATH).header(header::HOST, "localhost").body(Body::empty());
    let request = request.map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(broken)?;
    let body = to_bytes(Body::new(response.into_body()), ANSWER_LEN_MAX).await;
    let body = body.map_err(|error| format!("they break off ({error})"))?;
    parse(&body)
}

/// Reads what a relay says. It may be somebody else's server: its sentences are told as text, and of
/// what is no answer of a relay nothing is.
fn parse(body: &[u8]) -> Result<Readiness, String> {
    let readiness: Result<Readiness, _> = serde_json::from_slice(body);
    let mut readiness = readiness.map_err(|_| "what answers there is no mailbearer".to_owned())?;
    for reason in &mut readiness.not_ready {
        *reason = reason.escape_debug().to_string();
    }
    Ok(readiness)
}

fn unreachable(sockets: &[SocketAddr], error: &io::Error) -> String {
    let sockets: Vec<_> = sockets.iter().map(SocketAddr::to_string).collect();
    format!("nobody answers at {} ({error})", sockets.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_of_an_impostor_do_nothing_to_a_terminal() {
        let body = r#"{"ready":false,"not_ready":["\u001b]0;owned\u0007","it is \u202e busy"],
                       "unsaved":false,"accounts":null}"#;
        let told = parse(body.as_bytes()).unwrap().not_ready;
        assert_eq!(told, [r"\u{1b}]0;owned\u{7}", r"it is \u{202e} busy"]);
        assert_eq!(parse(b"<html>").unwrap_err(), "what answers there is no mailbearer");
    }

    #[test]
    fn probes_are_asked_at_loopback_where_they_listen_everywhere() {
        let near = |text: &str| near(ListenAddress::Socket(text.parse().unwrap()));
        assert_eq!(near("0.0.0.0:8588"), ["127.0.0.1:8588".parse().unwrap()]);
        assert_eq!(near("[::]:8588"), ["[::1]:8588".parse().unwrap()]);
        assert_eq!(near("192.0.2.7:8588"), ["192.0.2.7:8588".parse().unwrap()]);
        let both = super::near(ListenAddress::Localhost(8588));
        assert_eq!(both, ["127.0.0.1:8588".parse().unwrap(), "[::1]:8588".parse().unwrap()]);
    }
}
