//! The check that every billing event before `as_of` has an exchange rate.

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type};
use domain::Day;

use super::Session;
use crate::catalog::statement::Statement;
use crate::error::{Result, TransformError};

/// The view that converts amounts: whoever reads it needs every rate.
pub(super) const MONEY_VIEW: &str = "money_day";

/// Returns the first day and currency of a billing event that has no rate. Payments need none: they
/// are in no amount of money.
const FIRST_MISSING_RATE: &str = "SELECT b.currency, min(b.event_date) AS event_date \
     FROM billing_day b \
     LEFT JOIN (SELECT currency, min(valid_from) AS valid_from FROM rates GROUP BY currency) r \
       ON r.currency = b.currency \
     WHERE b.event_date < $as_of \
       AND b.kind NOT IN ('payment_failed', 'payment_succeeded') \
       AND b.currency NOT IN (SELECT reporting_currency FROM settings) \
       AND (r.valid_from IS NULL OR b.event_date < r.valid_from) \
     GROUP BY b.currency ORDER BY event_date, b.currency LIMIT 1";

impl Session {
    /// # Errors
    /// [`TransformError::MissingExchangeRate`] for the first event without a rate; errors of
    /// DataFusion.
    pub(super) async fn check_rates(&self) -> Result<()> {
        const LOCATION: &str = "the check of exchange rates";
        let statement = Statement::parse(FIRST_MISSING_RATE, LOCATION)?;
        let frame = self.plan(statement, LOCATION).await?;
        let batches = frame.collect().await.map_err(TransformError::sql(LOCATION))?;
        let Some(missing) = batches.iter().find(|b| b.num_rows() > 0) else { return Ok(()) };
        let fail = |e: arrow::error::ArrowError| TransformError::sql(LOCATION)(e.into());
        let currency = cast(missing.column(0), &DataType::Utf8).map_err(fail)?;
        Err(TransformError::MissingExchangeRate {
            currency: currency.as_string::<i32>().value(0).to_owned(),
            day: Day(missing.column(1).as_primitive::<Date32Type>().value(0)),
        })
    }
}
