//! The CSV files of a project: exchange rates, service levels, sunsets of versions.

use std::collections::BTreeMap;
use std::path::Path;

use lake_types::{Rates, RatesError};
use transform::{SlaRow, SunsetRow};

use super::Config;
use crate::csv_file::{self, Row, Wrong};

/// The largest rate: a slip of the keyboard is more likely than a currency worth more.
const LARGEST_RATE: f64 = 1e9;
/// A day, in ms: no answer takes longer.
const LONGEST_MS: f64 = 86_400_000.0;

impl Config {
    /// The rows of `rates.csv`: date, currency, rate.
    pub(crate) fn rates(&self) -> anyhow::Result<Rates> {
        let mut rates = Rates::default();
        let mut lines = BTreeMap::new();
        let columns = ["date", "currency", "rate"];
        self.rows(self.metrics.rates.as_deref(), "rates.csv", columns, |row| {
            let day = row.day(0)?;
            let currency = row.text(1);
            let what = "a plain number above 0 and at most 1000000000 with a point";
            let Some(rate) = row.number(2, LARGEST_RATE, what, |_| None)? else {
                return Err(row.wrong(2, format!("{what} is due")));
            };
            if currency == self.reporting_currency() && rate != 1.0 {
                let what = "is the reporting currency, whose rate is 1; remove the row, or correct \
                            [metrics] reporting_currency in rapport.toml";
                return Err(row.wrong(1, what));
            }
            once(&mut lines, row, (day, currency.to_owned()), "date and currency", 0)?;
            rates.add(row.text(0), currency, row.text(2)).map_err(|error| match error {
                RatesError::Currency(_) => row.wrong(1, currency_help(currency)),
                RatesError::Rate(_) => {
                    row.wrong(2, "a plain number with at most 8 decimals is due")
                }
                other => row.wrong(0, other),
            })
        })?;
        Ok(rates)
    }

    /// The rows of `sla.csv`: plan, target, latency target in ms; either target may be empty.
    pub(crate) fn sla(&self) -> anyhow::Result<Vec<SlaRow>> {
        let mut rows: Vec<SlaRow> = Vec::new();
        let mut lines = BTreeMap::new();
        let columns = ["plan", "target", "latency_target_ms"];
        self.rows(self.metrics.sla.as_deref(), "sla.csv", columns, |row| {
            let plan = row.name(0)?.to_owned();
            once(&mut lines, row, plan.clone(), "plan", 0)?;
            let share = "the share of calls that is answered, above 0 and at most 1,";
            let target = row.number(1, 1.0, share, of_percent)?;
            let latency = "a number of milliseconds above 0 and at most 86400000, a day,";
            let latency_target_ms = row.number(2, LONGEST_MS, latency, |_| None)?;
            rows.push(SlaRow { plan, target, latency_target_ms });
            Ok(())
        })?;
        Ok(rows)
    }

    /// The rows of `sunsets.csv`: version, date.
    pub(crate) fn sunsets(&self) -> anyhow::Result<Vec<SunsetRow>> {
        let mut rows: Vec<SunsetRow> = Vec::new();
        let mut lines = BTreeMap::new();
        let columns = ["api_version", "sunset_on"];
        self.rows(self.metrics.sunsets.as_deref(), "sunsets.csv", columns, |row| {
            let api_version = row.name(0)?.to_owned();
            once(&mut lines, row, api_version.clone(), "version", 0)?;
            rows.push(SunsetRow { api_version, sunset_on: row.day(1)? });
            Ok(())
        })?;
        Ok(rows)
    }

    /// Reads a CSV of these columns. A default file that is absent is empty, one named is an error.
    fn rows<const N: usize>(
        &self,
        named: Option<&Path>,
        default: &str,
        columns: [&'static str; N],
        take: impl FnMut(&Row<'_, N>) -> Result<(), Wrong>,
    ) -> anyhow::Result<()> {
        let path = self.folder.join(named.unwrap_or(Path::new(default)));
        if named.is_none() && !path.exists() {
            return Ok(());
        }
        csv_file::read(&path, columns, take)
    }
}

/// Refuses a second row of the same key.
fn once<const N: usize, K: Ord>(
    lines: &mut BTreeMap<K, usize>,
    row: &Row<'_, N>,
    key: K,
    what: &str,
    column: usize,
) -> Result<(), Wrong> {
    match lines.insert(key, row.line()) {
        None => Ok(()),
        Some(first) => {
            let what = format!("a second row of this {what}, the first is line {first}; keep one");
            Err(row.wrong(column, what))
        }
    }
}

/// 99.9 as "0.999", where that is a share.
fn of_percent(percent: f64) -> Option<String> {
    let share = format!("{:.12}", percent / 100.0);
    (percent <= 100.0).then(|| share.trim_end_matches('0').trim_end_matches('.').to_owned())
}

fn currency_help(currency: &str) -> String {
    let upper = currency.to_uppercase();
    let meant = lake_types::minor_units(&upper).is_ok() && upper != currency;
    let meant = if meant { format!("; did you mean {upper}?") } else { String::new() };
    format!("is no active ISO 4217 currency code{meant}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_is_a_share() {
        let check =
            |percent, share: Option<&str>| assert_eq!(of_percent(percent).as_deref(), share);
        check(99.9, Some("0.999"));
        check(99.95, Some("0.9995"));
        check(100.0, Some("1"));
        check(101.0, None);
    }

    #[test]
    fn currencies_are_written_large() {
        assert!(currency_help("eur").ends_with("did you mean EUR?"));
        assert!(currency_help("euro").ends_with("currency code"));
    }
}
