//! The frames that a run is given: their columns, and their rows in the order of the partners.

use std::cmp::Ordering;

use domain::Day;
use polars::prelude::{
    BooleanChunked, ChunkCompareEq, DataFrame, DataType, Float64Chunked, IdxCa, Int32Chunked,
    Int64Chunked, PolarsError, StringChunked,
};

use crate::columns::{Numbers, numbers};
use crate::risk::ModelError;

/// Why nothing could be scored.
#[derive(Debug, thiserror::Error)]
pub enum ScoreError {
    #[error("scoring input: the frame `{frame}` is missing")]
    MissingFrame { frame: String },
    #[error("scoring input: the frame `{frame}` has no column `{column}`")]
    MissingColumn { frame: String, column: &'static str },
    #[error("scoring input: `{frame}.{column}` is {found}; it must be {wanted}")]
    ColumnType { frame: String, column: &'static str, found: String, wanted: String },
    #[error("scoring input: `{frame}.{column}` is null in row {row}")]
    Null { frame: String, column: &'static str, row: usize },
    #[error(
        "scoring input: the rows of `{frame}` are not ordered by day and partner_id at row {row}"
    )]
    Unordered { frame: String, row: usize },
    #[error("the risk model: {0}")]
    Model(#[from] ModelError),
    #[error("a column of scores could not be built: {0}")]
    Polars(#[from] PolarsError),
}

/// A frame with its name, for errors.
#[derive(Clone)]
pub(crate) struct InputFrame {
    pub name: String,
    pub frame: DataFrame,
}

/// Defines a method that returns a column of one type.
macro_rules! column {
    ($name:ident, $chunked:ty, $dtype:expr) => {
        pub(crate) fn $name(&self, column: &'static str) -> Result<&$chunked, ScoreError> {
            let missing = |_| ScoreError::MissingColumn { frame: self.name.clone(), column };
            let found = self.frame.column(column).map_err(missing)?;
            found.as_materialized_series().$name().map_err(|_| ScoreError::ColumnType {
                frame: self.name.clone(),
                column,
                found: found.dtype().to_string(),
                wanted: $dtype.to_string(),
            })
        }
    };
}

impl InputFrame {
    pub(crate) fn new(name: &str, frame: DataFrame) -> Self {
        Self { name: name.to_owned(), frame }
    }

    column!(i32, Int32Chunked, DataType::Int32);
    column!(i64, Int64Chunked, DataType::Int64);
    column!(f64, Float64Chunked, DataType::Float64);
    column!(bool, BooleanChunked, DataType::Boolean);
    column!(str, StringChunked, DataType::String);

    /// Returns a column of whole numbers as numbers.
    pub(crate) fn count(&self, column: &'static str) -> Result<Numbers, ScoreError> {
        Ok(numbers(self.i64(column)?))
    }

    /// Returns a value that must not be null.
    pub(crate) fn required<T>(
        &self,
        column: &'static str,
        row: usize,
        value: Option<T>,
    ) -> Result<T, ScoreError> {
        value.ok_or_else(|| ScoreError::Null { frame: self.name.clone(), column, row })
    }

    /// Returns the rows in which a week of the window is left out; 0 stands for none.
    pub(crate) fn without_week(&self, week: i64) -> Result<Self, ScoreError> {
        let rows = self.i64("left_out")?.equal(week);
        Ok(Self { name: self.name.clone(), frame: self.frame.filter(&rows)? })
    }

    /// Returns the rows of a day.
    pub(crate) fn of_day(&self, day: Day) -> Result<Self, ScoreError> {
        let rows = self.i32("day")?.equal(day.0);
        Ok(Self { name: self.name.clone(), frame: self.frame.filter(&rows)? })
    }

    /// Returns a row for each key, in their order; NULL in all columns where this frame has none.
    /// Both must be ordered by day and partner id. A frame that has these rows already shares its
    /// columns.
    pub(crate) fn aligned(&self, keys: &Keys) -> Result<Self, ScoreError> {
        let (days, ids) = (self.i32("day")?, self.str("partner_id")?);
        let mut rows = days.iter().zip(ids.iter()).enumerate().peekable();
        let mut last: Option<(i32, &str)> = None;
        let mut taken: Vec<Option<u32>> = Vec::with_capacity(keys.len());
        for (key_day, key_id) in keys.iter() {
            let mut found = None;
            while let Some((row, (day, id))) = rows.peek().copied() {
                let day = self.required("day", row, day)?;
                let id = self.required("partner_id", row, id)?;
                if last.is_some_and(|last| last >= (day, id)) {
                    return Err(ScoreError::Unordered { frame: self.name.clone(), row });
                }
                match (day, id).cmp(&(key_day.0, key_id)) {
                    Ordering::Greater => break,
                    Ordering::Equal => found = u32::try_from(row).ok(),
                    Ordering::Less => {}
                }
                last = Some((day, id));
                rows.next();
                if found.is_some() {
                    break;
                }
            }
            taken.push(found);
        }
        let has_these_rows = self.frame.height() == taken.len()
            && taken.iter().zip(0..).all(|(taken, row)| *taken == Some(row));
        if has_these_rows {
            return Ok(self.clone());
        }
        let taken: IdxCa = taken.into_iter().collect();
        Ok(Self { name: self.name.clone(), frame: self.frame.take(&taken)? })
    }
}

/// The day and the partner of each row of a run, ordered by both, each once.
#[derive(Clone)]
pub(crate) struct Keys {
    days: Int32Chunked,
    ids: StringChunked,
}

impl Keys {
    /// Reads the keys of a frame.
    pub(crate) fn of(frame: &InputFrame) -> Result<Self, ScoreError> {
        let (days, ids) = (frame.i32("day")?, frame.str("partner_id")?);
        let mut last: Option<(i32, &str)> = None;
        for (row, (day, id)) in days.iter().zip(ids.iter()).enumerate() {
            let key = (frame.required("day", row, day)?, frame.required("partner_id", row, id)?);
            if last.is_some_and(|last| last >= key) {
                return Err(ScoreError::Unordered { frame: frame.name.clone(), row });
            }
            last = Some(key);
        }
        Ok(Self { days: days.clone(), ids: ids.clone() })
    }

    pub(crate) fn len(&self) -> usize {
        self.days.len()
    }

    pub(crate) fn days(&self) -> &Int32Chunked {
        &self.days
    }

    pub(crate) fn ids(&self) -> &StringChunked {
        &self.ids
    }

    /// Returns the day and the partner of a row.
    pub(crate) fn get(&self, row: usize) -> Option<(Day, &str)> {
        Some((Day(self.days.get(row)?), self.ids.get(row)?))
    }

    /// Returns the day and the partner of each row.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Day, &str)> {
        let rows = self.days.iter().zip(self.ids.iter());
        rows.map(|(day, id)| (Day(day.unwrap_or_default()), id.unwrap_or_default()))
    }
}
