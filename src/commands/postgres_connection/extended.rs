//! The extended protocol: statements that are prepared, bound to the values of their parameters,
//! described and executed
//! (<https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-EXT-QUERY>).

use pgwire::messages::data::{NoData, ParameterDescription};
use pgwire::messages::extendedquery::{
    Bind, BindComplete, Close, CloseComplete, Describe, Execute, Parse, ParseComplete,
    TARGET_TYPE_BYTE_STATEMENT,
};
use pgwire::messages::response::{EmptyQueryResponse, TransactionStatus};
use transform::postgres::{ClientStatement, TypeOfColumn};

use super::backend::{Answered, Backend, Bound};
use super::cells::columns_of;
use super::portal::{Portal, Prepared};
use super::refusal::Refusal;

impl Backend<'_> {
    pub(super) fn prepare(&mut self, message: &Parse) -> Answered {
        let mut statements = self.parse(&message.query)?;
        if statements.len() > 1 {
            return Err(Refusal::new("42601", "a prepared statement is a single one"));
        }
        let prepared = Prepared::new(statements.pop(), &message.type_oids);
        self.prepared.insert(message.name.clone().unwrap_or_default(), prepared);
        Ok(self.output.put(&ParseComplete::new())?)
    }

    pub(super) async fn bind(&mut self, message: &Bind) -> Answered {
        let name = message.statement_name.clone().unwrap_or_default();
        let prepared = self.prepared.get_mut(&name).ok_or_else(|| unknown_statement(&name))?;
        if let Some(statement) = &prepared.statement
            && self.status == TransactionStatus::Error
            && !matches!(statement, ClientStatement::Commit | ClientStatement::Rollback)
        {
            return Err(Refusal::in_failed_transaction());
        }
        let values = prepared.values(&self.session, message).await?;
        let bound = match prepared.query() {
            Some(query) => {
                let formats = message.result_column_format_codes.clone();
                Bound::Rows(Box::new(Portal::new(query.clone(), values, formats)))
            }
            None => Bound::Other(prepared.statement.clone()),
        };
        self.portals.insert(message.portal_name.clone().unwrap_or_default(), bound);
        Ok(self.output.put(&BindComplete::new())?)
    }

    pub(super) async fn describe(&mut self, message: &Describe) -> Answered {
        let name = message.name.clone().unwrap_or_default();
        if message.target_type == TARGET_TYPE_BYTE_STATEMENT {
            let prepared = self.prepared.get_mut(&name).ok_or_else(|| unknown_statement(&name))?;
            let described = prepared.describe(&self.session).await?;
            let (types, schema) = described.map_or((Vec::new(), None), |(t, s)| (t, Some(s)));
            let oids = types.iter().map(|of| TypeOfColumn::of(of).oid()).collect();
            let columns = match (&prepared.statement, schema) {
                (_, Some(schema)) => columns_of(&schema, &[]),
                (Some(ClientStatement::Show(name)), None) => {
                    super::connection_statements::shown(name)
                }
                _ => Vec::new(),
            };
            self.output.put(&ParameterDescription::new(oids))?;
            return match columns.as_slice() {
                [] => Ok(self.output.put(&NoData::new())?),
                columns => Ok(self.output.put_columns(columns)?),
            };
        }
        match self.portals.get_mut(&name) {
            Some(Bound::Rows(portal)) => {
                let columns = portal.columns(&self.session).await?;
                Ok(self.output.put_columns(columns)?)
            }
            Some(Bound::Other(Some(ClientStatement::Show(name)))) => {
                Ok(self.output.put_columns(&super::connection_statements::shown(name))?)
            }
            Some(Bound::Other(Some(ClientStatement::Fetch { cursor, .. }))) => {
                let cursor = cursor.clone();
                self.describe_cursor(&cursor).await
            }
            Some(Bound::Other(_)) => Ok(self.output.put(&NoData::new())?),
            // A cursor of SQL is a portal too.
            None => self.describe_cursor(&name).await,
        }
    }

    pub(super) async fn execute(&mut self, message: &Execute) -> Answered {
        let name = message.name.clone().unwrap_or_default();
        let most = usize::try_from(message.max_rows).ok().filter(|most| *most > 0);
        match self.portals.remove(&name) {
            Some(Bound::Rows(mut portal)) => {
                let sent = self.send_rows(&mut portal, most).await;
                self.portals.insert(name, Bound::Rows(portal));
                sent
            }
            Some(Bound::Other(Some(statement))) => self.of_connection(statement, false).await,
            Some(Bound::Other(None)) => Ok(self.output.put(&EmptyQueryResponse::new())?),
            None => Err(unknown_portal(&name)),
        }
    }

    pub(super) fn close(&mut self, message: &Close) -> Answered {
        let name = message.name.clone().unwrap_or_default();
        if message.target_type == TARGET_TYPE_BYTE_STATEMENT {
            self.prepared.remove(&name);
        } else {
            self.portals.remove(&name);
        }
        Ok(self.output.put(&CloseComplete::new())?)
    }
}

fn unknown_statement(name: &str) -> Refusal {
    Refusal::new("26000", format!("there is no prepared statement \"{name}\""))
}

fn unknown_portal(name: &str) -> Refusal {
    Refusal::new("34000", format!("there is no cursor \"{name}\""))
}
