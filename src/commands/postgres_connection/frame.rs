//! Messages of the client as bytes: whether what they announce is there, and what they say.

use anyhow::{Context, bail};
use bytes::BytesMut;
use pgwire::messages::{DecodeContext, PgWireFrontendMessage, ProtocolVersion};

/// A message has a type and a length.
pub(super) const HEADER_BYTES: usize = 5;

/// Reads a message, which is whole by its length.
///
/// # Errors
/// A message whose parts do not fit into it.
pub(super) fn decode(mut frame: BytesMut) -> anyhow::Result<PgWireFrontendMessage> {
    check(&frame)?;
    let mut context = DecodeContext::new(ProtocolVersion::PROTOCOL3_0);
    context.awaiting_frontend_ssl = false;
    context.awaiting_frontend_startup = false;
    let decoded = PgWireFrontendMessage::decode(&mut frame, &context);
    decoded.context("a message of the client")?.context("a message of the client was cut short")
}

/// Checks the parts of a message before they are decoded, since the decoder takes them to be there.
fn check(frame: &[u8]) -> anyhow::Result<()> {
    let (Some(kind), Some(body)) = (frame.first(), frame.get(HEADER_BYTES..)) else {
        bail!("a message of the client has no length");
    };
    let mut parts = Parts(body);
    let is_whole = match kind {
        b'Q' => parts.text(),
        b'P' => parts.text().and_then(|()| parts.text()).and_then(|()| parts.numbers(4)),
        b'B' => parts
            .text()
            .and_then(|()| parts.text())
            .and_then(|()| parts.numbers(2))
            .and_then(|()| parts.values())
            .and_then(|()| parts.numbers(2)),
        b'D' | b'C' => parts.bytes(1).and_then(|_| parts.text()),
        b'E' => parts.text().and_then(|()| parts.bytes(4)).map(drop),
        b'H' | b'S' => Some(()),
        kind => bail!("a message of the type {kind} does not belong here"),
    };
    if is_whole.is_none() || !parts.0.is_empty() {
        bail!("a message of the client does not hold what it announces");
    }
    Ok(())
}

/// What is left of a message. Each step is `None` where it is not there.
struct Parts<'a>(&'a [u8]);

impl<'a> Parts<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// Takes a text up to its zero byte.
    fn text(&mut self) -> Option<()> {
        let end = self.0.iter().position(|byte| *byte == 0)?;
        self.bytes(end + 1).map(drop)
    }

    fn count(&mut self) -> Option<usize> {
        let bytes = self.bytes(2)?.try_into().ok()?;
        Some(u16::from_be_bytes(bytes).into())
    }

    /// Takes numbers of so many bytes, after their count.
    fn numbers(&mut self, size: usize) -> Option<()> {
        let count = self.count()?;
        self.bytes(count * size).map(drop)
    }

    /// Takes values after their count, each after its length; NULL has a length below 0.
    fn values(&mut self) -> Option<()> {
        for _ in 0..self.count()? {
            let length = i32::from_be_bytes(self.bytes(4)?.try_into().ok()?);
            if let Ok(length) = usize::try_from(length) {
                self.bytes(length)?;
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a message of a type with a body.
    fn frame(kind: u8, body: &[u8]) -> BytesMut {
        let length = (body.len() + 4) as u32;
        BytesMut::from_iter([&[kind][..], &length.to_be_bytes(), body].concat())
    }

    const WHOLE: [(u8, &[u8]); 9] = [
        (b'Q', b"SELECT 1\0"),
        (b'P', b"s\0SELECT $1\0\0\x01\0\0\0\x14"),
        (b'B', b"p\0s\0\0\x01\0\x01\0\x02\0\0\0\x02ab\xff\xff\xff\xff\0\x01\0\0"),
        (b'D', b"Ss\0"),
        (b'C', b"Pp\0"),
        (b'E', b"p\0\0\0\0\x05"),
        (b'E', b"\0\0\0\0\0"),
        (b'H', b""),
        (b'S', b""),
    ];

    #[test]
    fn whole_messages_are_read() {
        for (kind, body) in WHOLE {
            decode(frame(kind, body)).expect("a message");
        }
        let bind = decode(frame(WHOLE[2].0, WHOLE[2].1)).expect("a message");
        let PgWireFrontendMessage::Bind(bind) = bind else { panic!("{bind:?}") };
        assert_eq!(bind.parameters, [Some(bytes::Bytes::from_static(b"ab")), None]);
    }

    #[test]
    fn what_is_cut_short_or_too_long_is_refused() {
        for (kind, body) in WHOLE {
            for end in 0..body.len() {
                assert!(decode(frame(kind, &body[..end])).is_err(), "{kind}: {end}");
            }
            assert!(decode(frame(kind, &[body, b"x"].concat())).is_err(), "{kind}");
        }
        // A count or a length that promises more than there is.
        for (kind, body) in [
            (b'P', &b"\0SELECT 1\0\xff\xff"[..]),
            (b'B', b"\0\0\xff\xff"),
            (b'B', b"\0\0\0\0\0\x01\x7f\xff\xff\xff"),
            (1, b""),
            (b'F', b""),
            (b'd', b"1"),
        ] {
            assert!(decode(frame(kind, body)).is_err(), "{kind}");
        }
        assert!(decode(BytesMut::from(&b"Q"[..])).is_err());
    }
}
