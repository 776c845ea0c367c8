//! The tables that a rollup reads: files of streams, and the counts of `arrivals`.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use domain::{Day, Stream};
use lake::{DataFile, TableDef, TableSnapshot};

use crate::catalog::Query;
use crate::catalog::built_in_tables::ARRIVALS;
use crate::catalog::header::DayRange;
use crate::catalog::statement::Statement;
use crate::engine::Engine;
use crate::engine::arrivals::{Arrivals, arrivals_table};
use crate::engine::file_list::FileList;
use crate::engine::scan::{EventSource, EventTable, StoredTable};
use crate::error::{Result, TransformError};

/// A table that a rollup reads.
pub(crate) struct RollupInput {
    /// The name in the query.
    pub name: String,
    /// The days of this table that a day of the rollup may read.
    pub day_range: DayRange,
    /// The versions of the lake's tables that this table is made of.
    pub versions: BTreeMap<String, u64>,
    source: InputSource,
    /// The first day that is not sealed. Retention has deleted the events of sealed days.
    sealed_before: Option<Day>,
}

/// The rows of a rollup's input.
enum InputSource {
    Stream {
        /// Whether duplicates stay in.
        raw: bool,
        def: TableDef,
        files: Arc<[DataFile]>,
    },
    Arrivals(Arrivals),
}

/// A snapshot of each stream that is read; `None` before the first event.
type StreamSnapshots = BTreeMap<Stream, Option<TableSnapshot>>;

impl Engine {
    /// Returns the tables that a rollup reads, at their newest versions. Tables of one stream have
    /// the same version.
    pub(crate) async fn inputs(
        &self,
        query: &Query,
        statement: &Statement,
    ) -> Result<Vec<RollupInput>> {
        self.inputs_at(query, statement, None).await
    }

    /// Returns the same at given versions. A table without a version did not exist then.
    pub(crate) async fn inputs_at(
        &self,
        query: &Query,
        statement: &Statement,
        versions: Option<&BTreeMap<String, u64>>,
    ) -> Result<Vec<RollupInput>> {
        let fail = |message| TransformError::File { file: query.file.clone(), line: 1, message };
        let mut inputs = Vec::new();
        let mut streams = StreamSnapshots::new();
        for name in statement.tables(&query.file)? {
            let plain = name.strip_prefix("raw.").unwrap_or(&name);
            let stream = Stream::ALL.into_iter().find(|s| s.table() == plain);
            if stream.is_none() && name != ARRIVALS {
                return Err(fail(format!(
                    "a rollup reads tables of events and {ARRIVALS} only, not {name}"
                )));
            }
            let Some(day_range) = query.header.reads.get(plain).copied() else {
                return Err(fail(format!(
                    "say which days it reads: reads = {{ {plain} = \"same\" }}"
                )));
            };
            for needed in stream.map_or(Stream::ALL.to_vec(), |s| vec![s]) {
                if let Entry::Vacant(entry) = streams.entry(needed) {
                    let table = lake::schema::raw(needed).name;
                    entry.insert(self.snapshot_at(&table, versions).await?);
                }
            }
            let raw = plain.len() < name.len();
            let input = match stream {
                Some(stream) => RollupInput::of_stream(name, day_range, raw, stream, &streams),
                None => RollupInput::of_arrivals(name, day_range, &streams),
            };
            if let Some(first) = input.sealed_before.filter(|_| day_range.is_endless()) {
                return Err(TransformError::File {
                    file: query.file.clone(),
                    line: query.header.reads_position.line,
                    message: format!(
                        "it reads every day of {0} (\"{1}\"), and retention has sealed those before {first}: their events are gone; let it read \"lookback N\"",
                        input.name,
                        day_range.text()
                    ),
                });
            }
            inputs.push(input);
        }
        Ok(inputs)
    }
}

impl RollupInput {
    fn of_stream(
        name: String,
        day_range: DayRange,
        raw: bool,
        stream: Stream,
        all: &StreamSnapshots,
    ) -> Self {
        let snapshot = all.get(&stream).and_then(Option::as_ref);
        Self {
            name,
            day_range,
            versions: snapshot.map(|s| (s.table.clone(), s.version)).into_iter().collect(),
            sealed_before: snapshot.and_then(|s| lake::sealed_before(&s.txns)),
            source: InputSource::Stream {
                raw,
                def: lake::schema::raw(stream),
                files: snapshot.map(|s| s.files.clone()).unwrap_or_default(),
            },
        }
    }

