//! What a rollup reads: files of streams, and how many records arrived, day by day.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use lake::{DataFile, TableDef, TableSnapshot};
use lake_types::{Day, Stream};

use crate::arrivals::{self, ARRIVALS, Arrivals};
use crate::catalog::Query;
use crate::engine::Engine;
use crate::error::{Result, TransformError};
use crate::header::Reach;
use crate::provider::{EventSource, EventTable, FileList, StoredTable};
use crate::statement::Statement;

/// A table that a rollup reads.
pub(crate) struct Input {
    /// As the query names it.
    pub name: String,
    pub reach: Reach,
    source: Source,
    /// The first day that is not sealed.
    sealed: Option<Day>,
}

enum Source {
    Stream {
        /// With copies.
        raw: bool,
        def: TableDef,
        files: Vec<DataFile>,
    },
    Arrivals(Arrivals),
}

/// The newest version of each stream that is needed; `None` before its first event.
type Streams = BTreeMap<Stream, Option<TableSnapshot>>;

impl Engine {
    /// The tables that a rollup reads, at their newest. Those of one stream are of one version.
    pub(crate) async fn inputs(&self, query: &Query, statement: &Statement) -> Result<Vec<Input>> {
        let fail = |message| TransformError::File { file: query.file.clone(), line: 1, message };
        let mut inputs = Vec::new();
        let mut streams = Streams::new();
        for name in statement.tables(&query.file)? {
            let plain = name.strip_prefix("raw.").unwrap_or(&name);
            let stream = Stream::ALL.into_iter().find(|s| s.table() == plain);
            if stream.is_none() && name != ARRIVALS {
                return Err(fail(format!(
                    "a rollup reads tables of events and {ARRIVALS} only, not {name}"
                )));
            }
            let Some(reach) = query.header.reads.get(plain).copied() else {
                return Err(fail(format!(
                    "say which days it reads: reads = {{ {plain} = \"same\" }}"
                )));
            };
            for needed in stream.map_or(Stream::ALL.to_vec(), |s| vec![s]) {
                if let Entry::Vacant(entry) = streams.entry(needed) {
                    let def = lake::schema::raw(needed);
                    entry.insert(self.lake.snapshot(&def.name, None).await?);
                }
            }
            let raw = plain.len() < name.len();
            inputs.push(match stream {
                Some(stream) => Input::of_stream(name, reach, raw, stream, &streams),
                None => Input::of_arrivals(name, reach, &streams),
            });
        }
        Ok(inputs)
    }
}

impl Input {
    fn of_stream(name: String, reach: Reach, raw: bool, stream: Stream, all: &Streams) -> Self {
        let snapshot = all.get(&stream).and_then(Option::as_ref);
        Self {
            name,
            reach,
            sealed: snapshot.and_then(|s| lake::sealed_before(&s.txns)),
            source: Source::Stream {
                raw,
                def: lake::schema::raw(stream),
                files: snapshot.map(|s| s.files.clone()).unwrap_or_default(),
            },
        }
    }

    fn of_arrivals(name: String, reach: Reach, all: &Streams) -> Self {
        let mut arrivals = Arrivals::default();
        let mut sealed = None;
        for (stream, snapshot) in all {
            let Some(snapshot) = snapshot else { continue };
            arrivals.add_files(*stream, &snapshot.files);
            sealed = sealed.max(lake::sealed_before(&snapshot.txns));
        }
        Self { name, reach, sealed, source: Source::Arrivals(arrivals) }
    }

    /// Whether a day can still be computed. A sealed day's events are gone; what was computed from
    /// them stays.
    pub(crate) fn is_open(&self, day: Day) -> bool {
        self.sealed.is_none_or(|first| day >= first)
    }

    /// The days that have something.
    pub(crate) fn days(&self) -> BTreeSet<Day> {
        match &self.source {
            Source::Stream { files, .. } => files.iter().filter_map(|f| f.day).collect(),
            Source::Arrivals(arrivals) => arrivals.days().collect(),
        }
    }

    /// Rows that are read from files, by day.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (Day, u64)> {
        let files = match &self.source {
            Source::Stream { files, .. } => files.as_slice(),
            Source::Arrivals(_) => &[],
        };
        files.iter().filter_map(|f| Some((f.day?, f.rows)))
    }

    /// What one day of the rollup may read of this: equal texts are equal rows.
    pub(crate) fn identities(&self, day: Day) -> Vec<String> {
        let covered = |input| self.reach.covers(day, input);
        match &self.source {
            Source::Stream { files, .. } => {
                let mut by_day: BTreeMap<Day, Vec<&DataFile>> = BTreeMap::new();
                for file in files {
                    if let Some(input) = file.day.filter(|input| covered(*input)) {
                        by_day.entry(input).or_default().push(file);
                    }
                }
                by_day.into_values().map(|files| lake::identity(files.into_iter())).collect()
            }
            Source::Arrivals(arrivals) => arrivals
                .of_days(covered)
                .map(|(stream, day, records)| format!("{stream} {day} {records}"))
                .collect(),
        }
    }

    /// The table, as far as these days of the rollup may read it.
    pub(crate) fn table(&self, days: &[Day]) -> Result<Arc<dyn TableProvider>> {
        let wanted: BTreeSet<Day> = match self.reach {
            Reach::Same => days.iter().copied().collect(),
            reach => {
                let covered = |input: &Day| days.iter().any(|day| reach.covers(*day, *input));
                self.days().into_iter().filter(covered).collect()
            }
        };
        Ok(match &self.source {
            Source::Stream { raw, def, files } => {
                let has = |f: &&DataFile| f.day.is_some_and(|day| wanted.contains(&day));
                let list = FileList {
                    schema: Arc::clone(&def.schema),
                    partition_by: def.partition_by.clone(),
                    files: files.iter().filter(has).cloned().collect(),
                };
                if *raw {
                    Arc::new(StoredTable(list))
                } else {
                    Arc::new(EventTable(EventSource::Files(list)))
                }
            }
            Source::Arrivals(arrivals) => arrivals_table(arrivals, |day| wanted.contains(&day))?,
        })
    }
}

/// The table `arrivals`, or some days of it.
pub(crate) fn arrivals_table(
    arrivals: &Arrivals,
    wanted: impl Fn(Day) -> bool,
) -> Result<Arc<dyn TableProvider>> {
    let fail = || TransformError::sql(ARRIVALS);
    let rows = arrivals.batch(wanted).map_err(|e| fail()(e.into()))?;
    let table = MemTable::try_new(arrivals::schema(), vec![vec![rows]]);
    Ok(Arc::new(table.map_err(fail())?))
}
