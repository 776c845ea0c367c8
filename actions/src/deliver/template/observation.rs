//! What a target shows of a partner, read from an answer.

use std::collections::BTreeMap;

use domain::{Setting, SupportRoute};
use serde_json::Value;

use super::definition::Operation;
use super::ladder::Rung;
use super::pattern::Values;

/// What was read.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Observation {
    /// Whether the target has what was asked for.
    pub(super) exists: bool,
    /// The value in force, where the target tells one.
    pub(super) setting: Option<Setting>,
    /// The rungs that the partner is on; a target may have it on several.
    pub(super) rungs: Vec<String>,
    pub(super) captured: BTreeMap<String, Value>,
    /// The whole of what was read.
    pub(super) element: Value,
}

/// Reads the body of an answer.
///
/// # Errors
/// A sentence on a body that is not what the template says, or on a state that must not be changed.
pub(super) fn observe(
    operation: &Operation,
    body: &Value,
    values: &dyn Values,
    ladder: &[Rung],
) -> Result<Observation, ObservationError> {
    let keys = &operation.keys;
    let elements = elements(&keys.list, body)?;
    let mut meant = Vec::new();
    for element in &elements {
        if is_meant(operation, element, values)? {
            meant.push(*element);
        }
    }
    let Some(first) = meant.first() else {
        return match &keys.others {
            Some(reason) if !elements.is_empty() => Err(ObservationError::Refused(reason.clone())),
            _ => Ok(Observation::default()),
        };
    };
    for (pointer, reason) in &keys.refuse {
        if !is_empty(first.pointer(pointer)) {
            return Err(ObservationError::Refused(reason.clone()));
        }
    }
    let captured = keys.capture.iter().filter_map(|(name, pointer)| {
        Some((name.clone(), first.pointer(pointer).filter(|found| !found.is_null())?.clone()))
    });
    let mut rungs: Vec<String> = match &keys.rung {
        Some(pointer) => {
            let names = meant.iter().filter_map(|element| element.pointer(pointer)?.as_str());
            names.filter(|name| ladder.iter().any(|r| r.name == *name)).map(str::to_owned).collect()
        }
        None => Vec::new(),
    };
    rungs.sort_unstable();
    Ok(Observation {
        exists: true,
        setting: setting(operation, first, &rungs, ladder)?,
        rungs,
        captured: captured.collect(),
        element: (*first).clone(),
    })
}

/// Why an answer is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ObservationError {
    /// It is not what the template says.
    Misfit(String),
    /// It shows a state that must not be changed, or a name that can't be filled in.
    Refused(String),
}

impl From<String> for ObservationError {
    fn from(reason: String) -> Self {
        Self::Refused(reason)
    }
}

fn elements<'a>(lists: &[String], body: &'a Value) -> Result<Vec<&'a Value>, ObservationError> {
    if lists.is_empty() {
        return Ok(vec![body]);
    }
    match lists.iter().find_map(|pointer| body.pointer(pointer)?.as_array()) {
        Some(list) => Ok(list.iter().collect()),
        None => Err(ObservationError::Misfit(format!("it has no list at {}", lists.join(" or ")))),
    }
}

fn is_meant(
    operation: &Operation,
    element: &Value,
    values: &dyn Values,
) -> Result<bool, ObservationError> {
    for (pointer, pattern) in &operation.conditions {
        let expected = pattern.text(values)?;
        let found = match element.pointer(pointer) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => return Ok(false),
        };
        if found != expected {
            return Ok(false);
        }
    }
    Ok(operation.keys.where_empty.iter().all(|pointer| is_empty(element.pointer(pointer))))
}

fn is_empty(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::Object(fields)) => fields.is_empty(),
        Some(Value::Bool(_) | Value::Number(_)) => false,
    }
}

