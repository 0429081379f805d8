use super::*;

/// A HEADERS frame with the given block, as grpc-go sends it.
fn headers_frame(flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    frame(TYPE_HEADERS, flags, stream, payload)
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    FrameHeader { length: payload.len(), kind, flags, stream }.write(&mut out);
    out.extend_from_slice(payload);
    out.to_vec()
}

fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = BytesMut::new();
    for (name, value) in fields {
        literal(&mut out, name.as_bytes(), value.as_bytes());
    }
    out.to_vec()
}

fn decoded(bytes: &[u8]) -> Vec<(u8, Vec<(String, String)>)> {
    let mut rest = bytes;
    let mut decoder = Decoder::new();
    let mut frames = Vec::new();
    while let Some(header) = FrameHeader::parse(rest) {
        let payload = &rest[FRAME_HEADER..FRAME_HEADER + header.length];
        let fields = if header.kind == TYPE_HEADERS {
            let fields = decoder.decode(payload).unwrap();
            fields
                .into_iter()
                .map(|(name, value)| (String::from_utf8(name).unwrap(), String::from_utf8(value).unwrap()))
                .collect()
        } else {
            Vec::new()
        };
        frames.push((header.flags, fields));
        rest = &rest[FRAME_HEADER + header.length..];
    }
    frames
}

fn rewrite(stream: &[u8], piece: usize) -> io::Result<Vec<u8>> {
    let mut rewriter = Rewriter::new();
    let mut out = BytesMut::new();
    for part in stream.chunks(piece) {
        rewriter.push(part, &mut out)?;
    }
    Ok(out.to_vec())
}

#[test]
fn the_encoded_path_becomes_localhost_whatever_the_pieces() {
    let call = block(&[
        (":method", "POST"),
        (":authority", "%2Fvar%2Flib%2Fkubelet%2Fplugins_registry%2Fx-reg.sock"),
        ("te", "trailers"),
    ]);
    let mut stream = PREFACE.to_vec();
    stream.extend(frame(0x4, 0, 0, &[0, 3, 0, 0, 0, 100]));
    stream.extend(headers_frame(FLAG_END_HEADERS, 1, &call));
    stream.extend(frame(0x0, FLAG_END_STREAM, 1, &[0, 0, 0, 0, 0]));
    let whole = rewrite(&stream, stream.len()).unwrap();
    for piece in [1, 2, 3, 7, 64] {
        assert_eq!(rewrite(&stream, piece).unwrap(), whole, "pieces of {piece}");
    }
    assert!(whole.starts_with(PREFACE));
    let frames = decoded(&whole[PREFACE.len()..]);
    assert_eq!(frames.len(), 3, "{frames:?}");
    assert_eq!(frames[1].0, FLAG_END_HEADERS);
    let expected = [(":method", "POST"), (":authority", "localhost"), ("te", "trailers")]
        .map(|(n, v)| (n.to_owned(), v.to_owned()));
    assert_eq!(frames[1].1, expected);
}

#[test]
fn padding_priority_and_continuation_are_understood() {
    let call = block(&[(":authority", "/a/b.sock"), ("x", &"y".repeat(300))]);
    let (first, second) = call.split_at(10);
    let mut padded = vec![4, 0, 0, 0, 0, 16];
    padded.extend_from_slice(first);
    padded.extend_from_slice(&[0; 4]);
    let mut stream = PREFACE.to_vec();
    stream.extend(headers_frame(FLAG_PADDED | FLAG_PRIORITY | FLAG_END_STREAM, 3, &padded));
    stream.extend(frame(TYPE_CONTINUATION, FLAG_END_HEADERS, 3, second));
    let frames = decoded(&rewrite(&stream, 5).unwrap()[PREFACE.len()..]);
    assert_eq!(frames.len(), 1);
    assert_eq!(frames[0].0, FLAG_END_STREAM | FLAG_END_HEADERS);
    assert_eq!(frames[0].1[0].1, "localhost");
    assert_eq!(frames[0].1[1].1, "y".repeat(300));
}

#[test]
fn a_long_block_is_split_into_frames_the_server_accepts() {
    let long = "v".repeat(MAX_FRAME);
    let call = block(&[(":authority", "x"), ("long", &long)]);
    let (first, second) = call.split_at(MAX_FRAME);
    let mut stream = PREFACE.to_vec();
    stream.extend(headers_frame(0, 1, first));
    stream.extend(frame(TYPE_CONTINUATION, FLAG_END_HEADERS, 1, second));
    let out = rewrite(&stream, 1000).unwrap();
    let header = FrameHeader::parse(&out[PREFACE.len()..]).unwrap();
    assert_eq!((header.length, header.flags & FLAG_END_HEADERS), (MAX_FRAME, 0));
    let next = FrameHeader::parse(&out[PREFACE.len() + FRAME_HEADER + header.length..]).unwrap();
    assert_eq!((next.kind, next.flags), (TYPE_CONTINUATION, FLAG_END_HEADERS));
}

#[test]
fn nonsense_is_an_error_not_a_panic() {
    for bad in [
        headers_frame(FLAG_PADDED, 1, &[9]),
        headers_frame(FLAG_PRIORITY, 1, &[1, 2]),
        frame(TYPE_CONTINUATION, FLAG_END_HEADERS, 1, &[]),
        headers_frame(FLAG_END_HEADERS, 1, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
    ] {
        let mut stream = PREFACE.to_vec();
        stream.extend(bad);
        assert!(rewrite(&stream, 4).is_err());
    }
}

#[test]
fn integers_follow_the_rfc_examples() {
    for (value, expected) in
        [(10, vec![10]), (126, vec![126]), (127, vec![127, 0]), (1337, vec![127, 186, 9])]
    {
        let mut out = BytesMut::new();
        integer(&mut out, value);
        assert_eq!(out.to_vec(), expected, "{value}");
    }
}
