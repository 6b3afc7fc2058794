//! mailbearer as its users run it: from a configuration file, with a token endpoint beside it.

use std::path::Path;

use mailbearer::app::{App, Backing};
use mailbearer::config::{Config, Secrets};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::process::upstream_port;

/// The local password of the one account.
pub(crate) const PASSWORD: &str = "bench-password";

/// What `mailbearer password --hash` makes of it.
const PASSWORD_HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$FiNaGx60obgLg1Ah8EcjMA$zoOKKYJaE6ZKUCk1bENXcUdpL0hIpDNzO3WEptrqgqM";

/// Serves until the process ends.
pub(crate) async fn serve(dir: &Path) {
    let token_endpoint = serve_tokens().await;
    let port = upstream_port(dir);
    let file = dir.join("mailbearer.toml");
    let text = format!(
        r#"
        [listeners.imap]
        protocol = "imap"
        address = "127.0.0.1:0"

        [providers.bench]
        token_endpoint = "http://{token_endpoint}/token"
        scopes = ["mail"]
        imap = {{ host = "127.0.0.1", port = {port}, tls = "implicit" }}
        ca_file = "ca.pem"

        [accounts."alice@example.com"]
        provider = "bench"
        client_id = "bench"
        client_secret = "bench"
        grant = "client-credentials"
        local_password = "{PASSWORD_HASH}"

        [limits]
        sessions_per_peer = 10000
        "#
    );
    std::fs::write(&file, text).unwrap();
    let app =
        App::bind(Config::load(&file, Secrets::Verify).unwrap(), Backing::in_memory()).unwrap();
    println!("{}", app.bound().next().unwrap().address.tcp().unwrap().port());
    app.run().await;
}

/// A token endpoint that always answers the same.
async fn serve_tokens() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4_096]).await;
            let token = "t".repeat(1_200);
            let body =
                format!(r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":3600}}"#);
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
                 Connection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}
