//! Messages of the protocol as bytes: read whole, by their length, and written at once
//! (<https://www.postgresql.org/docs/current/protocol-message-formats.html>).

use anyhow::{Context, bail};
use bytes::BytesMut;
use pgwire::messages::Message;
use pgwire::messages::response::ErrorResponse;
use pgwire::messages::startup::{BackendKeyData, ParameterStatus, SecretKey};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::sign_in::Refusal;

/// The longest message of a client: a long query with its parameters.
pub(super) const MAX_MESSAGE: usize = 4 << 20;
/// The length of a message counts its own four bytes.
const LENGTH_BYTES: usize = 4;

/// A connection, encrypted or not.
pub(super) trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

pub(super) type Stream = Box<dyn ByteStream>;

/// A message with its type and length.
pub(super) struct Frame(pub(super) Vec<u8>);

impl Frame {
    /// Returns the type of the message.
    pub(super) fn kind(&self) -> u8 {
        self.0[0]
    }

    /// Returns what follows the length.
    pub(super) fn body(&self) -> &[u8] {
        &self.0[1 + LENGTH_BYTES..]
    }
}

/// Reads a message. Nothing is allocated for one that is longer than `longest`. `None` when
/// the other side has closed the connection between two of them.
pub(super) async fn read_frame(
    from: &mut (impl AsyncRead + Unpin),
    longest: usize,
) -> anyhow::Result<Option<Frame>> {
    let mut header = [0; 1 + LENGTH_BYTES];
    if from.read(&mut header[..1]).await? == 0 {
        return Ok(None);
    }
    from.read_exact(&mut header[1..]).await?;
    let [_, length @ ..] = header;
    let length = u32::from_be_bytes(length) as usize;
    if !(LENGTH_BYTES..=longest).contains(&length) {
        bail!("a message says that it has {length} bytes; {longest} is the most");
    }
    let mut frame = vec![0; 1 + length];
    frame[..header.len()].copy_from_slice(&header);
    from.read_exact(&mut frame[header.len()..]).await?;
    Ok(Some(Frame(frame)))
}

/// Messages on their way to a client.
#[derive(Default)]
pub(super) struct Output(BytesMut);

impl Output {
    pub(super) fn put(&mut self, message: &impl Message) -> anyhow::Result<()> {
        message.encode(&mut self.0).context("a message")
    }

    pub(super) fn put_parameter(&mut self, name: &str, value: &str) -> anyhow::Result<()> {
        self.put(&ParameterStatus::new(name.to_owned(), value.to_owned()))
    }

    pub(super) fn put_key(&mut self, process: i32, secret: i32) -> anyhow::Result<()> {
        self.put(&BackendKeyData::new(process, SecretKey::I32(secret)))
    }

    pub(super) async fn send(self, to: &mut (impl AsyncWrite + Unpin)) -> anyhow::Result<()> {
        to.write_all(&self.0).await?;
        Ok(to.flush().await?)
    }
}

/// Tells a client why its connection ends.
pub(super) async fn refuse(
    to: &mut (impl AsyncWrite + Unpin),
    refusal: &Refusal,
) -> anyhow::Result<()> {
    let mut out = Output::default();
    out.put(&ErrorResponse::new(vec![
        (b'S', "FATAL".to_owned()),
        (b'V', "FATAL".to_owned()),
        (b'C', refusal.code.to_owned()),
        (b'M', refusal.message.clone()),
    ]))?;
    out.send(to).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_are_read_whole() {
        let mut bytes = &b"Q\0\0\0\x06a\0X\0\0\0\x04"[..];
        let first = read_frame(&mut bytes, 100).await.expect("a message").expect("a message");
        assert_eq!((first.kind(), first.body()), (b'Q', &b"a\0"[..]));
        let second = read_frame(&mut bytes, 100).await.expect("a message").expect("a message");
        assert_eq!((second.kind(), second.body().len()), (b'X', 0));
        assert!(read_frame(&mut bytes, 100).await.expect("an end").is_none());
        for wrong in [&b"Q\0\0\0\x03"[..], b"Q\0\0\x01\0", b"Q\0\0\0\x09a", b"Q\0"] {
            assert!(read_frame(&mut &*wrong, 100).await.is_err(), "{wrong:?}");
        }
    }
}
