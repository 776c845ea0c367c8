//! Prepared statements, and queries with the values of their parameters.

use arrow::datatypes::{DataType, SchemaRef};
use pgwire::messages::extendedquery::Bind;
use transform::postgres::{ClientQuery, ClientSession, ClientStatement, Parameter};
use transform::{QueryStream, TransformError};

use super::cells::{Column, Format, Rows, columns_of, rows};
use super::parameters;
use super::refusal::Refusal;

/// The most columns of a result, as in PostgreSQL; messages count them in two bytes.
const MAX_COLUMNS: usize = 1_664;

/// A statement that a client has prepared.
pub(super) struct Prepared {
    /// `None` for a text without a statement.
    pub(super) statement: Option<ClientStatement>,
    /// The types of parameters that the client states.
    stated: Vec<Option<DataType>>,
    /// What the query needs and gives, once somebody has asked.
    described: Option<(Vec<DataType>, SchemaRef)>,
}

impl Prepared {
    pub(super) fn new(statement: Option<ClientStatement>, type_oids: &[u32]) -> Self {
        let stated = type_oids.iter().map(|oid| parameters::stated_type(*oid)).collect();
        Self { statement, stated, described: None }
    }

    /// Returns the query, if the statement is one.
    pub(super) fn query(&self) -> Option<&ClientQuery> {
        match &self.statement {
            Some(ClientStatement::Query(query)) => Some(query),
            _ => None,
        }
    }

    /// Returns the types of the parameters and the schema of the rows.
    pub(super) async fn describe(
        &mut self,
        session: &ClientSession,
    ) -> Result<Option<(Vec<DataType>, SchemaRef)>, TransformError> {
        if self.described.is_none()
            && let Some(query) = self.query()
        {
            let description = session.describe(query, &self.stated).await?;
            self.described = Some((description.parameters, description.schema));
        }
        Ok(self.described.clone())
    }

    /// Reads the values of the parameters.
    pub(super) async fn values(
        &mut self,
        session: &ClientSession,
        bind: &Bind,
    ) -> Result<Vec<Parameter>, Refusal> {
        let wanted = self.query().map_or(0, |query| query.parameters);
        if bind.parameters.len() != wanted {
            let given = bind.parameters.len();
            let why = format!("the statement has {wanted} parameters, and {given} values came");
            return Err(Refusal::new("08P01", why));
        }
        if wanted == 0 {
            return Ok(Vec::new());
        }
        let stated: Option<Vec<DataType>> = self.stated.iter().cloned().collect();
        let types = match stated.filter(|types| types.len() == wanted) {
            Some(types) => types,
            None => self.describe(session).await?.map(|(types, _)| types).unwrap_or_default(),
        };
        let values = bind.parameters.iter().zip(&types).enumerate().map(|(at, (value, of))| {
            let format = Format::of_column(&bind.parameter_format_codes, at);
            parameters::read(value.as_deref(), format, of, at + 1)
        });
        values.collect()
    }
}

/// A query with values, and its rows once they are asked for.
pub(super) struct Portal {
    pub(super) query: ClientQuery,
    values: Vec<Parameter>,
    formats: Vec<i16>,
    started: Option<Started>,
}

struct Started {
    stream: QueryStream,
    columns: Vec<Column>,
    rows: Option<Rows>,
}

impl Portal {
    pub(super) fn new(query: ClientQuery, values: Vec<Parameter>, formats: Vec<i16>) -> Self {
        Self { query, values, formats, started: None }
    }

    /// Returns the columns of the rows. The query is started.
    pub(super) async fn columns(&mut self, session: &ClientSession) -> Result<&[Column], Refusal> {
        Ok(&self.start(session).await?.columns)
    }

    async fn start(&mut self, session: &ClientSession) -> Result<&mut Started, Refusal> {
        let started = match self.started.take() {
            Some(started) => started,
            None => {
                let stream = session.stream(&self.query, &self.values).await?;
                let columns = columns_of(&stream.schema, &self.formats);
                if columns.len() > MAX_COLUMNS {
                    let why = format!("a result has {MAX_COLUMNS} columns at most");
                    return Err(Refusal::new("54011", why));
                }
                Started { stream, columns, rows: None }
            }
        };
        Ok(self.started.insert(started))
    }

    /// Writes the next row as a message into a buffer; false at the end.
    pub(super) async fn next_row(
        &mut self,
        session: &ClientSession,
        row: &mut bytes::BytesMut,
    ) -> Result<bool, Refusal> {
        let started = self.start(session).await?;
        loop {
            if let Some(rows) = &mut started.rows
                && rows.next_into(row)?
            {
                return Ok(true);
            }
            match started.stream.next().await? {
                Some(batch) => started.rows = Some(rows(&batch, &started.columns)?),
                None => {
                    started.rows = None;
                    return Ok(false);
                }
            }
        }
    }
}
