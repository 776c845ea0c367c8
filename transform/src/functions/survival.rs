//! Kaplan–Meier curves: the aggregate `kaplan_meier` and the functions `survival_quantile` and
//! `survival_at` of a curve.
//!
//! Kaplan & Meier (1958): S(t) = Π over event times tᵢ ≤ t of (1 − dᵢ/nᵢ), where nᵢ subjects are
//! under observation just before tᵢ and dᵢ of them have the event at tᵢ. A subject that is censored
//! at t is still at risk at t.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Int64Array, ListArray, StructArray,
};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, Float64Type, Int64Type};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF, Signature, Volatility};

use super::collect::collecting_aggregate;
use super::scalar::scalar;
use crate::functions::documentation::FunctionDoc;

pub(super) const KAPLAN_MEIER: FunctionDoc = FunctionDoc {
    signature: "kaplan_meier(time: Int64, event: Boolean) → List(t Int64, survival Float64, at_risk Int64)",
    description: "The share that has not had the event by t, a step for each time with an event; `time` is that of the event, or of the censoring where `event` is false. An event counts before a censoring at the same time; rows where either is NULL are left out",
    unit: "t as `time`; survival 0–1",
    source: "Kaplan & Meier 1958",
    example: "SELECT kaplan_meier(t, e) FROM (VALUES (1, true), (2, false)) AS v(t, e)",
    example_result: "[{t: 1, survival: 0.5, at_risk: 2}]",
};

pub(super) const SURVIVAL_QUANTILE: FunctionDoc = FunctionDoc {
    signature: "survival_quantile(curve, p) → Int64",
    description: "The least t by which the share p has had the event, S(t) ≤ 1 − p; NULL where the curve never gets there",
    unit: "that of the curve's time",
    source: "",
    example: "SELECT survival_quantile(kaplan_meier(t, e), 0.5) FROM (VALUES (1, true), (2, false)) AS v(t, e)",
    example_result: "1",
};

pub(super) const SURVIVAL_AT: FunctionDoc = FunctionDoc {
    signature: "survival_at(curve, t) → Float64",
    description: "S(t), the share that has not had the event by t; 1 before the first event",
    unit: "0–1",
    source: "",
    example: "SELECT survival_at(kaplan_meier(t, e), 1) FROM (VALUES (1, true), (2, false)) AS v(t, e)",
    example_result: "0.5",
};

/// The rounding error that is allowed where S(t) is compared with 1 − p.
const ROUNDING: f64 = 1e-12;

/// One step of a curve: from `t` on, the share `survival` has not had the event.
#[derive(Debug, Clone, Copy, PartialEq)]
struct SurvivalStep {
    t: i64,
    survival: f64,
    at_risk: i64,
}

pub(super) fn kaplan_meier() -> AggregateUDF {
    collecting_aggregate(
        KAPLAN_MEIER.name(),
        vec![DataType::Int64, DataType::Boolean],
        curve_type(),
        |columns| {
            let times = columns[0].as_primitive::<Int64Type>();
            let events = columns[1].as_boolean();
            let observations =
                times.iter().zip(events.iter()).filter_map(|(t, e)| Some((t?, e?))).collect();
            Ok(ScalarValue::List(Arc::new(to_array(&steps(observations)))))
        },
    )
}

pub(super) fn survival_quantile() -> ScalarUDF {
    scalar(SURVIVAL_QUANTILE.name(), two_arguments(), DataType::Int64, |args| {
        let p = cast(&args[1], &DataType::Float64)?;
        let p = p.as_primitive::<Float64Type>();
        let answers = curves(&args[0]).into_iter().enumerate().map(|(row, steps)| {
            let reached = steps.iter().find(|s| s.survival <= 1.0 - p.value(row) + ROUNDING);
            reached.map(|step| step.t)
        });
        Ok(Arc::new(answers.collect::<Int64Array>()))
    })
}

pub(super) fn survival_at() -> ScalarUDF {
    scalar(SURVIVAL_AT.name(), two_arguments(), DataType::Float64, |args| {
        let t = cast(&args[1], &DataType::Int64)?;
        let t = t.as_primitive::<Int64Type>();
        let answers = curves(&args[0]).into_iter().enumerate().map(|(row, steps)| {
            let past = steps.iter().take_while(|s| s.t <= t.value(row));
            past.last().map_or(1.0, |step| step.survival)
        });
        Ok(Arc::new(Float64Array::from_iter_values(answers)))
    })
}

fn two_arguments() -> Signature {
    Signature::any(2, Volatility::Immutable)
}

fn steps(mut observations: Vec<(i64, bool)>) -> Vec<SurvivalStep> {
    observations.sort_unstable();
    let mut at_risk = observations.len();
    let mut survival = 1.0;
    let mut steps = Vec::new();
    for same_time in observations.chunk_by(|a, b| a.0 == b.0) {
        let events = same_time.iter().filter(|(_, event)| *event).count();
        if events > 0 {
            survival *= 1.0 - events as f64 / at_risk as f64;
            steps.push(SurvivalStep { t: same_time[0].0, survival, at_risk: at_risk as i64 });
        }
        at_risk -= same_time.len();
    }
    steps
}

