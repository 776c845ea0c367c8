//! Finds the stream or the recipe that accepts most of some records.

use domain::Stream;

use crate::mapping::{Mapping, MappingInput, Trial, TrialRecord, TrialResult, recipes};

/// What accepts most of a file's records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordFit {
    /// They are events of the contract already.
    Stream(Stream),
    /// They are in a format that these recipes read, each with the stream of its events.
    Recipes(Vec<(&'static str, Option<Stream>)>),
}

/// Returns what accepts most of these records; `stream` is the one they were loaded as, which is
/// preferred.
pub(super) fn fit_of(
    records: &[&str],
    input: MappingInput,
    stream: Stream,
    arrival: i64,
) -> Option<RecordFit> {
    let accepts = |trial: Trial| accepted(trial, records, arrival);
    if input == MappingInput::Json {
        let others = Stream::ALL.into_iter().filter(|other| *other != stream);
        let found = std::iter::once(stream)
            .chain(others)
            .filter_map(|stream| Some((accepts(Trial::new(stream, None))?, stream)))
            // Of equal ones the first.
            .reduce(|best, next| if next.0 > best.0 { next } else { best });
        if let Some((_, stream)) = found {
            return Some(RecordFit::Stream(stream));
        }
    }
    let mut fits: Vec<(usize, &'static str, Option<Stream>)> = Vec::new();
    for recipe in recipes().into_iter().filter(|recipe| recipe.input == input) {
        let Ok(mapping) = Mapping::built_in(recipe.name) else { continue };
        let trial = Trial::new(recipe.stream.unwrap_or(stream), Some(mapping));
        fits.extend(accepts(trial).map(|n| (n, recipe.name, recipe.stream)));
    }
    // Those of the stream that was meant are the better ones.
    if fits.iter().any(|(_, _, of)| *of == Some(stream)) {
        fits.retain(|(_, _, of)| *of == Some(stream));
    }
    let most = fits.iter().map(|(n, ..)| *n).max()?;
    let best = fits.into_iter().filter(|(n, ..)| *n == most);
    Some(RecordFit::Recipes(best.map(|(_, name, stream)| (name, stream)).collect()))
}

/// Returns how many of the records are accepted, where that is more than are rejected.
fn accepted(mut trial: Trial, records: &[&str], arrival: i64) -> Option<usize> {
    let (mut accepted, mut rejected) = (0, 0);
    for (line, record) in records.iter().enumerate() {
        let position = format!("file#000000000000/0/{line}");
        let outcome = trial.run(&TrialRecord {
            value: record.as_bytes(),
            key: None,
            headers: &[],
            topic: "file:sample#000000000000",
            position: &position,
            arrival,
        });
        match outcome.result {
            TrialResult::Accepted(_) => accepted += 1,
            TrialResult::Rejected { .. } => rejected += 1,
            TrialResult::Skipped { .. } => {}
        }
    }
    (accepted > rejected).then_some(accepted)
}
