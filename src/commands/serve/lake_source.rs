//! The lake as the served pages see it. The configuration, the policies and the queries are read again
//! for each new report, so that an edit shows without a restart.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use actions::Plan;
use async_trait::async_trait;
use dashboards::{ReportInput, SavedView};
use domain::{AsOf, Stream};
use lake::{Lake, LakeError, schema};
use scoring::ScoreOutput;
use serve::{DataSource, Decision, LakeState, SourceError, SqlAnswer, SqlValues, View};
use tokio::runtime::Handle;
use transform::{Session, TransformError};

use super::{decisions, saved_views, sql_process};
use crate::commands::plan;
use crate::commands::report::{Made, MetricCache, Scope, collect};
use crate::config::Config;
use crate::errors::{UsageError, usage_error};
use crate::event_days::EventDays;
use crate::progress::Spinner;
use crate::project::{NO_API_CALLS, Project};
use crate::runs::{self, Run};

/// The number of days and runs whose scores and plans are kept, the newest ones included.
const BASES: usize = 4;

/// Reads a project's lake.
pub(crate) struct LakeSource(Arc<ServedLake>);

/// A project's lake, with what is kept of it between reports.
pub(super) struct ServedLake {
    config_file: Option<PathBuf>,
    /// What the reports of a day and run have in common, the one used last at the end.
    bases: Mutex<Vec<Arc<Base>>>,
    /// The rows that metrics had when their checks held, as Parquet.
    last_rows: Mutex<BTreeMap<String, Vec<u8>>>,
    metrics: MetricCache,
}

/// What all reports of one day and one set of table versions have in common.
pub(super) struct Base {
    project: Project,
    session: Arc<Session>,
    scored: ScoreOutput,
    pub(super) plan: Plan,
    /// The number of the run.
    run: Option<String>,
}

impl LakeSource {
    pub(crate) fn new(config_file: Option<&Path>) -> Self {
        Self(Arc::new(ServedLake {
            config_file: config_file.map(Path::to_owned),
            bases: Mutex::default(),
            last_rows: Mutex::default(),
            metrics: MetricCache::default(),
        }))
    }
}

impl ServedLake {
    pub(super) fn config(&self) -> anyhow::Result<Config> {
        Config::find(self.config_file.as_deref())
    }

    /// Opens the project as it is now.
    pub(super) async fn open(&self) -> anyhow::Result<Project> {
        Project::open(self.config()?, true).await
    }

    /// Returns the plan of an id, if it is one that the pages have shown lately.
    pub(super) fn plan(&self, id: &str) -> Option<Arc<Base>> {
        let bases = self.bases.lock().unwrap_or_else(PoisonError::into_inner);
        bases.iter().rev().find(|base| base.plan.plan_id == id).cloned()
    }

    /// Returns what the reports of a view's day and run have in common.
    async fn base(&self, view: &View) -> anyhow::Result<Arc<Base>> {
        if let Some(known) = self.known_base(view) {
            return Ok(known);
        }
        let base = Arc::new(match &view.run {
            None => self.newest_base(view).await?,
            Some(run) => self.base_of_run(run, view).await?,
        });
        let mut bases = self.bases.lock().unwrap_or_else(PoisonError::into_inner);
        if bases.len() >= BASES {
            bases.remove(0);
        }
        bases.push(Arc::clone(&base));
        Ok(base)
    }

    fn known_base(&self, view: &View) -> Option<Arc<Base>> {
        let run = view.run.as_ref()?;
        let mut bases = self.bases.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |base: &Arc<Base>| {
            let day = base.session.as_of().day().date();
            base.run.as_ref() == Some(run) && view.as_of.is_none_or(|as_of| as_of == day)
        };
        let at = bases.iter().position(fits)?;
        let base = bases.remove(at);
        bases.push(Arc::clone(&base));
        Some(base)
    }

