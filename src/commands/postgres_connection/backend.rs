//! The messages of a client and their answers: what becomes of each, queries as texts, and the rows of
//! queries
//! (<https://www.postgresql.org/docs/current/protocol-flow.html>).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use pgwire::messages::PgWireFrontendMessage as Frontend;
use pgwire::messages::extendedquery::PortalSuspended;
use pgwire::messages::response::{EmptyQueryResponse, ReadyForQuery, TransactionStatus};
use tokio::sync::{Notify, mpsc};
use transform::postgres::{ClientSession, ClientStatement, parse};

use super::output::Output;
use super::portal::{Portal, Prepared};
use super::refusal::Refusal;
use super::settings::Settings;
use crate::project::Project;

/// After so many rows the limits are looked at.
const ROWS_AT_ONCE: usize = 1_024;

/// The answers of one connection.
pub(super) struct Backend<'a> {
    pub(super) project: &'a Project,
    pub(super) session: ClientSession,
    pub(super) user: String,
    pub(super) output: Output,
    pub(super) settings: Settings,
    pub(super) prepared: HashMap<String, Prepared>,
    /// Queries of the extended protocol and cursors, by their names.
    pub(super) portals: HashMap<String, Bound>,
    pub(super) status: TransactionStatus,
    timeout: Duration,
    given_up: Arc<Notify>,
}

/// What is bound to the name of a portal.
pub(super) enum Bound {
    Rows(Box<Portal>),
    /// A statement without rows, or none at all.
    Other(Option<ClientStatement>),
}

/// What was done with a statement.
pub(super) type Answered = Result<(), Refusal>;

impl<'a> Backend<'a> {
    pub(super) fn new(
        project: &'a Project,
        session: ClientSession,
        user: &str,
        timeout: Duration,
        given_up: Arc<Notify>,
        output: Output,
    ) -> Self {
        Self {
            project,
            session,
            user: user.to_owned(),
            output,
            settings: Settings::default(),
            prepared: HashMap::new(),
            portals: HashMap::new(),
            status: TransactionStatus::Idle,
            timeout,
            given_up,
        }
    }

    /// Answers messages until there are no more.
    pub(super) async fn answer(
        &mut self,
        mut messages: mpsc::Receiver<anyhow::Result<Frontend>>,
    ) -> anyhow::Result<()> {
        self.output.put(&ReadyForQuery::new(self.status))?;
        self.output.flush()?;
        // After an error of the extended protocol, messages are skipped up to the next Sync.
        let mut skips = false;
        while let Some(message) = messages.recv().await {
            let message = match message {
                Ok(message) => message,
                Err(error) => {
                    self.output.put_error(&Refusal::fatal("08P01", format!("{error:#}")))?;
                    return self.output.flush();
                }
            };
            let is_sync = matches!(message, Frontend::Sync(_));
            if skips && !is_sync {
                continue;
            }
            skips = false;
            let is_query = matches!(message, Frontend::Query(_));
            if let Err(error) = self.within_limits(message).await {
                self.fail(&error)?;
                if error.is_fatal {
                    return Ok(());
                }
                skips = !is_query;
            }
            if is_query || is_sync {
                self.finish()?;
            }
        }
        Ok(())
    }

    /// Answers a message within its time, unless the client gives it up.
    async fn within_limits(&mut self, message: Frontend) -> Answered {
        let limit = self.settings.timeout(self.timeout);
        let given_up = Arc::clone(&self.given_up);
        tokio::select! {
            biased;
            () = given_up.notified() => Err(Refusal::given_up()),
            () = tokio::time::sleep(limit) => Err(Refusal::took_too_long(limit)),
            answered = self.message(message) => answered,
        }
    }

