//! The known name that was probably meant.

/// Returns the known name closest to an unknown one, if at most a third of its characters differ
/// (Damerau–Levenshtein distance, letter case ignored).
pub fn closest_name<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_lowercase();
    let limit = (lower.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|other| (strsim::damerau_levenshtein(&lower, &other.to_lowercase()), other))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, other)| other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_names_are_found() {
        #[track_caller]
        fn check(name: &str, expected: Option<&str>) {
            let known = ["partner_id", "partner_ids", "calls", "month"];
            assert_eq!(closest_name(name, known), expected, "{name}");
        }
        check("partnr_id", Some("partner_id"));
        check("parnter_id", Some("partner_id"));
        check("Calls", Some("calls"));
        check("callls", Some("calls"));
        check("week", None);
        check("", None);
    }
}
