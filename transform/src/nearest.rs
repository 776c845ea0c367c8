//! The name that was probably meant.

/// The known name nearest to one that is not, where one is near: at most a third of it differs.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_lowercase();
    let limit = (lower.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|other| (strsim::damerau_levenshtein(&lower, &other.to_lowercase()), other))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, other)| other)
}

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
    fn near_names_are_found() {
        #[track_caller]
        fn check(name: &str, expected: Option<&str>) {
            let known = ["partner_id", "partner_ids", "calls", "month"];
            assert_eq!(nearest(name, known), expected, "{name}");
        }
        check("partnr_id", Some("partner_id"));
        check("parnter_id", Some("partner_id"));
        check("Calls", Some("calls"));
        check("callls", Some("calls"));
        check("week", None);
        check("", None);
    }

    #[test]
    fn without_a_near_name_all_are_listed() {
        assert_eq!(suggest("week", &["calls", "month"]), "there are calls, month");
        assert_eq!(suggest("mnth", &["calls", "month"]), "did you mean `month`?");
    }
}