    async fn message(&mut self, message: Frontend) -> Answered {
        match message {
            Frontend::Query(query) => self.texts(&query.query).await,
            Frontend::Parse(parse) => self.prepare(&parse),
            Frontend::Bind(bind) => self.bind(&bind).await,
            Frontend::Describe(describe) => self.describe(&describe).await,
            Frontend::Execute(execute) => self.execute(&execute).await,
            Frontend::Close(close) => self.close(&close),
            Frontend::Flush(_) => Ok(self.output.flush()?),
            // What follows a Sync is done for each of them.
            Frontend::Sync(_) => Ok(()),
            _ => Err(Refusal::fatal("08P01", "a message that does not belong here")),
        }
    }

    /// Tells an error, which a transaction does not survive.
    fn fail(&mut self, error: &Refusal) -> anyhow::Result<()> {
        if self.status == TransactionStatus::Transaction {
            self.status = TransactionStatus::Error;
        }
        self.output.put_error(error)?;
        self.output.flush()
    }

    /// Says that the next query may come.
    fn finish(&mut self) -> anyhow::Result<()> {
        if self.status == TransactionStatus::Idle {
            self.portals.retain(|name, _| name.starts_with(super::connection_statements::CURSOR));
        }
        self.output.put(&ReadyForQuery::new(self.status))?;
        self.output.flush()
    }

    /// Answers the statements of a text.
    async fn texts(&mut self, text: &str) -> Answered {
        let statements = self.parse(text)?;
        if statements.is_empty() {
            self.output.put(&EmptyQueryResponse::new())?;
        }
        for statement in statements {
            self.check_transaction(&statement)?;
            match statement {
                ClientStatement::Query(query) => {
                    let mut portal = Portal::new(query, Vec::new(), Vec::new());
                    let columns = portal.columns(&self.session).await?;
                    self.output.put_columns(columns)?;
                    self.send_rows(&mut portal, None).await?;
                }
                other => self.of_connection(other, true).await?,
            }
        }
        Ok(())
    }

    pub(super) fn parse(&self, text: &str) -> Result<Vec<ClientStatement>, Refusal> {
        let parsed = parse(text);
        // Some errors of a failed transaction are told before those of the next statement.
        if parsed.is_err() && self.status == TransactionStatus::Error {
            return Err(Refusal::in_failed_transaction());
        }
        Ok(parsed?)
    }

    /// Refuses everything but the end of a transaction that has failed.
    fn check_transaction(&self, statement: &ClientStatement) -> Answered {
        let ends = matches!(
            statement,
            ClientStatement::Commit | ClientStatement::Rollback | ClientStatement::Accepted(_)
        );
        if self.status == TransactionStatus::Error && !ends {
            return Err(Refusal::in_failed_transaction());
        }
        Ok(())
    }

    /// Sends the rows of a query, all of them or so many, and what comes after them.
    pub(super) async fn send_rows(&mut self, portal: &mut Portal, most: Option<usize>) -> Answered {
        let (sent, is_done) = self.send_portion(portal, most).await?;
        if is_done {
            let tag = match portal.query.tag() {
                tag @ "SELECT" => format!("{tag} {sent}"),
                tag => tag.to_owned(),
            };
            return Ok(self.output.put_tag(tag)?);
        }
        Ok(self.output.put(&PortalSuspended::new())?)
    }

    /// Sends rows. Returns how many, and whether they were the last.
    pub(super) async fn send_portion(
        &mut self,
        portal: &mut Portal,
        most: Option<usize>,
    ) -> Result<(usize, bool), Refusal> {
        let mut row = BytesMut::new();
        let mut sent = 0;
        while most.is_none_or(|most| sent < most) {
            if !portal.next_row(&self.session, &mut row).await? {
                return Ok((sent, true));
            }
            self.output.put_row(&row);
            self.output.flush_if_full()?;
            sent += 1;
            // Rows that are ready leave no time to the limits.
            if sent % ROWS_AT_ONCE == 0 {
                tokio::task::yield_now().await;
            }
        }
        Ok((sent, false))
    }
}
