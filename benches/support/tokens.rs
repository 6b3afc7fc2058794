//! A token endpoint that always answers the same.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::wire::listen;

/// The access token of every sign-in: as long as one of Microsoft's.
pub fn token() -> String {
    "t".repeat(1_700)
}

/// Prints its port; serves until the process ends.
pub async fn serve() {
    listen(|mut stream| async move {
        let _ = stream.read(&mut [0; 4_096]).await?;
        let token = token();
        let body =
            format!(r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":3600}}"#);
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(answer.as_bytes()).await
    });
    std::future::pending().await
}
