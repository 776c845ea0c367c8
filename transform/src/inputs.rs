//! What a rollup reads: files of streams, and how many records arrived, day by day.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use lake::{DataFile, TableDef, TableSnapshot};
use lake_types::{Day, Stream};

use crate::arrivals::{ARRIVALS, Arrivals};
use crate::catalog::Query;
use crate::engine::Engine;
use crate::error::{Result, TransformError};
use crate::header::Reach;
use crate::provider::{EventSource, EventTable, FileList, StoredTable};
use crate::statement::Statement;
use crate::texts;

/// A table that a rollup reads.
pub(crate) struct Input {
    /// As the query names it.
    pub name: String,
    pub reach: Reach,
    /// The tables of events that it is made of, each at the version it was read at.
    pub versions: BTreeMap<String, u64>,
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

/// A version of each stream that is needed; `None` before its first event.
type Streams = BTreeMap<Stream, Option<TableSnapshot>>;

impl Engine {
    /// The tables that a rollup reads, at their newest. Those of one stream are of one version.
    pub(crate) async fn inputs(&self, query: &Query, statement: &Statement) -> Result<Vec<Input>> {
        self.inputs_at(query, statement, None).await
    }

    /// The same at these versions; a table that is not among them did not exist yet.
    pub(crate) async fn inputs_at(
        &self,
        query: &Query,
        statement: &Statement,
        versions: Option<&BTreeMap<String, u64>>,
    ) -> Result<Vec<Input>> {
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
                    let table = lake::schema::raw(needed).name;
                    let version = versions.map(|versions| versions.get(&table).copied());
                    entry.insert(match version {
                        Some(None) => None,
                        version => self.lake.snapshot(&table, version.flatten()).await?,
                    });
                }
            }
            let raw = plain.len() < name.len();
            let input = match stream {
                Some(stream) => Input::of_stream(name, reach, raw, stream, &streams),
                None => Input::of_arrivals(name, reach, &streams),
            };
            if let Some(first) = input.sealed.filter(|_| reach.is_endless()) {
                return Err(TransformError::File {
                    file: query.file.clone(),
                    line: query.header.reads_place.line,
                    message: format!(
                        "it reads every day of {0} (\"{1}\"), and retention has sealed those before {first}: their events are gone; let it read \"lookback N\"",
                        input.name,
                        reach.text()
                    ),
                });
            }
            inputs.push(input);
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
            versions: snapshot.map(|s| (s.table.clone(), s.version)).into_iter().collect(),
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
        let mut versions = BTreeMap::new();
        for (stream, snapshot) in all {
            let Some(snapshot) = snapshot else { continue };
            versions.insert(snapshot.table.clone(), snapshot.version);
            arrivals.add_files(*stream, &snapshot.files);
            sealed = sealed.max(lake::sealed_before(&snapshot.txns));
        }
        Self { name, reach, versions, sealed, source: Source::Arrivals(arrivals) }
    }

    /// Whether a day of the rollup can still be computed. A sealed day's events are gone; what was
    /// computed from them stays.
    pub(crate) fn is_open(&self, day: Day) -> bool {
        let read = match self.reach {
            Reach::Lookback(days) => day.plus(-days),
            Reach::Same | Reach::UpTo | Reach::All => day,
        };
        self.sealed.is_none_or(|first| read >= first)
    }

    /// The first day of the rollup that can still be computed, where some can't.
    pub(crate) fn first_open(&self) -> Option<Day> {
        let first = self.sealed?;
        Some(match self.reach {
            Reach::Lookback(days) => first.plus(days),
            Reach::Same | Reach::UpTo | Reach::All => first,
        })
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

    /// What each day holds: equal texts are equal rows.
    pub(crate) fn contents(&self) -> BTreeMap<Day, String> {
        match &self.source {
            Source::Stream { files, .. } => {
                let mut by_day: BTreeMap<Day, Vec<&DataFile>> = BTreeMap::new();
                for file in files {
                    if let Some(day) = file.day {
                        by_day.entry(day).or_default().push(file);
                    }
                }
                let identity = |files: Vec<&DataFile>| lake::identity(files.into_iter());
                by_day.into_iter().map(|(day, files)| (day, identity(files))).collect()
            }
            Source::Arrivals(arrivals) => {
                let mut by_day: BTreeMap<Day, String> = BTreeMap::new();
                for (stream, day, records) in arrivals.of_days(|_| true) {
                    let _ = write!(by_day.entry(day).or_default(), "{stream} {day} {records};");
                }
                by_day
            }
        }
    }

    /// The days that hold something else than in the same input of another time.
    pub(crate) fn changed_since(&self, then: &Self) -> BTreeSet<Day> {
        let (now, then) = (self.contents(), then.contents());
        let days = now.keys().chain(then.keys()).copied();
        days.filter(|day| now.get(day) != then.get(day)).collect()
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
                }
                .in_views();
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
    texts::table_of(&rows).map_err(fail())
}
