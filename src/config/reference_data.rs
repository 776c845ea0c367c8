//! Reads the reference data of a project from CSV files: exchange rates, service levels, sunsets of
//! API versions, what the programme cost.

use std::collections::BTreeMap;

use domain::{Day, ExchangeRateError, ExchangeRates, MONEY_SCALE, Money, month_of, parse_decimal};
use transform::{ProgrammeRow, SlaRow, SunsetRow};

use super::Config;
use super::file::OptionalFile;
use crate::csv_file::{self, CellError, Row};

/// The largest exchange rate that is taken; a larger one is more likely a typing error.
const LARGEST_RATE: f64 = 1e9;
/// The largest latency target, ms: one day.
const LONGEST_MS: f64 = 86_400_000.0;
/// The largest amount of a month, in the reporting currency; a larger one is a typing error.
const LARGEST_AMOUNT: i128 = 10_i128.pow(18);

impl Config {
    /// Reads the rows of `rates.csv`: date, currency, rate.
    pub(crate) fn rates(&self) -> anyhow::Result<ExchangeRates> {
        let mut rates = ExchangeRates::default();
        let mut lines = BTreeMap::new();
        let columns = ["date", "currency", "rate"];
        self.rows(&self.values.metrics.rates, columns, |row| {
            let day = row.day(0)?;
            let currency = row.text(1);
            let what = "a plain number above 0 and at most 1000000000 with a point";
            let Some(rate) = row.number(2, LARGEST_RATE, what, |_| None)? else {
                return Err(row.cell_error(2, format!("{what} is due")));
            };
            if currency == self.reporting_currency() && rate != 1.0 {
                let what = "is the reporting currency, whose rate is 1; remove the row, or correct \
                            [metrics] reporting_currency in rapport.toml";
                return Err(row.cell_error(1, what));
            }
            check_unique(&mut lines, row, (day, currency.to_owned()), "date and currency", 0)?;
            rates.add(row.text(0), currency, row.text(2)).map_err(|error| match error {
                ExchangeRateError::Currency(_) => row.cell_error(1, currency_error(currency)),
                ExchangeRateError::Rate(_) => {
                    row.cell_error(2, "a plain number with at most 8 decimals is due")
                }
                other => row.cell_error(0, other),
            })
        })?;
        Ok(rates)
    }

    /// Reads the rows of `sla.csv`: plan, target, latency target in ms; either target may be empty.
    pub(crate) fn sla(&self) -> anyhow::Result<Vec<SlaRow>> {
        let mut rows: Vec<SlaRow> = Vec::new();
        let mut lines = BTreeMap::new();
        let columns = ["plan", "target", "latency_target_ms"];
        self.rows(&self.values.metrics.sla, columns, |row| {
            let plan = row.name(0)?.to_owned();
            check_unique(&mut lines, row, plan.clone(), "plan", 0)?;
            let share = "the share of calls that is answered, above 0 and at most 1,";
            let target = row.number(1, 1.0, share, share_of_percent)?;
            let latency = "a number of milliseconds above 0 and at most 86400000, a day,";
            let latency_target_ms = row.number(2, LONGEST_MS, latency, |_| None)?;
            rows.push(SlaRow { plan, target, latency_target_ms });
            Ok(())
        })?;
        Ok(rows)
    }

    /// Reads the rows of `sunsets.csv`: version, date.
    pub(crate) fn sunsets(&self) -> anyhow::Result<Vec<SunsetRow>> {
        let mut rows: Vec<SunsetRow> = Vec::new();
        let mut lines = BTreeMap::new();
        let columns = ["api_version", "sunset_on"];
        self.rows(&self.values.metrics.sunsets, columns, |row| {
            let api_version = row.name(0)?.to_owned();
            check_unique(&mut lines, row, api_version.clone(), "version", 0)?;
            rows.push(SunsetRow { api_version, sunset_on: row.day(1)? });
            Ok(())
        })?;
        Ok(rows)
    }

    /// Reads the rows of `programme.csv`: month, revenue of the company, cost of the programme;
    /// either amount may be empty.
    pub(crate) fn programme(&self) -> anyhow::Result<Vec<ProgrammeRow>> {
        let mut rows: Vec<ProgrammeRow> = Vec::new();
        let mut lines = BTreeMap::new();
        let columns = ["month", "company_revenue", "cost"];
        self.rows(&self.values.metrics.programme, columns, |row| {
            let month = month(row, 0)?;
            check_unique(&mut lines, row, month, "month", 0)?;
            let (company_revenue, cost) = (amount(row, 1)?, amount(row, 2)?);
            rows.push(ProgrammeRow { month, company_revenue, cost });
            Ok(())
        })?;
        Ok(rows)
    }

