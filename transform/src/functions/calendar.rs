//! Calendar months: `month_start`, `next_month`, `months_apart` and `month_series`.
//!
//! Months are UTC and are written as the date of their first day. Every argument may be a date or
//! an instant; of an instant the UTC date counts.

use std::cell::Cell;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, Date32Builder, Int64Array, ListBuilder,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Field, TimeUnit, TimestampMicrosecondType,
};
use datafusion::common::Result;
use datafusion::logical_expr::{ScalarUDF, Signature, Volatility};
use domain::{Day, month_of, next_month as month_after};

use super::scalar::scalar;
use crate::functions::documentation::FunctionDoc;

pub(super) const MONTH_START: FunctionDoc = FunctionDoc {
    signature: "month_start(date or instant) → Date32",
    description: "The first day of its month",
    unit: "UTC date",
    source: "",
    example: "SELECT month_start(DATE '2026-01-31')",
    example_result: "2026-01-01",
};

pub(super) const NEXT_MONTH: FunctionDoc = FunctionDoc {
    signature: "next_month(date or instant) → Date32",
    description: "The first day of the month after its own, where its month ends",
    unit: "UTC date",
    source: "",
    example: "SELECT next_month(TIMESTAMP '2025-12-31T23:59:59Z')",
    example_result: "2026-01-01",
};

pub(super) const MONTHS_APART: FunctionDoc = FunctionDoc {
    signature: "months_apart(a, b: date or instant) → Int64",
    description: "How many months b's month is after a's; negative when it is before",
    unit: "calendar months",
    source: "",
    example: "SELECT months_apart(DATE '2025-11-30', DATE '2026-01-01')",
    example_result: "2",
};

pub(super) const MONTH_SERIES: FunctionDoc = FunctionDoc {
    signature: "month_series(a, b: date or instant) → List(Date32)",
    description: "Every month from a's to b's, both included, for unnest; empty when b's is before a's, NULL when one of them is",
    unit: "UTC dates",
    source: "",
    example: "SELECT month_series(DATE '2025-12-31', DATE '2026-01-01')",
    example_result: "[2025-12-01, 2026-01-01]",
};

pub(super) fn month_start() -> ScalarUDF {
    scalar(MONTH_START.name(), dates(1), DataType::Date32, |args| {
        Ok(each_day(&days(&args[0])?, month_of))
    })
}

pub(super) fn next_month() -> ScalarUDF {
    scalar(NEXT_MONTH.name(), dates(1), DataType::Date32, |args| {
        Ok(each_day(&days(&args[0])?, month_after))
    })
}

/// Applies `of` to each day. The last result is kept, because rows often come sorted by day.
fn each_day(days: &Date32Array, of: impl Fn(Day) -> Day) -> ArrayRef {
    let last = Cell::new((0, of(Day(0)).0));
    Arc::new(days.unary::<_, Date32Type>(|day| {
        if day != last.get().0 {
            last.set((day, of(Day(day)).0));
        }
        last.get().1
    }))
}

pub(super) fn months_apart() -> ScalarUDF {
    scalar(MONTHS_APART.name(), dates(2), DataType::Int64, |args| {
        let (a, b) = (days(&args[0])?, days(&args[1])?);
        let months = a.iter().zip(b.iter()).map(|(a, b)| Some(month_number(b?) - month_number(a?)));
        Ok(Arc::new(months.collect::<Int64Array>()))
    })
}

pub(super) fn month_series() -> ScalarUDF {
    let result = DataType::List(Arc::new(Field::new_list_field(DataType::Date32, true)));
    scalar(MONTH_SERIES.name(), dates(2), result, |args| {
        let (a, b) = (days(&args[0])?, days(&args[1])?);
        let mut series = ListBuilder::new(Date32Builder::new());
        for (a, b) in a.iter().zip(b.iter()) {
            let (Some(a), Some(b)) = (a, b) else {
                series.append_null();
                continue;
            };
            let mut month = month_of(Day(a));
            while month <= Day(b) {
                series.values().append_value(month.0);
                month = month_after(month);
            }
            series.append(true);
        }
        Ok(Arc::new(series.finish()))
    })
}

fn dates(count: usize) -> Signature {
    Signature::any(count, Volatility::Immutable)
}

/// Returns dates as they are and instants as their UTC date.
fn days(array: &ArrayRef) -> Result<Date32Array> {
    let DataType::Timestamp(..) = array.data_type() else {
        return Ok(cast(array, &DataType::Date32)?.as_primitive::<Date32Type>().clone());
    };
    // A timestamp without a zone is taken as UTC.
    let utc = cast(array, &DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))?;
    let micros = utc.as_primitive::<TimestampMicrosecondType>();
    Ok(micros.unary::<_, Date32Type>(|t| Day::of_micros(t).0))
}

/// Returns the number of months since the year 0.
fn month_number(day: i32) -> i64 {
    use chrono::Datelike;
    let date = Day(day).date();
    i64::from(date.year()) * 12 + i64::from(date.month0())
}

#[cfg(test)]
mod tests {
    use crate::functions::test_queries::check;

    #[tokio::test]
    async fn months_start_and_end() {
        for (given, start, next) in [
            ("DATE '2026-01-31'", "2026-01-01", "2026-02-01"),
            ("DATE '2024-02-29'", "2024-02-01", "2024-03-01"),
            ("DATE '2025-12-01'", "2025-12-01", "2026-01-01"),
            ("TIMESTAMP '2026-01-31T23:59:59.999999Z'", "2026-01-01", "2026-02-01"),
            (
                "arrow_cast('2026-02-01T00:30:00Z', 'Timestamp(Microsecond, Some(\"UTC\"))')",
                "2026-02-01",
                "2026-03-01",
            ),
            ("TIMESTAMP '1969-12-31T23:59:59Z'", "1969-12-01", "1970-01-01"),
            ("NULL", "", ""),
        ] {
            let sql = format!("SELECT month_start({given}) AS a, next_month({given}) AS b");
            check(&sql, &[&format!("{start},{next}")]).await;
        }
    }

    #[tokio::test]
    async fn months_are_counted_and_listed() {
        check(
            "SELECT months_apart(a, b) AS n, month_series(a, b) AS s
             FROM (VALUES (DATE '2025-11-30', DATE '2026-01-01'), (DATE '2026-01-31', DATE '2026-01-01'),
                          (DATE '2026-02-01', DATE '2026-01-31'), (NULL, DATE '2026-01-31')) AS v(a, b)",
            &["2,[2025-11-01, 2025-12-01, 2026-01-01]", "0,[2026-01-01]", "-1,[]", ","],
        )
        .await;
    }
}