fn step_fields() -> Fields {
    Fields::from(vec![
        Field::new("t", DataType::Int64, true),
        Field::new("survival", DataType::Float64, true),
        Field::new("at_risk", DataType::Int64, true),
    ])
}

fn step_item() -> FieldRef {
    Arc::new(Field::new_list_field(DataType::Struct(step_fields()), true))
}

fn curve_type() -> DataType {
    DataType::List(step_item())
}

fn to_array(steps: &[SurvivalStep]) -> ListArray {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(steps.iter().map(|s| s.t))),
        Arc::new(Float64Array::from_iter_values(steps.iter().map(|s| s.survival))),
        Arc::new(Int64Array::from_iter_values(steps.iter().map(|s| s.at_risk))),
    ];
    let structs = StructArray::new(step_fields(), columns, None);
    let offsets = OffsetBuffer::from_lengths([steps.len()]);
    ListArray::new(step_item(), offsets, Arc::new(structs), None)
}

/// Returns the steps of each row's curve; a NULL curve has no steps.
fn curves(array: &ArrayRef) -> Vec<Vec<SurvivalStep>> {
    let Some(lists) = array.as_list_opt::<i32>() else { return vec![Vec::new(); array.len()] };
    let steps = |row: Option<ArrayRef>| {
        let Some(row) = row else { return Vec::new() };
        let fields = row.as_struct();
        let t = fields.column(0).as_primitive::<Int64Type>();
        let survival = fields.column(1).as_primitive::<Float64Type>();
        let at_risk = fields.column(2).as_primitive::<Int64Type>();
        (0..row.len())
            .map(|i| SurvivalStep {
                t: t.value(i),
                survival: survival.value(i),
                at_risk: at_risk.value(i),
            })
            .collect()
    };
    lists.iter().map(steps).collect()
}

#[cfg(test)]
mod tests {
    use super::{SurvivalStep, steps};
    use crate::functions::test_queries::check;

    #[test]
    fn the_curve_is_a_product() {
        // Five: events at 1 and 3 (two), censored at 3 and 5.
        // t = 1: 1 of 5, S = 4/5. t = 3: 2 of 4 (the one censored at 3 is still at risk), S = 2/5.
        let observations = vec![(3, false), (1, true), (3, true), (5, false), (3, true)];
        let expected = [
            SurvivalStep { t: 1, survival: 0.8, at_risk: 5 },
            SurvivalStep { t: 3, survival: 0.8 * 0.5, at_risk: 4 },
        ];
        assert_eq!(steps(observations), expected);
        assert_eq!(steps(vec![(7, false)]), []);
        assert_eq!(steps(vec![(0, true)]), [SurvivalStep { t: 0, survival: 0.0, at_risk: 1 }]);
    }

    #[tokio::test]
    async fn leukaemia_remission_as_published() {
        // The 6-MP arm of Freireich et al. (1963), weeks, as in Kalbfleisch & Prentice: median 23,
        // S(10) = 0.7529, S(23) = 0.4482.
        let events = [6, 6, 6, 7, 10, 13, 16, 22, 23];
        let censored = [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35];
        let row = |event: bool| move |t: &i32| format!("({t}, {event})");
        let rows: Vec<_> =
            events.iter().map(row(true)).chain(censored.iter().map(row(false))).collect();
        check(
            &format!(
                "SELECT survival_quantile(c, 0.5) AS median, survival_quantile(c, 0.9) AS p90,
                        round(survival_at(c, 10), 4) AS s10, round(survival_at(c, 23), 4) AS s23,
                        survival_at(c, 5) AS s5, array_length(c) AS steps
                 FROM (SELECT kaplan_meier(t, e) AS c FROM (VALUES {}) AS v(t, e)) AS k",
                rows.join(", ")
            ),
            &["23,,0.7529,0.4482,1.0,7"],
        )
        .await;
    }

    #[tokio::test]
    async fn a_quantile_allows_for_rounding() {
        // 9 of 10 have had it after ten steps of one: the product lies a hair above 0.1.
        check(
            "SELECT survival_quantile(kaplan_meier(t, true), 0.9) AS p90,
                    survival_quantile(kaplan_meier(t, true), 0.5) AS median
             FROM (VALUES (1), (2), (3), (4), (5), (6), (7), (8), (9), (10)) AS v(t)",
            &["9,5"],
        )
        .await;
        check(
            "SELECT survival_quantile(kaplan_meier(t, false), 0.5) AS q, survival_at(kaplan_meier(t, false), 1) AS s
             FROM (VALUES (1)) AS v(t) WHERE t > 1",
            &[",1.0"],
        )
        .await;
    }
}