    /// Scores as `rapport report` does, and records the run, so that others can refer to it.
    async fn newest_base(&self, view: &View) -> anyhow::Result<Base> {
        let project = self.open().await?;
        let as_of = view.as_of.map(|day| day.to_string());
        let as_of = project.as_of(as_of.as_deref()).await?;
        let (session, scored) = plan::scored_session(&project, as_of).await?;
        let run = project.record_run(&session).await?.map(|run| run.to_string());
        let plan = plan::make_deliverable(&project, &session, &scored).await?;
        Ok(Base { project, session, scored, plan, run })
    }

    /// Reads the tables as a run read them. Nothing is written.
    async fn base_of_run(&self, run: &str, view: &View) -> anyhow::Result<Base> {
        let project = self.open().await?;
        project.stop_writing().await?;
        let found = runs::find(&project, "run", run).await?;
        let as_of = match view.as_of {
            Some(day) => AsOf::of_day(domain::Day::of_date(day)),
            None => found.as_of,
        };
        if as_of.micros() > found.as_of.micros() {
            let newest = found.as_of.day();
            return Err(usage_error(format!(
                "as_of {} lies after the data of this run, which is complete to {newest}",
                as_of.day()
            )));
        }
        let made = of_run(&project, &found, as_of).await;
        let (session, scored, plan) = made.map_err(|error| explained(&found, error))?;
        Ok(Base { project, session, scored, plan, run: Some(run.to_owned()) })
    }

    async fn collect(&self, view: &View) -> anyhow::Result<ReportInput> {
        let base = self.base(view).await?;
        let made = Made { session: &base.session, scored: &base.scored, plan: &base.plan };
        let condition = view.condition();
        let last_rows = |name: &str| {
            self.last_rows.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
        };
        let scope = Scope {
            condition: condition.as_deref(),
            run: base.run.clone(),
            last_rows: &last_rows,
            metrics: Some(&self.metrics),
        };
        let input = collect(&base.project, &made, &scope, &Spinner::start("report", true)).await?;
        if condition.is_none() && view.as_of.is_none() {
            *self.last_rows.lock().unwrap_or_else(PoisonError::into_inner) = input.parquet.clone();
        }
        Ok(input)
    }
}

async fn of_run(
    project: &Project,
    run: &Run,
    as_of: AsOf,
) -> anyhow::Result<(Arc<Session>, ScoreOutput, Plan)> {
    let session = Arc::new(run.session(project.reading_engine(), as_of).await?);
    let scored = crate::scores::score_partners(project, &session).await?;
    let plan = plan::make_deliverable(project, &session, &scored).await?;
    Ok((session, scored, plan))
}

/// Adds advice to an error if it means that the tables of a run are gone.
fn explained(run: &Run, error: anyhow::Error) -> anyhow::Error {
    let gone = error.downcast_ref::<TransformError>().and_then(|error| run.gone(error));
    gone.map_or(error, |gone| anyhow::Error::new(SourceError::Gone(gone.to_string())))
}

/// Returns an error as the pages tell it.
pub(super) fn source_error(error: anyhow::Error) -> SourceError {
    match error.downcast::<SourceError>() {
        Ok(error) => error,
        Err(error) => match error.downcast::<UsageError>() {
            Ok(UsageError(why)) => SourceError::Invalid(why),
            Err(error) => SourceError::Failed(format!("{error:#}")),
        },
    }
}

/// The tables that events and people write. All others are computed from them.
fn written_tables() -> Vec<String> {
    let raw = Stream::ALL.into_iter().map(schema::raw);
    let records = [
        schema::dead_letters(),
        schema::overrides(),
        schema::sentiment(),
        schema::notes(),
        schema::annotations(),
        schema::action_log(),
        schema::action_switch(),
        // Checks of alerts write them too. The plans of pages leave no trace.
        schema::action_episodes(),
        schema::snoozes(),
        schema::alert_notes(),
        schema::delivery_log(),
    ];
    raw.chain(records).map(|table| table.name).collect()
}

