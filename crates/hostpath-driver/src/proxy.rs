//! Proxy mode (sheet, 5.12): connects callers of one endpoint with a driver that dials the other one.
//!
//! Kubernetes' tests run the driver inside the test program, which can reach a pod only by dialling it; sidecars and
//! kubelet dial a socket. So both sides dial here, and the connections are joined in the order of their arrival.

use csi_driver_kit::endpoint::Endpoint;
use csi_driver_kit::server::{Listener, ServeError, Stream};
use tokio::io::{AsyncWriteExt as _, copy};
use tokio::task::JoinSet;

/// Listens on both endpoints until `stop` completes. Both stay open all the time: who dials in vain dials again.
pub(crate) async fn run(
    one: &Endpoint,
    other: &Endpoint,
    stop: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let (one, other) = (Listener::bind(one).await?, Listener::bind(other).await?);
    let pairs = async {
        let mut pairs = JoinSet::new();
        loop {
            match next_pair(&one, &other).await {
                Ok((first, second)) => drop(pairs.spawn(join(first, second))),
                Err(error) => tracing::warn!(%error, "Could not take a connection"),
            }
            while pairs.try_join_next().is_some() {}
        }
    };
    tokio::select! {
        biased;
        () = stop => Ok(()),
        () = pairs => Ok(()),
    }
}

async fn next_pair(one: &Listener, other: &Listener) -> std::io::Result<(Stream, Stream)> {
    let first = one.accept().await?;
    Ok((first, other.accept().await?))
}

/// Carries bytes both ways until one side ends; then the other one ends too.
async fn join(first: Stream, second: Stream) {
    let (mut from_first, mut to_first) = tokio::io::split(first);
    let (mut from_second, mut to_second) = tokio::io::split(second);
    tokio::select! {
        _ended = copy(&mut from_first, &mut to_second) => {}
        _ended = copy(&mut from_second, &mut to_first) => {}
    }
    // Whoever does not read any more is none of our business.
    let _closed = to_first.shutdown().await;
    let _closed = to_second.shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::UnixStream;

    async fn dial(path: &std::path::Path) -> UnixStream {
        loop {
            if let Ok(stream) = UnixStream::connect(path).await {
                return stream;
            }
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn proxy_bytes_a_to_b_b_to_a_closing_one_side() {
        let directory = tempfile::tempdir().unwrap();
        let (a, b) = (directory.path().join("a"), directory.path().join("b"));
        let (one, other) = (Endpoint::Unix(a.clone()), Endpoint::Unix(b.clone()));
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let proxy = tokio::spawn(async move { run(&one, &other, async { drop(stopped.await) }).await });
        for _round in 0..2 {
            let (mut left, mut right) = (dial(&a).await, dial(&b).await);
            let mut buffer = [0; 4];
            left.write_all(b"ping").await.unwrap();
            right.read_exact(&mut buffer).await.unwrap();
            assert_eq!(&buffer, b"ping");
            right.write_all(b"pong").await.unwrap();
            left.read_exact(&mut buffer).await.unwrap();
            assert_eq!(&buffer, b"pong");
            drop(left);
            assert_eq!(right.read(&mut buffer).await.unwrap(), 0, "the other side sees the end");
        }
        stop.send(()).unwrap();
        proxy.await.unwrap().unwrap();
        assert!(!a.exists() && !b.exists());
    }
}
