//! Messages on their way to the client. A write waits for a client that does not read; the server ends
//! the process when that takes too long.

use std::io::{Write, stdout};

use anyhow::Context;
use bytes::BytesMut;
use pgwire::messages::Message;
use pgwire::messages::data::{FieldDescription, RowDescription};
use pgwire::messages::response::{CommandComplete, ErrorResponse};

use super::cells::{Column, Format};
use super::refusal::Refusal;

/// So many bytes are collected before they are written.
const CHUNK: usize = 32 << 10;

/// The messages that the client has not got yet.
#[derive(Default)]
pub(super) struct Output {
    waiting: BytesMut,
}

impl Output {
    pub(super) fn put(&mut self, message: &impl Message) -> anyhow::Result<()> {
        message.encode(&mut self.waiting).context("a message")
    }

    /// Adds a row that is a message already.
    pub(super) fn put_row(&mut self, row: &[u8]) {
        self.waiting.extend_from_slice(row);
    }

    pub(super) fn put_tag(&mut self, tag: impl Into<String>) -> anyhow::Result<()> {
        self.put(&CommandComplete::new(tag.into()))
    }

    pub(super) fn put_columns(&mut self, columns: &[Column]) -> anyhow::Result<()> {
        let fields = columns.iter().map(|column| {
            FieldDescription::new(
                column.name.clone(),
                0,
                0,
                column.of.oid(),
                column.of.length(),
                column.of.modifier,
                i16::from(column.format == Format::Binary),
            )
        });
        self.put(&RowDescription::new(fields.collect()))
    }

    pub(super) fn put_error(&mut self, error: &Refusal) -> anyhow::Result<()> {
        let severity = if error.is_fatal { "FATAL" } else { "ERROR" };
        self.put(&ErrorResponse::new(vec![
            (b'S', severity.to_owned()),
            (b'V', severity.to_owned()),
            (b'C', error.code.to_owned()),
            // A message ends with a zero byte, so that a text has none.
            (b'M', error.message.replace('\0', "")),
        ]))
    }

    /// Writes what is there once it is enough for a write.
    pub(super) fn flush_if_full(&mut self) -> anyhow::Result<()> {
        if self.waiting.len() >= CHUNK { self.flush() } else { Ok(()) }
    }

    /// Writes everything.
    pub(super) fn flush(&mut self) -> anyhow::Result<()> {
        let mut out = stdout().lock();
        out.write_all(&self.waiting).context("the client")?;
        self.waiting.clear();
        out.flush().context("the client")
    }
}