async fn state(source: &ServedLake) -> anyhow::Result<LakeState> {
    let config = source.config()?;
    let lake = match Lake::open(&config.lake()).await {
        Err(error @ LakeError::Missing { .. }) => {
            return Err(SourceError::NoData(error.to_string()).into());
        }
        lake => lake?,
    };
    let mut versions = BTreeMap::new();
    for table in written_tables() {
        if let Some(snapshot) = lake.snapshot(&table, None).await? {
            versions.insert(table, snapshot.version.to_string());
        }
    }
    versions.insert("rapport.toml".to_owned(), config.digest()?);
    versions.insert("targets".to_owned(), format!("{:?}", config.targets()));
    if let Some(folder) = config.queries() {
        versions.insert("queries".to_owned(), folder_digest(&folder)?);
    }
    let end = match lake.watermark().await? {
        Some(watermark) => Some(watermark),
        None => EventDays::of(&lake).await?.end().map(AsOf::micros),
    };
    let now = chrono::Utc::now().timestamp_micros();
    let Some(end) = end.map(|end| end.min(now)) else {
        let why = format!("{NO_API_CALLS}: run `rapport ingest`; the pages follow by themselves");
        return Err(SourceError::NoData(why).into());
    };
    Ok(LakeState { as_of: AsOf::at_or_before(end).day().date(), versions })
}

/// Returns a digest of the files in a folder and in the folders in it.
fn folder_digest(folder: &Path) -> anyhow::Result<String> {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    entries.sort_unstable();
    let mut text = String::new();
    for path in entries {
        let digest = match path.is_dir() {
            true => folder_digest(&path)?,
            // A file that an editor has just taken away counts when it is back.
            false => std::fs::read(&path).map(|bytes| lake::sha256_hex(&bytes)).unwrap_or_default(),
        };
        text.push_str(&format!("{} {digest}\n", path.display()));
    }
    Ok(lake::sha256_hex(text.as_bytes()))
}

/// Runs work on a thread of its own. What the program does with the lake is not made to move between
/// threads while it waits.
async fn on_own_thread<T, F>(work: impl FnOnce() -> F + Send + 'static) -> Result<T, SourceError>
where
    T: Send + 'static,
    F: Future<Output = anyhow::Result<T>>,
{
    let runtime = Handle::current();
    let done = tokio::task::spawn_blocking(move || runtime.block_on(work()));
    done.await.map_err(|error| SourceError::Failed(error.to_string()))?.map_err(source_error)
}

#[async_trait]
impl DataSource for LakeSource {
    async fn state(&self) -> Result<LakeState, SourceError> {
        let lake = Arc::clone(&self.0);
        on_own_thread(async move || state(&lake).await).await
    }

    async fn report(&self, view: &View) -> Result<ReportInput, SourceError> {
        let (lake, view) = (Arc::clone(&self.0), view.clone());
        on_own_thread(async move || lake.collect(&view).await).await
    }

    async fn sql(&self, query: &str) -> Result<SqlAnswer, SourceError> {
        sql_process::ask(self.0.config_file.as_deref(), query).await.map_err(source_error)
    }

    async fn sql_values(&self, query: &str) -> Result<SqlValues, SourceError> {
        sql_process::ask_values(self.0.config_file.as_deref(), query).await.map_err(source_error)
    }

    async fn saved_views(&self, by: &str) -> Result<Vec<SavedView>, SourceError> {
        let (lake, by) = (Arc::clone(&self.0), by.to_owned());
        on_own_thread(async move || saved_views::read(&lake, &by).await).await
    }

    async fn save_view(&self, name: &str, path: Option<&str>, by: &str) -> Result<(), SourceError> {
        let (lake, name, by) = (Arc::clone(&self.0), name.to_owned(), by.to_owned());
        let path = path.map(str::to_owned);
        on_own_thread(async move || saved_views::write(&lake, &name, path.as_deref(), &by).await)
            .await
    }

    async fn decide(&self, decision: &Decision, by: &str) -> Result<String, SourceError> {
        let (lake, decision, by) = (Arc::clone(&self.0), decision.clone(), by.to_owned());
        on_own_thread(async move || decisions::record(&lake, &decision, &by).await).await
    }
}
