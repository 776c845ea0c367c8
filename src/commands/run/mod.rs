//! `rapport run`: everything on a real cluster, from the topics to the report, once or at an
//! interval.
//!
//! - `round`: all stages, once
//! - `report_lock`: keeps two runs from writing one report

mod report_lock;
mod round;

use std::time::{Duration, Instant};

use anyhow::Context;
use chrono::{DateTime, SecondsFormat, Utc};
use tokio::runtime::Runtime;

use crate::args::RunArgs;
use crate::config::Config;
use crate::exit_code::{self, USAGE};
use crate::output::print_note;
use crate::shutdown::RoundSignals;
use report_lock::ReportLock;

/// Runs one round, or with `--every` one after the other until a signal ends them.
pub(crate) fn run(
    config: &impl Fn() -> anyhow::Result<Config>,
    options: &RunArgs,
    runtime: &Runtime,
    quiet: bool,
) -> anyhow::Result<()> {
    let read = config()?;
    round::check(options)?;
    let _lock = ReportLock::take(&options.out)?;
    match options.every {
        None => {
            let signals = RoundSignals::listen(|signal| 128 + signal);
            round::run(read, options, runtime, quiet, &signals)?;
            signals.exit_if_stopped(runtime);
            Ok(())
        }
        Some(every) => {
            // A service manager takes this for a clean end.
            let signals = RoundSignals::listen(|_| 0);
            repeat(config, options, every, runtime, quiet, &signals)
        }
    }
}

/// Runs rounds at an interval. The configuration is read again for each of them.
fn repeat(
    config: &impl Fn() -> anyhow::Result<Config>,
    options: &RunArgs,
    every: Duration,
    runtime: &Runtime,
    quiet: bool,
    signals: &RoundSignals,
) -> anyhow::Result<()> {
    let mut planned = Instant::now();
    let mut is_first = true;
    loop {
        let done = config().and_then(|read| round::run(read, options, runtime, quiet, signals));
        runtime.block_on(lake::wait_for_background_work());
        let failed = match done {
            // What is wrong from the start needs somebody now.
            Err(error) if is_first && exit_code::of(&error) == USAGE => return Err(error),
            Err(error) => {
                exit_code::print_error(&error.context("this round failed"));
                true
            }
            Ok(()) => false,
        };
        if signals.is_stopped() {
            return Ok(());
        }
        is_first = false;
        let now = Instant::now();
        planned = next_start(planned, every, now);
        let wait = planned - now;
        if failed {
            print_note(&format!("The next round begins at {}", clock_after(wait)?));
        }
        // A signal ends the process meanwhile.
        std::thread::sleep(wait);
    }
}

/// Returns when the round after one that was planned for an instant begins: so many intervals later,
/// without those that are over.
fn next_start(planned: Instant, every: Duration, now: Instant) -> Instant {
    let elapsed = now.saturating_duration_since(planned);
    let missed = elapsed.as_nanos() / every.as_nanos().max(1);
    u32::try_from(missed + 1).map_or(now + every, |intervals| planned + every * intervals)
}

fn clock_after(wait: Duration) -> anyhow::Result<String> {
    let at: DateTime<Utc> =
        Utc::now() + chrono::Duration::from_std(wait).context("the interval")?;
    Ok(at.to_rfc3339_opts(SecondsFormat::Secs, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_round_leaves_out_those_that_it_misses() {
        let began = Instant::now();
        let every = Duration::from_secs(60);
        let check = |seconds: u64, expected: u64| {
            let now = began + Duration::from_secs(seconds);
            assert_eq!(next_start(began, every, now) - began, Duration::from_secs(expected));
        };
        check(0, 60);
        check(59, 60);
        check(60, 120);
        check(200, 240);
    }
}