    /// Reads the rows of a CSV file. A default file that is absent has none; one that the project's
    /// file names must exist.
    fn rows<const N: usize>(
        &self,
        file: &OptionalFile,
        columns: [&'static str; N],
        take: impl FnMut(&Row<'_, N>) -> Result<(), CellError>,
    ) -> anyhow::Result<()> {
        match file.find_in(&self.folder) {
            Some(path) => csv_file::read(&path, columns, take),
            None => Ok(()),
        }
    }
}

/// Refuses a second row with the same key.
fn check_unique<const N: usize, K: Ord>(
    lines: &mut BTreeMap<K, usize>,
    row: &Row<'_, N>,
    key: K,
    what: &str,
    column: usize,
) -> Result<(), CellError> {
    match lines.insert(key, row.line()) {
        None => Ok(()),
        Some(first) => {
            let what = format!("a second row of this {what}, the first is line {first}; keep one");
            Err(row.cell_error(column, what))
        }
    }
}

/// Returns a month, written as its first day.
fn month<const N: usize>(row: &Row<'_, N>, column: usize) -> Result<Day, CellError> {
    let text = row.text(column);
    let first_day = format!("{text}-01");
    if text.len() == 7 && first_day.parse::<Day>().is_ok() {
        let what = format!("a month is written as its first day; did you mean {first_day}?");
        return Err(row.cell_error(column, what));
    }
    let day = row.day(column)?;
    let first_day = month_of(day);
    if day != first_day {
        let what = format!("is no first day of a month; did you mean {first_day}?");
        return Err(row.cell_error(column, what));
    }
    Ok(day)
}

/// Returns an amount of money, exact, or `None` where the cell is empty.
fn amount<const N: usize>(row: &Row<'_, N>, column: usize) -> Result<Option<Money>, CellError> {
    let text = row.text(column);
    if text.is_empty() {
        return Ok(None);
    }
    let largest = LARGEST_AMOUNT * 10_i128.pow(MONEY_SCALE);
    let parse = |text: &str| {
        parse_decimal(text, MONEY_SCALE).filter(|amount| (0..=largest).contains(amount))
    };
    parse(text).map(|amount| Some(Money(amount))).ok_or_else(|| {
        let plain = plain_amount(text).filter(|plain| parse(plain).is_some());
        let suggestion = plain.map_or_else(String::new, |plain| format!("; did you mean {plain}?"));
        let what = "a plain number from 0 to 1000000000000000000 with a point and at most 12 \
                    decimals is due, or nothing where it is not known";
        row.cell_error(column, format!("{what}{suggestion}"))
    })
}

/// Returns 1,234,567.50 and 1.234.567,50 as "1234567.50"; `None` where it is not clear which sign is
/// the point.
fn plain_amount(text: &str) -> Option<String> {
    let text: String =
        text.chars().filter(|c| !matches!(c, ' ' | '_' | '\'' | '\u{a0}' | '\u{202f}')).collect();
    let (commas, points) = (text.matches(',').count(), text.matches('.').count());
    let last_is_comma = text.rfind(',') > text.rfind('.');
    match (commas, points) {
        (0, 0 | 1) => Some(text),
        // 1,234 may be a thousand or one and a bit.
        (1, 0) if text.len() - text.find(',').unwrap_or(0) == 4 => None,
        (1, _) if last_is_comma => Some(text.replace('.', "").replace(',', ".")),
        (_, 0 | 1) if !last_is_comma || points == 0 => Some(text.replace(',', "")),
        (0, _) => Some(text.replace('.', "")),
        _ => None,
    }
}

/// Returns 99.9 as "0.999"; `None` above 100.
fn share_of_percent(percent: f64) -> Option<String> {
    let share = format!("{:.12}", percent / 100.0);
    (percent <= 100.0).then(|| share.trim_end_matches('0').trim_end_matches('.').to_owned())
}

fn currency_error(currency: &str) -> String {
    let upper = currency.to_uppercase();
    let is_code = domain::minor_units(&upper).is_ok() && upper != currency;
    let suggestion = if is_code { format!("; did you mean {upper}?") } else { String::new() };
    format!("is no active ISO 4217 currency code{suggestion}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_become_shares() {
        let check =
            |percent, share: Option<&str>| assert_eq!(share_of_percent(percent).as_deref(), share);
        check(99.9, Some("0.999"));
        check(99.95, Some("0.9995"));
        check(100.0, Some("1"));
        check(101.0, None);
    }

    #[test]
    fn amounts_lose_the_signs_that_group_their_digits() {
        let check = |text, plain: Option<&str>| assert_eq!(plain_amount(text).as_deref(), plain);
        check("1,234,567.50", Some("1234567.50"));
        check("1.234.567,50", Some("1234567.50"));
        check("1 234 567,5", Some("1234567.5"));
        check("1'234.50", Some("1234.50"));
        check("1,234,567", Some("1234567"));
        check("1.234.567", Some("1234567"));
        check("0,5", Some("0.5"));
        check("1,234", None);
        check("1,2.3,4.5", None);
    }

    #[test]
    fn currency_codes_are_suggested_in_upper_case() {
        assert!(currency_error("eur").ends_with("did you mean EUR?"));
        assert!(currency_error("euro").ends_with("currency code"));
    }
}
