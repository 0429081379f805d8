//! Kubelet's side: dials the registration socket with an authority of the test's choice.
//!
//! The usual Rust client cannot send the authority that kubelet sends (its HTTP crate refuses it), so the frames
//! are written here by hand: preface, SETTINGS, HEADERS, DATA, and the answer's DATA is picked out.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use csi_client::registration::{InfoRequest, PluginInfo, RegistrationStatus, RegistrationStatusResponse};
use prost::Message;

/// Asks for the plugin's information.
pub(crate) fn get_info(socket: &Path, authority: &str) -> Result<PluginInfo, String> {
    call(socket, authority, "GetInfo", &InfoRequest {})
}

/// Gives the verdict.
pub(crate) fn notify(
    socket: &Path,
    registered: bool,
    error: &str,
) -> Result<RegistrationStatusResponse, String> {
    let status = RegistrationStatus { plugin_registered: registered, error: error.to_owned() };
    call(socket, &kubelets_authority(socket), "NotifyRegistrationStatus", &status)
}

/// The socket's path, percent-encoded, as grpc-go sends it when nobody names an authority.
pub(crate) fn kubelets_authority(socket: &Path) -> String {
    socket.to_str().unwrap().replace('/', "%2F")
}

fn call<A: Message + Default>(
    socket: &Path,
    authority: &str,
    method: &str,
    request: &impl Message,
) -> Result<A, String> {
    let mut stream = UnixStream::connect(socket).map_err(|error| error.to_string())?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let path = format!("/pluginregistration.Registration/{method}");
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", &path),
        (":authority", authority),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    let mut headers = Vec::new();
    for (name, value) in fields {
        headers.push(0);
        for text in [name, value] {
            // Lengths below 127 fit the prefix; longer ones take one more byte up to 254.
            match u8::try_from(text.len()).unwrap() {
                short @ 0..127 => headers.push(short),
                long => headers.extend([127, long - 127]),
            }
            headers.extend(text.as_bytes());
        }
    }
    let message = request.encode_to_vec();
    let mut data = vec![0];
    data.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    data.extend(message);
    let mut out = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    out.extend(frame(4, 0, 0, &[]));
    out.extend(frame(1, 4, 1, &headers));
    out.extend(frame(0, 1, 1, &data));
    stream.write_all(&out).map_err(|error| error.to_string())?;
    let answer = read_data(&mut stream)?;
    A::decode(&answer[5..]).map_err(|error| error.to_string())
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(payload);
    out
}

/// The first DATA frame of stream 1; a reset is an error.
fn read_data(stream: &mut UnixStream) -> Result<Vec<u8>, String> {
    loop {
        let mut header = [0; 9];
        stream.read_exact(&mut header).map_err(|error| error.to_string())?;
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]);
        let mut payload = vec![0; length as usize];
        stream.read_exact(&mut payload).map_err(|error| error.to_string())?;
        match header[3] {
            0 => return Ok(payload),
            3 => return Err(format!("RST_STREAM {payload:?}")),
            _ => {}
        }
    }
}
