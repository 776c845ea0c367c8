//! The process that answers one connection of a BI tool, over one set of table versions. Its standard
//! input has the messages of the client, its standard output those for it; who is there was found out
//! before (`commands::serve::postgres`).
//!
//! - `backend`: the messages of a client and their answers, and `extended`, those of prepared statements
//! - `frame`: messages as bytes, and whether they are whole
//! - `portal`: prepared statements, and queries with values
//! - `connection_statements`: BEGIN, SET and the like, and cursors
//! - `settings`: what SET and SHOW know
//! - `parameters`: values as clients send them
//! - `cells`: values as clients read them; `text_form`, their texts; `numeric`, the binary form of
//!   decimals
//! - `refusal`: errors with their code
//! - `output`: messages on their way

mod backend;
mod cells;
mod connection_statements;
mod extended;
mod frame;
mod numeric;
mod output;
mod parameters;
mod portal;
mod refusal;
mod settings;
mod text_form;

use std::io::{BufReader, Read, stdin};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use bytes::BytesMut;
use domain::AsOf;
use pgwire::messages::PgWireFrontendMessage;
use tokio::sync::{Notify, mpsc};
use transform::postgres::ClientSession;

use crate::args::PostgresConnectionArgs;
use crate::project::Project;
use crate::{memory_limit, scratch_folder};
use backend::Backend;
use frame::HEADER_BYTES;
use output::Output;
use refusal::Refusal;

/// How many queries a statement counts as for the memory: views that it reads may be computed first.
const QUERIES_AT_ONCE: usize = 2;
/// How many messages are read ahead of the one that is answered.
const READ_AHEAD: usize = 64;
/// The type of the message by which a query is given up.
const CANCEL: u8 = 1;

/// Answers until the client leaves.
pub(crate) async fn run(project: &Project, options: &PostgresConnectionArgs) -> anyhow::Result<()> {
    let given_up = Arc::new(Notify::new());
    let (sender, messages) = mpsc::channel(READ_AHEAD);
    let told = Arc::clone(&given_up);
    let reader = thread::Builder::new().name("messages".to_owned());
    reader.spawn(move || read(&sender, &told)).context("the thread that reads messages")?;
    let mut output = Output::default();
    let session = match open_session(project, &options.user).await {
        Ok(session) => session,
        Err(error) => {
            output.put_error(&Refusal::fatal("58000", format!("{error:#}")))?;
            return output.flush();
        }
    };
    memory_limit::raise_for_queries(QUERIES_AT_ONCE);
    let timeout = Duration::from_millis(options.milliseconds);
    let mut backend = Backend::new(project, session, &options.user, timeout, given_up, output);
    backend.answer(messages).await
}

/// Opens a session on the newest tables. Nothing is written: stale rollups are computed when they are
/// read.
async fn open_session(project: &Project, user: &str) -> anyhow::Result<ClientSession> {
    let as_of = match project.watermark().await? {
        Some(watermark) => AsOf::at_or_before(watermark),
        None => AsOf::at_or_before(project.now),
    };
    project.stop_writing().await?;
    let session = project.reading_engine().open_session(as_of, None).await?;
    Ok(ClientSession::new(session, user))
}

/// Reads messages until the input ends, and then ends the process, also in the middle of a query.
fn read(to: &mpsc::Sender<anyhow::Result<PgWireFrontendMessage>>, given_up: &Notify) {
    let mut input = BufReader::new(stdin());
    loop {
        let mut header = [0; HEADER_BYTES];
        if input.read_exact(&mut header).is_err() {
            break;
        }
        let [kind, length @ ..] = header;
        let length = u32::from_be_bytes(length) as usize;
        if kind == CANCEL {
            given_up.notify_waiters();
            continue;
        }
        let mut frame = BytesMut::zeroed((1 + length).max(HEADER_BYTES));
        frame[..HEADER_BYTES].copy_from_slice(&header);
        if input.read_exact(&mut frame[HEADER_BYTES..]).is_err() {
            break;
        }
        if to.blocking_send(frame::decode(frame)).is_err() {
            return;
        }
    }
    scratch_folder::remove();
    std::process::exit(0);
}
