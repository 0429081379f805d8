//! Protobuf as such: numbered fields one after the other, each a number or some bytes. Nothing is trusted: every length is
//! checked, and nothing is ever read twice or recursively here.

use super::ProtobufError;

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content<'a> {
    /// A number or truth value.
    Number(u64),
    /// A string, bytes or message.
    Bytes(&'a [u8]),
    /// A number of fixed size, which nothing that is read here has.
    Fixed,
}

/// The fields of a message that are still to come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// Number and content of the next field.
    pub(super) fn next(&mut self) -> Result<Option<(u32, Content<'a>)>, ProtobufError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number =
            u32::try_from(tag >> 3).ok().filter(|number| *number > 0).ok_or(ProtobufError::Number)?;
        let content = match tag & 7 {
            0 => Content::Number(self.varint()?),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| ProtobufError::Truncated)?;
                Content::Bytes(self.take(length)?)
            }
            1 => self.take(8).map(|_| Content::Fixed)?,
            5 => self.take(4).map(|_| Content::Fixed)?,
            // Groups were given up before Kubernetes began.
            #[expect(clippy::cast_possible_truncation, reason = "three bits")]
            other => return Err(ProtobufError::WireType(other as u8)),
        };
        Ok(Some((number, content)))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], ProtobufError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(ProtobufError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Seven bits a byte, the lowest first; the highest bit says that more follow.
    fn varint(&mut self) -> Result<u64, ProtobufError> {
        // Tags and most lengths are of one byte.
        if let [byte, rest @ ..] = self.rest
            && *byte < 0x80
        {
            self.rest = rest;
            return Ok(u64::from(*byte));
        }
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.rest.split_first().ok_or(ProtobufError::Truncated)?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if *byte < 0x80 {
                // Of the tenth byte only one bit is left.
                return if shift == 63 && *byte > 1 { Err(ProtobufError::Number) } else { Ok(value) };
            }
        }
        Err(ProtobufError::Number)
    }
}

/// The bytes of one field, empty if it is not there.
pub(super) fn member(message: &[u8], number: u32) -> Result<&[u8], ProtobufError> {
    let (mut fields, mut found): (_, &[u8]) = (Fields::of(message), &[]);
    while let Some(field) = fields.next()? {
        match field {
            (of, Content::Bytes(bytes)) if of == number => found = bytes,
            _ => {}
        }
    }
    Ok(found)
}

/// Key and value of an entry of a map, each empty if it is not there.
pub(super) fn entry(message: &[u8]) -> Result<(&[u8], &[u8]), ProtobufError> {
    let (mut key, mut value): (&[u8], &[u8]) = Default::default();
    let mut fields = Fields::of(message);
    while let Some(field) = fields.next()? {
        match field {
            (1, Content::Bytes(bytes)) => key = bytes,
            (2, Content::Bytes(bytes)) => value = bytes,
            _ => {}
        }
    }
    Ok((key, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Result<Vec<(u32, Content<'_>)>, ProtobufError> {
        let mut fields = Fields::of(bytes);
        std::iter::from_fn(|| fields.next().transpose()).collect()
    }

    #[test]
    fn fields_are_numbers_and_bytes() {
        assert_eq!(
            all(b"\x08\x96\x01\x12\x02hi").unwrap(),
            [(1, Content::Number(150)), (2, Content::Bytes(b"hi"))]
        );
        assert_eq!(
            all(b"\x09\0\0\0\0\0\0\0\0\x15\0\0\0\0").unwrap(),
            [(1, Content::Fixed), (2, Content::Fixed)]
        );
        assert_eq!(all(b"").unwrap(), []);
        let minus_one = [8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1];
        assert_eq!(all(&minus_one).unwrap(), [(1, Content::Number(u64::MAX))]);
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        for truncated in
            [&b"\x08"[..], b"\x80", b"\x12\x02h", b"\x12\xff\xff\xff\xff\x0f", b"\x09\0\0", b"\x15\0"]
        {
            assert!(matches!(all(truncated), Err(ProtobufError::Truncated)), "{truncated:?}");
        }
        let too_long = [8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2];
        let endless = [8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1];
        let number_zero = [0, 0];
        let number_too_large = [0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 0];
        for impossible in [&too_long[..], &endless, &number_zero, &number_too_large] {
            assert!(matches!(all(impossible), Err(ProtobufError::Number)), "{impossible:?}");
        }
        for group in [b"\x0b", b"\x0c", b"\x0e", b"\x0f"] {
            assert!(matches!(all(group), Err(ProtobufError::WireType(_))), "{group:?}");
        }
        let huge = [0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert!(matches!(all(&huge), Err(ProtobufError::Truncated)));
    }

    #[test]
    fn entries_may_lack_what_is_empty() {
        assert_eq!(entry(b"\x0a\x01k\x12\x01v").unwrap(), (&b"k"[..], &b"v"[..]));
        assert_eq!(entry(b"\x12\x01v\x0a\x01k").unwrap(), (&b"k"[..], &b"v"[..]));
        assert_eq!(entry(b"").unwrap(), (&b""[..], &b""[..]));
    }
}
