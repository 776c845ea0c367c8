//! `rapport score movers`: the partners whose tier or score changed most since a day.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch};
use domain::format::plain_percent_with_places;
use domain::{Tier, counted};
use serde::Deserialize;
use transform::QueryResult;

use super::since_day;
use crate::args::{Format, MoversArgs};
use crate::commands::plan::scored_session;
use crate::errors::usage_error;
use crate::output::{print_batch, print_line, print_note, print_table};
use crate::polars_frames::typed_rows;
use crate::project::Project;
use crate::scores::day_rows;
use crate::table::Table;

/// Days before the day that is shown, where none are given.
const DEFAULT_DAYS: i32 = 7;
/// The most partners of a table that fell, and that rose, where no limit is given.
const TABLE_LIMIT: usize = 20;

/// The directions of `score_movers`, in its order.
const FELL: &str = "fell";
const ROSE: &str = "rose";
const NEW: &str = "new";
const SAME: &str = "same";

/// A row of the query `score_movers`.
#[derive(Deserialize)]
struct Mover {
    direction: String,
    partner_id: String,
    tier_then: Option<String>,
    tier: String,
    score_then: Option<f64>,
    score: Option<f64>,
    change: Option<f64>,
    impact_share: Option<f64>,
    reason: String,
    set_tier: Option<String>,
}

/// Scores the partners and prints those that moved.
pub(crate) async fn movers(project: &Project, options: &MoversArgs) -> anyhow::Result<()> {
    let as_of = project.as_of(options.as_of.as_deref()).await?;
    let since = since_day(options.since.as_deref(), DEFAULT_DAYS, as_of)?;
    let (session, _) = scored_session(project, as_of).await?;
    session.replace_rows("evaluation_day", &day_rows(&[since])?)?;
    let found = session.metric("score_movers").await?;
    let rows = concat_batches(&found.schema, &found.batches)?;
    let all: Vec<Mover> = typed_rows(&found)?;
    if all.iter().all(|mover| mover.direction == NEW) && !all.is_empty() {
        return Err(usage_error(format!(
            "no scores as of {since} are stored; `rapport score run --as-of {since}` makes them"
        )));
    }
    if options.format != Format::Table {
        return print_batch(&moved(&rows, options.limit)?, options.format);
    }
    let shown = moved(&rows, options.limit.or(Some(TABLE_LIMIT)))?;
    let shown = typed_rows(&QueryResult { schema: found.schema, batches: vec![shown] })?;
    print_movers(&shown, &all)?;
    print_note(&format!(
        "\nFrom {since} to {}. `rapport score show PARTNER --since {since}` says why one moved.",
        as_of.day()
    ));
    Ok(())
}

/// Returns the rows of partners that moved; of those that fell and of those that rose at most
/// `limit` each.
fn moved(rows: &RecordBatch, limit: Option<usize>) -> anyhow::Result<RecordBatch> {
    let directions = rows.column_by_name("direction").and_then(|c| c.as_string_opt::<i32>());
    let Some(directions) = directions else { anyhow::bail!("score_movers has no directions") };
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let limit = limit.unwrap_or(usize::MAX);
    let kept: BooleanArray = directions
        .iter()
        .map(|direction| {
            let direction = direction.unwrap_or(SAME);
            let count = counts.entry(direction).or_default();
            *count += 1;
            Some(direction != SAME && (*count <= limit || ![FELL, ROSE].contains(&direction)))
        })
        .collect();
    Ok(filter_record_batch(rows, &kept)?)
}

fn print_movers(shown: &[Mover], all: &[Mover]) -> anyhow::Result<()> {
    for (direction, title) in [(FELL, "Fell"), (ROSE, "Rose")] {
        let of = |movers: &[Mover]| movers.iter().filter(|m| m.direction == direction).count();
        let count = of(all);
        if count == 0 {
            continue;
        }
        let mut table =
            Table::new(["partner", "tier", "score", "change", "share of gross", "why"], &[3, 4]);
        for mover in shown.iter().filter(|mover| mover.direction == direction) {
            table.row(cells(mover));
        }
        print_line(&format!("{title}: {}", counted(count, "partner")))?;
        print_table(&table)?;
        if count > of(shown) {
            print_line(&format!("and {} more", count - of(shown)))?;
        }
        print_line("")?;
    }
    print_line(&transitions(all))
}

