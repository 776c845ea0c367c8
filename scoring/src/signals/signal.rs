//! What a signal is: what it is given, and what it answers, a partner a row.

use std::collections::BTreeMap;

use polars::prelude::{BooleanChunked, Int64Chunked};
use serde::de::DeserializeOwned;

use crate::columns::Numbers;
use crate::dormancy::DormancyModel;
use crate::frames::{InputFrame, ScoreError};
use crate::partner_columns::PartnerColumns;
use crate::peers::Peers;
use crate::sentences::Sentences;
use crate::value_check::ValueCheck;

/// Why a signal over the calls of W is not available.
pub(super) const NO_CALLS: &str = "No production call in 28 days";

/// A health signal. Each is an empty type in a file of its own, and is registered in `mod.rs`.
pub(crate) trait Signal {
    /// Its table of the scoring policy.
    type Parameters: DeserializeOwned;

    /// The query under `queries/scoring/` whose rows it reads, with the grain (day, partner_id).
    const INPUT: &'static str;
    /// Its rows have the column `left_out` too: it takes part in the jackknife over the weeks of W.
    const BY_WEEK: bool = false;
    /// Further queries that its reasons read, with rows of any grain.
    const DETAILS: &'static [&'static str] = &[];
    /// It is no part of the scores before the policy gives it a weight, and a policy may leave it
    /// out.
    const CANDIDATE: bool = false;

    /// Checks the values of its table.
    fn checks(parameters: &Self::Parameters) -> Vec<ValueCheck>;

    /// Measures every partner.
    ///
    /// # Errors
    /// Names the column that is missing or of another type.
    fn measure(
        input: &SignalInput<'_>,
        parameters: &Self::Parameters,
    ) -> Result<Measured, ScoreError>;

    /// Returns a sentence for each row: what was measured, or why nothing was; `None` where the
    /// signal does not apply.
    ///
    /// # Errors
    /// The same as [`Self::measure`].
    fn reasons(
        input: &SignalInput<'_>,
        measured: &Measured,
        parameters: &Self::Parameters,
    ) -> Result<Sentences, ScoreError>;
}

/// What a signal measures partners from. All columns have a row for each evaluated partner and day.
#[derive(Clone, Copy)]
pub(crate) struct SignalInput<'a> {
    /// The rows of the signal's query, aligned with the partners: NULL where it has no row.
    pub rows: &'a InputFrame,
    pub partners: &'a PartnerColumns,
    pub peers: &'a Peers,
    /// `None` where too little is known to fit one: the signal is missing then.
    pub dormancy: Option<&'a DormancyModel>,
    /// The rows of [`Signal::DETAILS`], not aligned. A query that is held back has no entry.
    pub details: &'a BTreeMap<String, InputFrame>,
}

/// A measured signal, a partner a row.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    /// The signal applies to this partner.
    pub applies: BooleanChunked,
    /// The raw value, in the unit of the signal; NULL where it is not available.
    pub value: Numbers,
    /// 0–100; NULL where the signal does not apply, or applies and is not available.
    pub score: Numbers,
    /// How many observations the value rests on; NULL counts as 0.
    pub n: Int64Chunked,
    /// The part of the policy's weight that counts, 0–1; `None`: all of it in every row.
    pub weight_share: Option<Numbers>,
}

impl Measured {
    /// Returns a sentence for each row that the signal applies to, from the row and its value.
    pub(crate) fn sentences(&self, sentence: impl Fn(usize, Option<f64>) -> String) -> Sentences {
        let rows = self.applies.iter().zip(self.value.iter()).enumerate();
        rows.map(|(row, (applies, value))| (applies == Some(true)).then(|| sentence(row, value)))
            .collect()
    }
}
