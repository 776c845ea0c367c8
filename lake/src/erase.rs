//! Erasing partners: their rows leave the events, the dead letters and the rollups; where a row is
//! another's history, a random token takes the place of the id.
//!
//! Reading order: here the rewriting of tables, `names` (finding ids), `readings` and `fields` (how
//! they may be spelled, and where they stand), `letters` (in sealed records), `traces` (what is left
//! of them in the lake's files), `doubts` (what may be), `forget` (removing dead files and the
//! statistics of the log), `reports` (the reports that were written from the lake).

mod doubts;
mod fields;
mod forget;
mod letters;
mod names;
mod readings;
mod reports;
#[cfg(test)]
mod tests;
mod traces;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray};
use arrow::compute::filter_record_batch;
use lake_types::{Day, Stream};

use crate::error::LakeError;
use crate::file::{FileWriter, PendingFile, batches};
use crate::lake::Lake;
use crate::schema::{self, TableDef};
use crate::snapshot::{DataFile, STANDS_FOR, TableSnapshot};
pub use doubts::Doubt;
use letters::letters_that_name;
use names::Names;
pub use reports::NotedReport;
pub use traces::{Place, Scan, Trace};

/// Starts over after another process rewrote a day.
const ATTEMPTS: usize = 5;

/// Days are rewritten together up to so many bytes of files: what a conflict does over again.
const GROUP_BYTES: u64 = 256 << 20;

/// The partners to erase, each with the token that takes the place of its id.
pub struct Erasure {
    names: Names,
}

/// What was, or would be, done to one table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Erased {
    pub table: String,
    /// Rows that are gone.
    pub dropped: u64,
    /// Rows in which a token stands now.
    pub replaced: u64,
    /// Files that were rewritten.
    pub files: u64,
}

/// The id under which a table counts the records of a stream that were erased from it.
pub fn erased_mark(stream: &str) -> String {
    format!("erased/{stream}")
}

/// The id under which a table counts the copies that compaction had dropped from files that an
/// erasure left nothing of: other files keep their own count.
const COPIES_OF_ERASED: &str = "copies";

/// The copies of events that compaction has dropped from a table, those of erased events included.
pub fn dropped_copies(snapshot: &TableSnapshot) -> u64 {
    let of_erased = snapshot.txns.get(COPIES_OF_ERASED).and_then(|n| u64::try_from(*n).ok());
    let of_files = snapshot.files.iter().map(DataFile::dropped_copies);
    of_files.sum::<u64>() + of_erased.unwrap_or_default()
}

impl Erasure {
    /// `partners` maps ids, as sent, to tokens. `everywhere` takes also an id that may be an ordinary
    /// word for the partner's wherever it stands.
    pub fn new(partners: &BTreeMap<String, String>, everywhere: bool) -> Self {
        Self { names: Names::new(partners, everywhere) }
    }

    /// The ids that may be ordinary words or numbers too. These are looked for wherever the id of a
    /// partner stands; elsewhere they are [`Doubt`]s.
    pub fn ordinary(&self) -> impl Iterator<Item = &str> {
        self.names.ordinary()
    }
}

/// What becomes of the rows of a table.
enum Rule {
    /// Events of a stream: the partner's go.
    Events(Stream),
    /// Sealed records: those that name the partner go.
    Letters,
    /// Rows that are computed from events: the partner's go.
    Rollup,
    /// History: the rows stay, under a token.
    History,
}

impl Rule {
    fn of(table: &str) -> Self {
        if table == schema::dead_letters().name {
            return Self::Letters;
        }
        if let Some(stream) = Stream::ALL.into_iter().find(|s| schema::raw(*s).name == table) {
            return Self::Events(stream);
        }
        if table.starts_with("rollup/") { Self::Rollup } else { Self::History }
    }

    /// Whether the partner's rows are found by the bounds of `partner_id` alone; names in other
    /// columns are then left to [`Lake::traces`].
    fn by_bounds(&self) -> bool {
        // Partner events name other partners they were merged into.
        matches!(self, Self::Rollup)
            || matches!(self, Self::Events(s) if *s != Stream::PartnerEvents)
    }
}

