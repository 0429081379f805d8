//! How long connections live.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use crate::client::{connect, request, send};
use crate::stand::{Folder, Stand, certificate};

/// Reads until the server closes; how long that took and what there was.
async fn rest(stream: &mut (impl AsyncReadExt + Unpin)) -> (Duration, String) {
    let began = Instant::now();
    let mut rest = Vec::new();
    // Whether the end comes with a farewell of TLS is no matter.
    let _end = stream.read_to_end(&mut rest).await;
    (began.elapsed(), String::from_utf8_lossy(&rest).into_owned())
}

#[tokio::test]
async fn a_stop_ends_connections_that_are_kept_open() {
    let certificate = certificate();
    let folder = Folder::new(&certificate);
    let stand = Stand::start(&folder).await;
    let reply = send(stand.port, &certificate.authority, request("/readyz", "", "", "")).await;
    assert_eq!(reply.status, 200);
    let mut idle = connect(stand.port, &certificate.authority, "http/1.1").await.unwrap();
    stand.stop().await;
    assert_eq!(rest(&mut idle).await.1, "");
}

/// Paused time runs on when nothing else does: no need to wait.
#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_after_15_seconds() {
    let certificate = certificate();
    let folder = Folder::new(&certificate);
    let stand = Stand::start(&folder).await;
    for protocol in ["http/1.1", "h2"] {
        let mut idle = connect(stand.port, &certificate.authority, protocol).await.unwrap();
        if protocol == "h2" {
            idle.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
        }
        let (waited, _) = rest(&mut idle).await;
        assert!(
            waited >= Duration::from_secs(14) && waited < Duration::from_secs(26),
            "{protocol}: {waited:?}"
        );
    }
    stand.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_has_10_seconds_to_arrive() {
    let certificate = certificate();
    let folder = Folder::new(&certificate);
    let stand = Stand::start(&folder).await;
    let mut slow = connect(stand.port, &certificate.authority, "http/1.1").await.unwrap();
    let head = "POST /convert HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    slow.write_all(head.as_bytes()).await.unwrap();
    let (waited, answer) = rest(&mut slow).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(waited >= Duration::from_secs(9) && waited < Duration::from_secs(26), "{waited:?}");
    stand.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_speaks_no_tls_is_let_go() {
    let folder = Folder::new(&certificate());
    let stand = Stand::start(&folder).await;
    let mut silent = tokio::net::TcpStream::connect(("127.0.0.1", stand.port)).await.unwrap();
    let (waited, _) = rest(&mut silent).await;
    assert!(waited >= Duration::from_secs(9) && waited < Duration::from_secs(12), "{waited:?}");
    let mut plain = tokio::net::TcpStream::connect(("127.0.0.1", stand.port)).await.unwrap();
    plain.write_all(b"GET /readyz HTTP/1.1\r\n\r\n").await.unwrap();
    assert!(!rest(&mut plain).await.1.contains("200"));
    stand.stop().await;
}
