//! Tests of the conditions of gates, from frames with the columns that the queries have.

use polars::prelude::{Column, DataFrame, DataType, NamedFrom, Series};

use super::*;

const ROWS: usize = 3;

fn column<T>(name: &str, values: [T; ROWS]) -> Column
where
    Series: NamedFrom<Vec<T>, [T]>,
{
    Column::new(name.into(), values.into_iter().collect::<Vec<T>>())
}

fn null(name: &str, dtype: &DataType) -> Column {
    Column::full_null(name.into(), ROWS, dtype)
}

/// Makes a frame of three partners on one day.
fn frame(name: &str, columns: Vec<Column>) -> InputFrame {
    let keys = [column("day", [100; ROWS]), column("partner_id", ["a", "b", "c"])];
    let columns = keys.into_iter().chain(columns).collect();
    InputFrame::new(name, DataFrame::new(ROWS, columns).expect("a frame"))
}

fn partners() -> InputFrame {
    let instant = |name| column(name, [Some(0_i64), Some(0), Some(0)]);
    frame(
        "scoring_partner",
        vec![
            null("segment", &DataType::String),
            null("quota_per_minute", &DataType::Int64),
            instant("registered_at"),
            instant("first_call_at"),
            instant("live_at"),
            instant("last_call_at"),
            Column::new("last_success_date".into(), vec![Some(99), Some(80), Some(99)]),
        ],
    )
}

fn activity() -> InputFrame {
    frame(
        "scoring_activity",
        vec![
            column("cadence", [Some(1.0), Some(1.0), None]),
            column("longest_gap_180", [Some(3_i64), Some(3), None]),
            column("silent_days", [Some(0_i64), Some(19), None]),
            column("silent_calm_days", [Some(0_i64), Some(1), None]),
            column("churn_calm_days", [Some(0_i64), Some(1), None]),
            column("active_days_baseline", [Some(80_i64), Some(80), None]),
            column("calls_3d", [Some(60_i64), Some(12), None]),
            column("successes_3d", [Some(50_i64), Some(0), None]),
        ],
    )
}

fn growth() -> InputFrame {
    frame(
        "scoring_growth",
        vec![
            column("calls_14d", [Some(200.0), Some(20.0), None]),
            column("baseline_week_median", [Some(100.0), Some(100.0), None]),
            column("baseline_week_lowest", [Some(90.0), Some(90.0), None]),
            column("former_week_median", [Some(100.0), None, None]),
        ],
    )
}

fn revenue() -> InputFrame {
    frame(
        "scoring_revenue",
        vec![
            column("last_month_gross", [Some(100.0), Some(0.0), None]),
            column("median_before", [Some(100.0), Some(100.0), None]),
            column("last_month_calls", [Some(400_i64), Some(400), None]),
            column("median_calls_before", [Some(400.0), Some(400.0), None]),
        ],
    )
}

#[test]
fn conditions_are_read_from_the_frames_of_the_queries() {
    #[track_caller]
    fn check(risk_is_adopted: bool, length: i64, expected: [Option<&str>; ROWS]) {
        let activity = activity();
        let partners = PartnerColumns::of(&partners(), &activity).expect("partners");
        let peers = Peers::of(partners.keys.days(), &partners.segment);
        let scores = |values: [Option<f64>; ROWS]| values.into_iter().collect::<Numbers>();
        let length = column("length", [Some(7), Some(length), None]);
        let input = GateInput {
            peers: &peers,
            partners: &partners,
            activity: &activity,
            growth: &growth(),
            revenue: &revenue(),
            dormancy: &frame("scoring_dormancy", vec![length]),
            errors_score: &scores([Some(20.0), Some(19.9), None]),
            growth_score: &scores([Some(100.0), Some(0.0), None]),
            revenue_score: &scores([Some(100.0), Some(0.0), None]),
            risk: &scores([Some(0.5), Some(0.8), Some(0.9)]),
            risk_is_adopted,
        };
        let found = gate_conditions(&input, &default_gates()).expect("conditions");
        let texts: Vec<Option<String>> = found.iter().map(|row| row.to_column()).collect();
        assert_eq!(texts, expected.map(|text| text.map(str::to_owned)));
    }
    // The median ratio of calls of the two partners is 0.55; half of it is taken as 0.18.
    let known = "collapse,below_half,dead,silence,low_errors,low_growth,low_revenue,revenue_gone";
    let fallen = format!("{known},decline");
    let with_forecast = format!("{known},forecast_watch,forecast_at_risk,decline");
    check(false, 7, [None, Some(&fallen), None]);
    check(true, 14, [Some("forecast_watch"), Some(&with_forecast), None]);
    check(true, 15, [Some("forecast_watch"), Some(&fallen), None]);
}
