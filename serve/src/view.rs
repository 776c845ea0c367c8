//! The day and the partners that a URL names. They stand in the path, `/view/as_of=2026-06-01&
//! segment=startup/funnel.html`, so that the relative links of a page keep them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chrono::NaiveDate;
use dashboards::{Comparison, Grain};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// The attributes of partners that a view can be restricted by.
pub const FILTERS: [&str; 5] = ["segment", "plan", "region", "manager", "integration_level"];

/// The longest value of a filter, in bytes.
const MAX_VALUE_BYTES: usize = 200;

/// The names of the comparisons and of the grains, for messages.
const COMPARISONS: &str = "previous, last_year and target";
const GRAINS: &str = "day, week and month";

/// What is escaped in a part of a path.
pub(crate) const ESCAPED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// What a report is restricted to. The standard view has the newest day and all partners.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct View {
    /// The report counts everything before this UTC midnight. `None`: the newest day.
    pub as_of: Option<NaiveDate>,
    /// The run whose table versions are read, by its number or id. `None`: the newest versions.
    pub run: Option<String>,
    /// The values that attributes of partners must have, by attribute.
    pub filters: BTreeMap<&'static str, String>,
    /// What the tiles compare their figures with. The figures do not depend on it.
    pub comparison: Comparison,
    /// The grain of charts over time. `None`: each has its own. The figures do not depend on it.
    pub grain: Option<Grain>,
}

impl View {
    /// Reads parameters of a URL. Empty ones count as absent, as a form sends them.
    ///
    /// # Errors
    /// Returns a sentence on a parameter that is unknown or wrong.
    pub(crate) fn of_parameters<'a>(
        parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, String> {
        let mut view = Self::default();
        for (name, value) in parameters {
            if value.is_empty() {
                continue;
            }
            if value.len() > MAX_VALUE_BYTES {
                return Err(format!("{name} has more than {MAX_VALUE_BYTES} bytes"));
            }
            match name {
                "as_of" => {
                    let day = value.parse();
                    let wrong = |_| format!("as_of \"{value}\" is no date; write 2026-01-31");
                    view.as_of = Some(day.map_err(wrong)?);
                }
                "run" if value.chars().all(|c| c.is_ascii_hexdigit() || c == '-') => {
                    view.run = Some(value.to_owned());
                }
                "compare" => {
                    let unknown =
                        || format!("compare \"{value}\" is unknown; there are {COMPARISONS}");
                    view.comparison = Comparison::parse(value).ok_or_else(unknown)?;
                }
                "grain" => view.grain = Some(grain(value)?),
                "run" => return Err(format!("run \"{value}\" is no number and no id of a run")),
                _ => {
                    let known = FILTERS.into_iter().find(|filter| *filter == name);
                    let unknown = || {
                        format!(
                            "\"{name}\" restricts nothing; there are as_of, run, compare, grain, {}",
                            FILTERS.join(", ")
                        )
                    };
                    view.filters.insert(known.ok_or_else(unknown)?, value.to_owned());
                }
            }
        }
        Ok(view)
    }

