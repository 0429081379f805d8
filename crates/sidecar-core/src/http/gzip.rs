//! Compression, which Prometheus asks for.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::reply::{Asked, Reply};

/// Compresses the body if the request accepts that.
pub(super) fn compress_if_accepted(reply: Reply, asked: &Asked) -> Reply {
    if !asked.accepts_gzip {
        return reply;
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let compressed = encoder.write_all(&reply.body).and_then(|()| encoder.finish());
    match compressed {
        Ok(body) => Reply { body: body.into(), ..reply }.with_header("content-encoding", "gzip"),
        Err(_) => reply,
    }
}