impl Lake {
    /// Rewrites the files of a table that hold the partners: those whose bounds say that they may,
    /// or `only` these. Some days at a time are one commit, which counts the records that are gone.
    /// With `dry` nothing is written.
    ///
    /// # Errors
    /// [`LakeError::Conflict`] when other processes keep rewriting a day; the storage's own.
    pub async fn erase(
        &self,
        erasure: &Erasure,
        table: &str,
        only: Option<&BTreeSet<String>>,
        dry: bool,
    ) -> Result<Erased, LakeError> {
        let mut done = Erased { table: table.to_owned(), ..Erased::default() };
        let Some(first) = self.snapshot(table, None).await? else { return Ok(done) };
        let task = Task { erasure, rule: Rule::of(table), only, dry };
        for days in task.groups(&first) {
            let mut attempt = 0;
            loop {
                let mut of_days = Erased::default();
                match self.erase_days(&task, table, &days, &mut of_days).await {
                    Err(LakeError::Conflict { .. }) if attempt < ATTEMPTS => attempt += 1,
                    Err(other) => return Err(other),
                    Ok(()) => {
                        done.dropped += of_days.dropped;
                        done.replaced += of_days.replaced;
                        done.files += of_days.files;
                        break;
                    }
                }
            }
        }
        Ok(done)
    }

    async fn erase_days(
        &self,
        task: &Task<'_>,
        table: &str,
        days: &BTreeSet<Option<Day>>,
        done: &mut Erased,
    ) -> Result<(), LakeError> {
        let Some(base) = self.snapshot(table, None).await? else { return Ok(()) };
        let def = definition(&base);
        let (mut old, mut new) = (Vec::new(), Vec::new());
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for file in base.files.iter().filter(|f| days.contains(&f.day) && task.concerns(f)) {
            let Some(cleaned) = self.erase_file(task, &def, file).await? else { continue };
            done.dropped += cleaned.dropped.values().sum::<u64>();
            done.replaced += cleaned.replaced;
            done.files += 1;
            for (stream, rows) in cleaned.dropped.iter().filter(|(stream, _)| !stream.is_empty()) {
                *counts.entry(erased_mark(stream)).or_default() += rows;
            }
            if cleaned.copies > 0 {
                *counts.entry(COPIES_OF_ERASED.to_owned()).or_default() += cleaned.copies;
            }
            old.push(file);
            new.extend(cleaned.file);
        }
        if old.is_empty() || task.dry {
            return Ok(());
        }
        self.replace_files(&def, &base, &old, &new, &counts).await
    }

    /// The file without the partners; `None` when they are not in it.
    async fn erase_file(
        &self,
        task: &Task<'_>,
        def: &TableDef,
        file: &DataFile,
    ) -> Result<Option<Cleaned>, LakeError> {
        let mut writer = if task.dry { None } else { Some(self.file_writer(def, file.day)?) };
        let mut cleaned = Cleaned::default();
        for batch in batches(self.bytes(&file.path).await?, &file.path)? {
            let batch = task.clean(self, &batch?, &mut cleaned)?;
            if let Some(writer) = &mut writer {
                writer.write(&batch)?;
            }
        }
        if cleaned.dropped.is_empty() && cleaned.replaced == 0 {
            return Ok(None);
        }
        if let Some(writer) = writer {
            cleaned.file = task.finish(writer, file).await?;
            if cleaned.file.is_none() {
                cleaned.copies = file.dropped_copies();
            }
        }
        Ok(Some(cleaned))
    }
}

struct Task<'a> {
    erasure: &'a Erasure,
    rule: Rule,
    only: Option<&'a BTreeSet<String>>,
    dry: bool,
}

/// A file after the erasure.
#[derive(Default)]
struct Cleaned {
    /// Rows that are gone, by stream; under no name where they are not records.
    dropped: BTreeMap<String, u64>,
    replaced: u64,
    /// Copies that compaction had dropped, where no file is left to keep their count.
    copies: u64,
    file: Option<PendingFile>,
}

