//! Statements that concern the connection: transactions, settings, and cursors. Nothing is written, so
//! that a transaction only says whether an error came before.

use pgwire::messages::response::TransactionStatus;
use transform::postgres::{ClientStatement, PgType, TypeOfColumn};

use super::backend::{Backend, Bound};
use super::cells::{Column, Format};
use super::portal::Portal;
use super::refusal::Refusal;

/// What stands before the name of a cursor among the names of portals.
pub(super) const CURSOR: &str = "cursor ";

/// Settings that tell what the connection reads.
const AS_OF: &str = "rapport.as_of";
const VERSIONS: &str = "rapport.versions";

/// Returns the column that SHOW gives.
pub(super) fn shown(name: &str) -> Vec<Column> {
    let of = TypeOfColumn { element: PgType::TEXT, is_array: false, modifier: -1 };
    vec![Column { name: name.replace(' ', "_"), of, format: Format::Text }]
}

impl Backend<'_> {
    /// Answers a statement that is no query. `describes` says whether its columns come before its rows.
    pub(super) async fn of_connection(
        &mut self,
        statement: ClientStatement,
        describes: bool,
    ) -> Result<(), Refusal> {
        let tag = match statement {
            ClientStatement::Begin => {
                self.status = TransactionStatus::Transaction;
                "BEGIN"
            }
            ClientStatement::Commit => {
                let failed = self.status == TransactionStatus::Error;
                self.status = TransactionStatus::Idle;
                if failed { "ROLLBACK" } else { "COMMIT" }
            }
            ClientStatement::Rollback => {
                self.status = TransactionStatus::Idle;
                "ROLLBACK"
            }
            ClientStatement::Accepted(tag) => {
                if tag == "ROLLBACK" && self.status == TransactionStatus::Error {
                    // Back to a savepoint.
                    self.status = TransactionStatus::Transaction;
                }
                tag
            }
            ClientStatement::Set { name, value } => {
                self.settings.set(&name, &value)?;
                "SET"
            }
            ClientStatement::Reset(name) => {
                self.settings.reset(name.as_deref());
                "RESET"
            }
            ClientStatement::Show(name) => {
                self.show(&name, describes)?;
                "SHOW"
            }
            ClientStatement::DiscardAll => {
                self.discard().await?;
                "DISCARD ALL"
            }
            ClientStatement::Deallocate(name) => {
                match name {
                    Some(name) => drop(self.prepared.remove(&name)),
                    None => self.prepared.clear(),
                }
                "DEALLOCATE"
            }
            ClientStatement::DeclareCursor { name, query } => {
                let portal = Portal::new(query, Vec::new(), Vec::new());
                self.portals.insert(format!("{CURSOR}{name}"), Bound::Rows(Box::new(portal)));
                "DECLARE CURSOR"
            }
            ClientStatement::Fetch { cursor, count } => {
                return self.fetch(&cursor, count, describes).await;
            }
            ClientStatement::CloseCursor(name) => {
                match name {
                    Some(name) => drop(self.portals.remove(&format!("{CURSOR}{name}"))),
                    None => self.portals.retain(|name, _| !name.starts_with(CURSOR)),
                }
                "CLOSE CURSOR"
            }
            // Queries are answered before.
            ClientStatement::Query(_) => "SELECT",
        };
        Ok(self.output.put_tag(tag)?)
    }

    fn show(&mut self, name: &str, describes: bool) -> Result<(), Refusal> {
        let value = match name {
            AS_OF => self.session.session().as_of().to_string(),
            VERSIONS => serde_json::to_string(self.session.session().versions())
                .map_err(|error| Refusal::new("XX000", error.to_string()))?,
            name => self.settings.show(name)?,
        };
        if describes {
            self.output.put_columns(&shown(name))?;
        }
        let length = value.len() as u32;
        let mut row = vec![b'D'];
        row.extend((length + 10).to_be_bytes());
        row.extend(1_u16.to_be_bytes());
        row.extend(length.to_be_bytes());
        row.extend(value.as_bytes());
        self.output.put_row(&row);
        Ok(())
    }

    /// Makes the connection what it was at its begin, and reads the newest tables from now on.
    async fn discard(&mut self) -> Result<(), Refusal> {
        self.prepared.clear();
        self.portals.clear();
        self.settings.reset(None);
        self.session = super::open_session(self.project, &self.user)
            .await
            .map_err(|error| Refusal::new("58000", format!("{error:#}")))?;
        Ok(())
    }

    async fn fetch(
        &mut self,
        cursor: &str,
        count: Option<usize>,
        describes: bool,
    ) -> Result<(), Refusal> {
        let name = format!("{CURSOR}{cursor}");
        let Some(Bound::Rows(mut portal)) = self.portals.remove(&name) else {
            return Err(unknown_cursor(cursor));
        };
        if describes {
            let columns = portal.columns(&self.session).await?;
            self.output.put_columns(columns)?;
        }
        let sent = self.send_portion(&mut portal, count).await;
        self.portals.insert(name, Bound::Rows(portal));
        let (sent, _) = sent?;
        Ok(self.output.put_tag(format!("FETCH {sent}"))?)
    }

    /// Says which columns FETCH gives.
    pub(super) async fn describe_cursor(&mut self, cursor: &str) -> Result<(), Refusal> {
        let Some(Bound::Rows(portal)) = self.portals.get_mut(&format!("{CURSOR}{cursor}")) else {
            return Err(unknown_cursor(cursor));
        };
        let columns = portal.columns(&self.session).await?;
        Ok(self.output.put_columns(columns)?)
    }
}

fn unknown_cursor(name: &str) -> Refusal {
    Refusal::new("34000", format!("there is no cursor \"{name}\""))
}
