//! A call as Go's gRPC makes it, with an `:authority` of the test's choice.
//!
//! The usual Rust client cannot send the authority that kubelet and grpcurl send (its HTTP crate refuses it), so the frames
//! are written here by hand: preface, SETTINGS, HEADERS, DATA, and the answer's DATA is picked out.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use prost::Message;

const LIMIT: Duration = Duration::from_secs(10);

/// The socket's path, percent-encoded, as grpc-go sends it when nobody names an authority.
#[must_use]
pub fn authority_of(socket: &Path) -> String {
    socket.to_string_lossy().replace('/', "%2F")
}

/// Makes one unary call, such as `/csi.v1.Identity/Probe`, and gives the message of the answer.
pub fn call<A: Message + Default>(
    socket: &Path,
    authority: &str,
    path: &str,
    request: &impl Message,
) -> Result<A> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(LIMIT))?;
    let mut headers = Vec::new();
    for (name, value) in [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", authority),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ] {
        headers.push(0);
        literal(name, &mut headers)?;
        literal(value, &mut headers)?;
    }
    let message = request.encode_to_vec();
    let mut data = vec![0];
    data.extend(u32::try_from(message.len())?.to_be_bytes());
    data.extend(message);
    let mut out = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    out.extend(frame(4, 0, 0, &[])?);
    out.extend(frame(1, 4, 1, &headers)?);
    out.extend(frame(0, 1, 1, &data)?);
    stream.write_all(&out)?;
    let answer = read_data(&mut stream)?;
    Ok(A::decode(answer.get(5..).context("an answer without the five bytes before its message")?)?)
}

/// A string of a header block. Lengths below 127 fit the prefix; longer ones take one more byte up to 254.
fn literal(text: &str, out: &mut Vec<u8>) -> Result<()> {
    match u8::try_from(text.len())? {
        short @ 0..127 => out.push(short),
        255 => bail!("{text} is too long for this client"),
        long => out.extend([127, long - 127]),
    }
    out.extend(text.as_bytes());
    Ok(())
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Result<Vec<u8>> {
    let [_, length @ ..] = u32::try_from(payload.len())?.to_be_bytes();
    let mut out = length.to_vec();
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(payload);
    Ok(out)
}

/// The first DATA frame of stream 1; a reset is an error.
fn read_data(stream: &mut UnixStream) -> Result<Vec<u8>> {
    loop {
        let mut header = [0; 9];
        stream.read_exact(&mut header)?;
        let [a, b, c, kind, ..] = header;
        let mut payload = vec![0; usize::try_from(u32::from_be_bytes([0, a, b, c]))?];
        stream.read_exact(&mut payload)?;
        match kind {
            0 => return Ok(payload),
            3 => bail!("RST_STREAM {payload:?}"),
            7 => bail!("GOAWAY {payload:?}"),
            _ => {}
        }
    }
}
