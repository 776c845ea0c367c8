//! What is wrong with a condition of the policy, from the error of the query that evaluates it.

use transform::TransformError;

/// Returns what is wrong with a condition. `row` is the alias of its rows in the query.
pub(crate) fn condition_error(error: &anyhow::Error, row: &str) -> String {
    match error.downcast_ref::<TransformError>() {
        Some(TransformError::Sql { message, .. }) => condition_message(message, row),
        Some(TransformError::UnknownTable { name, hint, .. }) => {
            condition_message(&format!("there is no table \"{name}\"; {hint}"), row)
        }
        _ => condition_message(&error.to_string(), row),
    }
}

/// Removes from a message of DataFusion what belongs to the query around the condition: the position
/// in it, its table, and the list of its hundred columns if the message suggests one column.
fn condition_message(text: &str, row: &str) -> String {
    let text = text.strip_prefix("Schema error: ").unwrap_or(text);
    let text = text.split(" at Line: ").next().unwrap_or(text);
    let text = match text.split_once("\nValid fields are") {
        Some((meant, _)) if meant.contains("Did you mean") => meant,
        _ => text,
    };
    text.replace(&format!("{row}."), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_condition() {
        let check = |engine: &str, ours: &str| assert_eq!(condition_message(engine, "row"), ours);
        check(
            "Schema error: No field named tear. Did you mean 'row.tier'?\nValid fields are row.as_of.",
            "No field named tear. Did you mean 'tier'?",
        );
        check(
            "Expected: end of statement, found: tier at Line: 7, Column: 68",
            "Expected: end of statement, found: tier",
        );
        check("no exchange rate for EUR: add one", "no exchange rate for EUR: add one");
    }
}