fn cells(mover: &Mover) -> [String; 6] {
    let score = |score: Option<f64>| score.map_or_else(|| "none".to_owned(), |s| format!("{s:.0}"));
    let then = mover.tier_then.as_deref().unwrap_or_default();
    let mut tier = from_to(&words(then), &words(&mover.tier));
    if let Some(set) = &mover.set_tier {
        let _ = write!(tier, " (set to {})", words(set));
    }
    [
        mover.partner_id.clone(),
        tier,
        from_to(&score(mover.score_then), &score(mover.score)),
        mover.change.map_or_else(String::new, |change| format!("{change:+.1}")),
        mover.impact_share.map_or_else(String::new, |s| plain_percent_with_places(s, 1)),
        mover.reason.clone(),
    ]
}

fn from_to(then: &str, now: &str) -> String {
    if then == now { now.to_owned() } else { format!("{then} → {now}") }
}

fn words(tier: &str) -> String {
    tier.parse::<Tier>().map_or_else(|_| tier.to_owned(), Tier::words)
}

/// Counts the partners by the change of their tier, the most frequent one first.
fn transitions(all: &[Mover]) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for mover in all {
        let then = mover.tier_then.as_deref().map_or_else(|| NEW.to_owned(), words);
        if then != words(&mover.tier) {
            *counts.entry(format!("{then} → {}", words(&mover.tier))).or_default() += 1;
        }
    }
    let mut counts: Vec<(String, usize)> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    if counts.is_empty() {
        return "No partner changed its tier".to_owned();
    }
    let texts: Vec<String> = counts.iter().map(|(change, n)| format!("{n} {change}")).collect();
    format!("Changes of tier: {}", texts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::text_batch;

    fn mover(then: Option<&str>, now: &str) -> Mover {
        Mover {
            direction: FELL.to_owned(),
            partner_id: "p".to_owned(),
            tier_then: then.map(str::to_owned),
            tier: now.to_owned(),
            score_then: Some(90.4),
            score: Some(85.2),
            change: Some(-5.2),
            impact_share: Some(0.0142),
            reason: "Calls fall".to_owned(),
            set_tier: None,
        }
    }

    #[test]
    fn changes_of_tier_are_counted() {
        let check = |movers: &[(Option<&str>, &str)], expected: &str| {
            let all: Vec<Mover> = movers.iter().map(|(then, now)| mover(*then, now)).collect();
            assert_eq!(transitions(&all), expected);
        };
        check(&[(Some("watch"), "watch")], "No partner changed its tier");
        let changes = [
            (Some("healthy"), "at_risk"),
            (None, "onboarding"),
            (Some("watch"), "healthy"),
            (Some("healthy"), "at_risk"),
        ];
        let expected =
            "Changes of tier: 2 healthy → at risk, 1 new → onboarding, 1 watch → healthy";
        check(&changes, expected);
    }

    #[test]
    fn a_row_shows_then_and_now() {
        let shown = cells(&mover(Some("healthy"), "at_risk"));
        assert_eq!(shown, ["p", "healthy → at risk", "90 → 85", "-5.2", "1.4 %", "Calls fall"]);
        let set = Mover {
            set_tier: Some("watch".to_owned()),
            score: None,
            change: None,
            ..mover(Some("healthy"), "healthy")
        };
        let shown = cells(&set);
        assert_eq!(shown[1..4], ["healthy (set to watch)", "90 → none", ""]);
    }

    #[test]
    fn the_limit_counts_for_each_direction() {
        let directions = [FELL, FELL, FELL, ROSE, ROSE, "moved", NEW, SAME];
        let directions = directions.map(str::to_owned).to_vec();
        let rows = text_batch([("direction", directions)]).expect("rows");
        let count = |limit| moved(&rows, limit).expect("rows").num_rows();
        assert_eq!((count(None), count(Some(1)), count(Some(2))), (7, 4, 6));
    }
}
