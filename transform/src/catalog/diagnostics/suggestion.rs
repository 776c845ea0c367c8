//! The suggestion for an unknown name.

use domain::closest_name;

/// Returns `did you mean …?` with the closest known name, or else the list of all known names.
pub(crate) fn suggest(name: &str, known: &[&str]) -> String {
    match closest_name(name, known.iter().copied()) {
        Some(other) => format!("did you mean `{other}`?"),
        None => format!("there are {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_close_name_all_are_listed() {
        assert_eq!(suggest("week", &["calls", "month"]), "there are calls, month");
        assert_eq!(suggest("mnth", &["calls", "month"]), "did you mean `month`?");
    }
}
