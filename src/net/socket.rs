//! What is asked of the system for a TCP connection that is up.

use std::time::Duration;

use tokio::net::TcpStream;

/// Lets the system end the connection, as timed out, once bytes that were sent on it have not been
/// acknowledged for `limit`; `None` is its own limit again, which is minutes.
///
/// It is TCP's user timeout (RFC 5482 section 1), which Linux lets a connection have of its own. A peer
/// that has nothing to say yet acknowledges all the same. Other systems are not asked.
pub fn end_unacknowledged_after(stream: &TcpStream, limit: Option<Duration>) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    // A system that does not take it goes by its own limit.
    socket2::SockRef::from(stream).set_tcp_user_timeout(limit).ok();
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = (stream, limit);
}

#[cfg(all(test, any(target_os = "linux", target_os = "android")))]
mod tests {
    use socket2::SockRef;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_limit_is_that_of_the_connection_until_it_is_lifted() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let limit = Some(Duration::from_secs(5));
        end_unacknowledged_after(&stream, limit);
        assert_eq!(SockRef::from(&stream).tcp_user_timeout().unwrap(), limit);
        end_unacknowledged_after(&stream, None);
        assert_eq!(SockRef::from(&stream).tcp_user_timeout().unwrap(), None);
    }
}