    /// Reads the segment of a path that [`Self::segment`] wrote.
    ///
    /// # Errors
    /// As [`Self::of_parameters`].
    pub(crate) fn of_segment(segment: &str) -> Result<Self, String> {
        let pairs: Result<Vec<(String, String)>, String> = segment
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                let decoded = percent_decode_str(value).decode_utf8();
                let decoded = decoded.map_err(|_| format!("{name} is no UTF-8"))?;
                Ok((name.to_owned(), decoded.into_owned()))
            })
            .collect();
        Self::of_parameters(pairs?.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    }

    /// Returns the view as one segment of a path, always the same for the same view. It is empty
    /// for the standard view.
    pub(crate) fn segment(&self) -> String {
        let mut segment = String::new();
        let mut add = |name: &str, value: &str| {
            let before = if segment.is_empty() { "" } else { "&" };
            // Writing to a String cannot fail.
            let _ = write!(segment, "{before}{name}={}", utf8_percent_encode(value, ESCAPED));
        };
        if let Some(as_of) = self.as_of {
            add("as_of", &as_of.to_string());
        }
        if let Some(run) = &self.run {
            add("run", run);
        }
        for (name, value) in &self.filters {
            add(name, value);
        }
        if self.comparison != Comparison::default() {
            add("compare", self.comparison.name());
        }
        if let Some(grain) = self.grain {
            add("grain", grain.name());
        }
        segment
    }

    /// Returns the view of the report, without what only changes how a page shows it.
    pub(crate) fn of_report(&self) -> Self {
        Self { comparison: Comparison::default(), grain: None, ..self.clone() }
    }

    /// Returns the path of a page of this view.
    pub fn path(&self, page: &str) -> String {
        match self.segment() {
            segment if segment.is_empty() => format!("/{page}"),
            segment => format!("/view/{segment}/{page}"),
        }
    }

    /// Returns whether the report of the view can't change any more: its table versions are given.
    pub(crate) fn is_pinned(&self) -> bool {
        self.run.is_some()
    }

    /// Returns the view as an SQL condition on the view `partners`, or `None` for all partners.
    pub fn condition(&self) -> Option<String> {
        let conditions: Vec<String> = self
            .filters
            .iter()
            .map(|(name, value)| format!("{name} = '{}'", value.replace('\'', "''")))
            .collect();
        (!conditions.is_empty()).then(|| conditions.join(" AND "))
    }
}

/// Returns the grain of that name.
///
/// # Errors
/// Returns a sentence with the names that there are.
pub(crate) fn grain(name: &str) -> Result<Grain, String> {
    Grain::parse(name).ok_or_else(|| format!("grain \"{name}\" is unknown; there are {GRAINS}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_is_read_back_from_its_path() {
        #[track_caller]
        fn check(parameters: &[(&str, &str)], segment: &str) {
            let view = View::of_parameters(parameters.iter().copied()).expect("a view");
            assert_eq!(view.segment(), segment);
            assert_eq!(View::of_segment(segment), Ok(view));
        }
        check(&[], "");
        check(
            &[("segment", "startup"), ("as_of", "2026-06-01")],
            "as_of=2026-06-01&segment=startup",
        );
        check(
            &[("manager", "Zoë O’Neil & co/../x")],
            "manager=Zo%C3%AB%20O%E2%80%99Neil%20%26%20co%2F..%2Fx",
        );
        check(&[("plan", ""), ("region", "EU")], "region=EU");
        check(&[("run", "17")], "run=17");
        check(&[("compare", "target"), ("plan", "scale")], "plan=scale&compare=target");
        check(&[("compare", "previous")], "");
        check(&[("grain", "week"), ("compare", "target")], "compare=target&grain=week");
        check(&[("grain", "")], "");
    }

    #[test]
    fn wrong_parameters_are_told() {
        #[track_caller]
        fn check(name: &str, value: &str, part: &str) {
            let error = View::of_parameters([(name, value)]).expect_err("an error");
            assert!(error.contains(part), "{error}");
        }
        check("as_of", "yesterday", "is no date");
        check("colour", "red", "restricts nothing");
        check("run", "1 OR 1=1", "no number");
        check("compare", "yesterday", "previous, last_year and target");
        check("grain", "fortnight", "day, week and month");
        check("plan", &"x".repeat(201), "more than 200 bytes");
        assert!(View::of_segment("plan=%ff").is_err());
    }

    #[test]
    fn a_condition_quotes_its_values() {
        let view = View::of_parameters([("plan", "it's"), ("segment", "a")]).expect("a view");
        assert_eq!(view.condition().as_deref(), Some("plan = 'it''s' AND segment = 'a'"));
        assert_eq!(View::default().condition(), None);
    }
}
