//! The name that was probably meant.

pub(crate) use lake_types::nearest;

/// `did you mean …`, or else what there is.
pub(crate) fn suggest(name: &str, known: &[&str]) -> String {
    match nearest(name, known.iter().copied()) {
        Some(other) => format!("did you mean `{other}`?"),
        None => format!("there are {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_near_name_all_are_listed() {
        assert_eq!(suggest("week", &["calls", "month"]), "there are calls, month");
        assert_eq!(suggest("mnth", &["calls", "month"]), "did you mean `month`?");
    }
}