    fn of_arrivals(name: String, day_range: DayRange, all: &StreamSnapshots) -> Self {
        let mut arrivals = Arrivals::default();
        let mut sealed_before = None;
        let mut versions = BTreeMap::new();
        for (stream, snapshot) in all {
            let Some(snapshot) = snapshot else { continue };
            versions.insert(snapshot.table.clone(), snapshot.version);
            arrivals.add_files(*stream, &snapshot.files);
            sealed_before = sealed_before.max(lake::sealed_before(&snapshot.txns));
        }
        Self { name, day_range, versions, sealed_before, source: InputSource::Arrivals(arrivals) }
    }

    /// Whether a day of the rollup can still be computed. It can't where it reads a sealed day,
    /// whose events are deleted; the stored rows stay then.
    pub(crate) fn is_computable(&self, day: Day) -> bool {
        let read = match self.day_range {
            DayRange::Lookback(days) => day.plus(-days),
            DayRange::Same | DayRange::UpTo | DayRange::All => day,
        };
        self.sealed_before.is_none_or(|first| read >= first)
    }

    /// Returns the first day of the rollup that can still be computed, or `None` where all can.
    pub(crate) fn first_computable(&self) -> Option<Day> {
        let first = self.sealed_before?;
        Some(match self.day_range {
            DayRange::Lookback(days) => first.plus(days),
            DayRange::Same | DayRange::UpTo | DayRange::All => first,
        })
    }

    /// Returns the days with rows.
    pub(crate) fn days(&self) -> BTreeSet<Day> {
        match &self.source {
            InputSource::Stream { files, .. } => files.iter().filter_map(|f| f.day).collect(),
            InputSource::Arrivals(arrivals) => arrivals.days().collect(),
        }
    }

    /// Returns the number of rows in each file, with its day.
    pub(crate) fn row_counts(&self) -> impl Iterator<Item = (Day, u64)> {
        let files: &[DataFile] = match &self.source {
            InputSource::Stream { files, .. } => files,
            InputSource::Arrivals(_) => &[],
        };
        files.iter().filter_map(|f| Some((f.day?, f.rows)))
    }

    /// Returns a text for each day that identifies its rows: equal texts mean equal rows.
    pub(crate) fn content_by_day(&self) -> BTreeMap<Day, String> {
        match &self.source {
            InputSource::Stream { files, .. } => {
                let mut by_day: BTreeMap<Day, Vec<&DataFile>> = BTreeMap::new();
                for file in files.iter() {
                    if let Some(day) = file.day {
                        by_day.entry(day).or_default().push(file);
                    }
                }
                let identity = |files: Vec<&DataFile>| lake::content_identity(files.into_iter());
                by_day.into_iter().map(|(day, files)| (day, identity(files))).collect()
            }
            InputSource::Arrivals(arrivals) => {
                let mut by_day: BTreeMap<Day, String> = BTreeMap::new();
                for (stream, day, records) in arrivals.of_days(|_| true) {
                    let _ = write!(by_day.entry(day).or_default(), "{stream} {day} {records};");
                }
                by_day
            }
        }
    }

    /// Returns the days whose rows differ from those of the same input at earlier versions.
    pub(crate) fn changed_since(&self, then: &Self) -> BTreeSet<Day> {
        let (now, then) = (self.content_by_day(), then.content_by_day());
        let days = now.keys().chain(then.keys()).copied();
        days.filter(|day| now.get(day) != then.get(day)).collect()
    }

    /// Returns the files of one day of a stream.
    pub(crate) fn stored_files(&self, day: Day) -> Option<FileList> {
        let InputSource::Stream { def, files, .. } = &self.source else { return None };
        let files = files.iter().filter(|file| file.day == Some(day)).cloned().collect();
        Some(FileList::of_def(def, files).with_utf8_view())
    }

    /// Returns the table with the days that these days of the rollup may read.
    pub(crate) fn table(&self, days: &[Day]) -> Result<Arc<dyn TableProvider>> {
        let wanted: BTreeSet<Day> = match self.day_range {
            DayRange::Same => days.iter().copied().collect(),
            day_range => {
                let covered = |input: &Day| days.iter().any(|day| day_range.covers(*day, *input));
                self.days().into_iter().filter(covered).collect()
            }
        };
        Ok(match &self.source {
            InputSource::Stream { raw, def, files } => {
                let has = |f: &&DataFile| f.day.is_some_and(|day| wanted.contains(&day));
                let files = files.iter().filter(has).cloned().collect();
                let list = FileList::of_def(def, files).with_utf8_view();
                if *raw {
                    Arc::new(StoredTable(list))
                } else {
                    Arc::new(EventTable(EventSource::Files(list)))
                }
            }
            InputSource::Arrivals(arrivals) => {
                arrivals_table(arrivals, |day| wanted.contains(&day))?
            }
        })
    }
}
