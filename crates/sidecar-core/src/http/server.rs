//! The listener's loop: plain HTTP/1.1, as upstream.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::reply::{Asked, Reply};
use super::routes::Routes;

/// A client that sends no complete request head within this is cut off, so that idle ones cannot pile up.
const HEAD_TIMEOUT: Duration = Duration::from_secs(120);

/// Connections served at a time; more wait.
const MOST_CONNECTIONS: usize = 64;

/// Pause after a failed accept, for example when no file descriptor is left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves for as long as the process lives.
pub(super) async fn serve(listener: TcpListener, routes: Routes) {
    let slots = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(serve_one(stream, routes.clone(), slot));
            }
            Err(error) => {
                tracing::error!(err = %error, "Failed to accept a connection for diagnostics");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_one(stream: TcpStream, routes: Routes, _slot: OwnedSemaphorePermit) {
    let answer = service_fn(move |request: http::Request<Incoming>| {
        let asked = read(request.uri(), request.headers());
        let routes = routes.clone();
        async move { Ok::<_, Infallible>(write(routes.answer(asked).await)) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), answer)
        .await;
    if let Err(error) = served {
        tracing::debug!(err = %error, "A diagnostics connection ended early");
    }
}

fn read(uri: &http::Uri, headers: &HeaderMap) -> Asked {
    Asked {
        path: uri.path().to_owned(),
        query: uri.query().unwrap_or_default().to_owned(),
        accepts_gzip: headers.get_all(header::ACCEPT_ENCODING).iter().any(names_gzip),
    }
}

/// Whether `Accept-Encoding` has `gzip` with a weight other than zero.
fn names_gzip(value: &HeaderValue) -> bool {
    let Ok(text) = value.to_str() else { return false };
    text.split(',').any(|item| {
        let (coding, weight) = item.split_once(';').unwrap_or((item, ""));
        let weight = weight.trim().strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok());
        coding.trim() == "gzip" && weight != Some(0.0)
    })
}

fn write(reply: Reply) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(reply.body));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    for (name, value) in reply.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_used_where_it_is_named() {
        for (text, named) in
            [("gzip", true), ("deflate, gzip;q=0.5", true), ("gzip;q=0", false), ("*", false), ("", false)]
        {
            assert_eq!(names_gzip(&HeaderValue::from_str(text).unwrap()), named, "{text}");
        }
    }
}