/// Returns the value in force.
fn setting(
    operation: &Operation,
    element: &Value,
    rungs: &[String],
    ladder: &[Rung],
) -> Result<Option<Setting>, ObservationError> {
    let keys = &operation.keys;
    // Of several groups the first by its letters counts at the target.
    if let Some(rung) = rungs.first() {
        let rung = ladder.iter().find(|other| other.name == *rung);
        return Ok(rung.map(|rung| Setting::Quota { per_minute: rung.per_minute }));
    }
    if let Some(pointer) = &keys.value {
        let Some(value) = number(element, pointer)? else { return Ok(None) };
        let seconds = match &keys.per_seconds {
            Some(pointer) => number(element, pointer)?.unwrap_or(60.0),
            None => 60.0,
        };
        if seconds <= 0.0 {
            return Err(ObservationError::Misfit(format!("it counts by {seconds} seconds")));
        }
        let per_minute = (value * 60.0 / seconds).floor();
        #[allow(clippy::cast_possible_truncation)] // `as` saturates, and quotas are small.
        return Ok(Some(Setting::Quota { per_minute: per_minute as i64 }));
    }
    let Some(support) = &keys.support else { return Ok(None) };
    let queue = element.pointer(&support.queue).and_then(Value::as_str);
    let whole = |pointer: &str| element.pointer(pointer).and_then(Value::as_u64);
    let (Some(queue), Some(priority), Some(sla_hours)) =
        (queue, whole(&support.priority), whole(&support.sla_hours))
    else {
        return Ok(None);
    };
    Ok(Some(Setting::Support(SupportRoute {
        queue: queue.to_owned(),
        priority: u32::try_from(priority).unwrap_or(u32::MAX),
        sla_hours: u32::try_from(sla_hours).unwrap_or(u32::MAX),
    })))
}

/// Returns a number, which some targets write as a text.
fn number(element: &Value, pointer: &str) -> Result<Option<f64>, ObservationError> {
    let found = match element.pointer(pointer) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(_) => None,
    };
    match found.filter(|found| found.is_finite()) {
        Some(found) => Ok(Some(found)),
        None => Err(ObservationError::Misfit(format!("it has no number at {pointer}"))),
    }
}

/// Sets a value in JSON. A `*` in the pointer stands for every member; such a pointer changes only
/// what is there.
///
/// # Errors
/// A sentence, where the object that should hold the value is missing.
pub(super) fn set_at(target: &mut Value, pointer: &str, value: &Value) -> Result<(), String> {
    let segments: Vec<String> =
        pointer.split('/').skip(1).map(|s| s.replace("~1", "/").replace("~0", "~")).collect();
    let only_existing = segments.iter().any(|segment| segment == "*");
    if set_in(target, &segments, value, only_existing) || only_existing {
        return Ok(());
    }
    Err(format!("what was read has no place for {pointer}"))
}

fn set_in(target: &mut Value, segments: &[String], value: &Value, only_existing: bool) -> bool {
    let Some((segment, rest)) = segments.split_first() else {
        *target = value.clone();
        return true;
    };
    match target {
        Value::Object(fields) if segment == "*" => {
            fields.values_mut().fold(false, |any, f| set_in(f, rest, value, only_existing) | any)
        }
        Value::Array(items) if segment == "*" => {
            items.iter_mut().fold(false, |any, i| set_in(i, rest, value, only_existing) | any)
        }
        Value::Object(fields) => match fields.get_mut(segment) {
            Some(field) => set_in(field, rest, value, only_existing),
            None if rest.is_empty() && !only_existing => {
                fields.insert(segment.clone(), value.clone());
                true
            }
            None => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_set_where_pointers_lead() {
        let check = |pointer: &str, expected: Result<Value, &str>| {
            let mut target = json!({ "rate": 1, "rights": { "a": { "limit": { "rate": 1 } }, "b": { "limit": null } } });
            match (set_at(&mut target, pointer, &json!(9)), expected) {
                (Ok(()), Ok(expected)) => assert_eq!(target, expected, "{pointer}"),
                (Err(error), Err(words)) => assert!(error.contains(words), "{error}"),
                (found, _) => panic!("{pointer}: {found:?}"),
            }
        };
        let rights = json!({ "a": { "limit": { "rate": 1 } }, "b": { "limit": null } });
        check("/rate", Ok(json!({ "rate": 9, "rights": rights })));
        check("/per", Ok(json!({ "rate": 1, "per": 9, "rights": rights })));
        check("/no/such", Err("no place for /no/such"));
        let deep = json!({ "a": { "limit": { "rate": 9 } }, "b": { "limit": null } });
        check("/rights/*/limit/rate", Ok(json!({ "rate": 1, "rights": deep })));
        check("/none/*/rate", Ok(json!({ "rate": 1, "rights": rights })));
    }
}
