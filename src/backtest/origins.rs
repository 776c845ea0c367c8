//! The origins of a backtest: the days as of which partners are scored.

use domain::{Day, counted};

use crate::errors::usage_error;

/// Days of traffic before the first origin: the windows W and B of the score.
const WARM_UP_DAYS: i32 = 112;
/// Days after an origin for which a partner is watched at least.
const LABEL_DAYS: i32 = 28;
/// With fewer origins a backtest says little.
const MIN_ORIGINS: usize = 6;

/// Which origins are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OriginOptions {
    /// Days from one origin to the next.
    pub(crate) every: i32,
    /// The newest so many; `None` for as many as fit.
    pub(crate) count: Option<usize>,
    /// No origin is earlier, or later.
    pub(crate) from: Option<Day>,
    pub(crate) to: Option<Day>,
}

/// Returns the origins, the earliest first, of a lake with production calls from `first_call` to
/// the day before `end`. They are counted back from the last one.
///
/// # Errors
/// Fewer than six fit.
pub(crate) fn origins(
    first_call: Day,
    end: Day,
    options: &OriginOptions,
) -> anyhow::Result<Vec<Day>> {
    let earliest = first_call.plus(WARM_UP_DAYS);
    let latest = end.plus(-LABEL_DAYS);
    let first = options.from.map_or(earliest, |from| from.max(earliest));
    let last = options.to.map_or(latest, |to| to.min(latest));
    let back = (0..).map(|n| last.plus(-n * options.every));
    let count = options.count.unwrap_or(usize::MAX);
    let mut origins: Vec<Day> = back.take_while(|day| *day >= first).take(count).collect();
    origins.reverse();
    if origins.len() < MIN_ORIGINS {
        return Err(usage_error(format!(
            "{} fit, and a backtest needs {MIN_ORIGINS}: they can lie from {earliest}, {WARM_UP_DAYS} days \
             after the first production call, to {latest}, {LABEL_DAYS} days before the end of the \
             data, {} days apart",
            counted(origins.len() as u64, "origin"),
            options.every,
        )));
    }
    Ok(origins)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: OriginOptions = OriginOptions { every: 28, count: None, from: None, to: None };

    #[test]
    fn origins_are_counted_back_from_the_last_label() {
        #[track_caller]
        fn check(options: OriginOptions, days: i32, expected: Option<&[i32]>) {
            let found = origins(Day(1000), Day(1000 + days), &options).ok();
            let found: Option<Vec<i32>> =
                found.map(|days| days.into_iter().map(|day| day.0 - 1000).collect());
            assert_eq!(found.as_deref(), expected);
        }
        // 112 days of warm-up, five times 28 between six origins, and 28 days of label.
        check(ALL, 280, Some(&[112, 140, 168, 196, 224, 252]));
        check(ALL, 279, None);
        check(ALL, 310, Some(&[114, 142, 170, 198, 226, 254, 282]));
        let six = OriginOptions { count: Some(6), ..ALL };
        check(six, 310, Some(&[142, 170, 198, 226, 254, 282]));
        check(OriginOptions { count: Some(5), ..ALL }, 310, None);
        let from = OriginOptions { from: Some(Day(1142)), ..ALL };
        check(from, 310, Some(&[142, 170, 198, 226, 254, 282]));
        let to = OriginOptions { to: Some(Day(1260)), ..ALL };
        check(to, 310, Some(&[120, 148, 176, 204, 232, 260]));
        check(OriginOptions { every: 60, ..ALL }, 310, None);
    }
}