impl Task<'_> {
    /// The days of the files to look at, in groups that are committed together.
    fn groups(&self, snapshot: &TableSnapshot) -> Vec<BTreeSet<Option<Day>>> {
        let mut bytes: BTreeMap<Option<Day>, u64> = BTreeMap::new();
        for file in snapshot.files.iter().filter(|f| self.concerns(f)) {
            *bytes.entry(file.day).or_default() += file.size;
        }
        let mut groups: Vec<BTreeSet<Option<Day>>> = Vec::new();
        let mut filled = GROUP_BYTES;
        for (day, size) in bytes {
            if filled + size > GROUP_BYTES {
                groups.push(BTreeSet::new());
                filled = 0;
            }
            filled += size;
            if let Some(group) = groups.last_mut() {
                group.insert(day);
            }
        }
        groups
    }

    fn concerns(&self, file: &DataFile) -> bool {
        if let Some(only) = self.only {
            return only.contains(&file.path);
        }
        !self.rule.by_bounds()
            || file.partners.as_ref().is_none_or(|(low, high)| {
                self.erasure.names.ids().any(|id| low.as_str() <= id && id <= high.as_str())
            })
    }

    fn clean(
        &self,
        lake: &Lake,
        batch: &RecordBatch,
        cleaned: &mut Cleaned,
    ) -> Result<RecordBatch, LakeError> {
        let names = &self.erasure.names;
        let mut count = |stream: &str, rows: usize| {
            if rows > 0 {
                *cleaned.dropped.entry(stream.to_owned()).or_default() += rows as u64;
            }
        };
        let kept = match self.rule {
            Rule::History => batch.clone(),
            Rule::Letters => {
                let named = letters_that_name(names, lake.key(), batch).named;
                let streams = batch.column_by_name("stream").and_then(|c| c.as_string_opt::<i32>());
                for row in (0..batch.num_rows()).filter(|row| named[*row]) {
                    count(streams.map_or("", |s| s.value(row)), 1);
                }
                without(batch, &named)?
            }
            Rule::Events(_) | Rule::Rollup => {
                let ids = batch.column_by_name("partner_id").and_then(|c| c.as_string_opt::<i32>());
                let theirs: Vec<bool> = (0..batch.num_rows())
                    .map(|row| ids.is_some_and(|c| c.is_valid(row) && names.is(c.value(row))))
                    .collect();
                let rows = theirs.iter().filter(|t| **t).count();
                count(if let Rule::Events(stream) = self.rule { stream.name() } else { "" }, rows);
                without(batch, &theirs)?
            }
        };
        let (batch, replaced) = tokens(names, &kept)?;
        cleaned.replaced += replaced;
        Ok(batch)
    }

    /// Ends the new file; a file of events without rows is none.
    async fn finish(
        &self,
        writer: FileWriter,
        old: &DataFile,
    ) -> Result<Option<PendingFile>, LakeError> {
        let mut tags = old.tags.clone();
        // It no longer holds what the files it was made of held.
        tags.remove(STANDS_FOR);
        // An empty file of a rollup remembers what its day was made of.
        if writer.rows() > 0 || matches!(self.rule, Rule::Rollup) {
            return writer.finish(tags).await.map(Some);
        }
        Ok(None)
    }
}

/// The table as it stands, for files of the same columns.
pub(crate) fn definition(snapshot: &TableSnapshot) -> TableDef {
    TableDef {
        name: snapshot.table.clone(),
        schema: Arc::clone(&snapshot.schema),
        partition_by: snapshot.partition_by.clone(),
    }
}

fn without(batch: &RecordBatch, rows: &[bool]) -> Result<RecordBatch, LakeError> {
    if !rows.contains(&true) {
        return Ok(batch.clone());
    }
    let stay: BooleanArray = rows.iter().map(|gone| Some(!gone)).collect();
    Ok(filter_record_batch(batch, &stay)?)
}

/// The rows with tokens for the ids they name, and how many rows that were.
fn tokens(names: &Names, batch: &RecordBatch) -> Result<(RecordBatch, u64), LakeError> {
    let mut touched = vec![false; batch.num_rows()];
    let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
    let schema = batch.schema();
    for (field, column) in schema.fields().iter().zip(&mut columns) {
        let Some(texts) = column.as_string_opt::<i32>() else { continue };
        if !names.may_be_in(texts.value_data()) {
            continue;
        }
        let cells: StringArray = texts
            .iter()
            .zip(&mut touched)
            .map(|(text, touched)| {
                let text = text?;
                let new = token_for(names, field.name(), text);
                *touched |= new.is_some();
                Some(new.unwrap_or_else(|| text.to_owned()))
            })
            .collect();
        *column = Arc::new(cells);
    }
    let rows = touched.iter().filter(|t| **t).count() as u64;
    if rows == 0 {
        return Ok((batch.clone(), 0));
    }
    Ok((RecordBatch::try_new(schema, columns)?, rows))
}

/// Columns whose values the contracts or the program itself choose: a word there is never an id.
const CHOSEN: [&str; 17] = [
    "environment",
    "type",
    "kind",
    "currency",
    "stream",
    "signal",
    "field",
    "key_id",
    "stage",
    "tier",
    "computed_tier",
    "gate",
    "risk_model",
    "policy_version",
    "run_id",
    "config_digest",
    "versions",
];

/// What stands in a cell instead of an id; `None` where the cell may stay.
fn token_for(names: &Names, column: &str, text: &str) -> Option<String> {
    match column {
        "partner_id" | "merged_into" => names.token_of(text).map(str::to_owned),
        "topic" if is_of_kafka(text) => None,
        _ if CHOSEN.contains(&column) => None,
        _ => names.replaced(text),
    }
}

/// A topic of Kafka is part of a record's place; the name of a loaded file is only a name.
fn is_of_kafka(topic: &str) -> bool {
    !topic.starts_with("file:")
}
