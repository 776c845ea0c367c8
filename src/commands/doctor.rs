//! `rapport doctor`: is everything there that Rapport needs, and what to do where it is not.

mod broker;
mod lake;

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use lake_types::{Rates, counted, printable};
use transform::{Catalog, Level};

use crate::config::Config;
use crate::failure::Found;
use crate::output::{self, Format, Rows, line};
use crate::progress::Stage;
use crate::setting::hidden;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ok,
    Warn,
    Fail,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One line of the answer.
#[derive(Debug)]
struct Check {
    name: &'static str,
    state: State,
    found: String,
    /// What to do; empty where all is well.
    advice: String,
}

/// The lines so far.
#[derive(Default)]
struct Checks(Vec<Check>);

impl Checks {
    fn ok(&mut self, name: &'static str, found: impl Into<String>) {
        self.add(name, State::Ok, found, "");
    }

    fn warn(&mut self, name: &'static str, found: impl Into<String>, advice: impl Into<String>) {
        self.add(name, State::Warn, found, advice);
    }

    fn fail(&mut self, name: &'static str, found: impl Into<String>, advice: impl Into<String>) {
        self.add(name, State::Fail, found, advice);
    }

    fn add(
        &mut self,
        name: &'static str,
        state: State,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) {
        // A server may quote what it was sent.
        let (found, advice) = (hidden(&found.into()), hidden(&advice.into()));
        self.0.push(Check { name, state, found, advice });
    }

    /// An error says itself what to do.
    fn result<T>(
        &mut self,
        name: &'static str,
        result: anyhow::Result<T>,
        found: impl FnOnce(&T) -> String,
    ) -> Option<T> {
        match result {
            Ok(value) => {
                self.ok(name, found(&value));
                Some(value)
            }
            Err(error) => {
                self.fail(name, format!("{error:#}"), "");
                None
            }
        }
    }

    fn any(&self, state: State) -> bool {
        self.0.iter().any(|check| check.state == state)
    }
}

pub(crate) fn run(
    config: anyhow::Result<Config>,
    format: Format,
    runtime: &tokio::runtime::Runtime,
    quiet: bool,
) -> anyhow::Result<()> {
    let mut checks = Checks::default();
    let stage = Stage::begin("doctor", quiet);
    let config = checks.result("configuration", config, |c| {
        format!("the project in {} parses", c.folder.display())
    });
    if let Some(config) = config {
        stage.say("the queries".to_owned());
        let rates = files(&config, runtime, &mut checks);
        lake::key(&config.lake(), &mut checks);
        lake::disk(&config.lake(), &mut checks);
        stage.say("the lake".to_owned());
        let positions = runtime.block_on(lake::look(&config, rates.as_ref(), &mut checks));
        stage.say("the broker".to_owned());
        broker::look(&config, &positions, runtime, &mut checks);
        if let Some(registry) = config.registry() {
            let answer = runtime.block_on(ingest::check_registry(&registry));
            checks.result("schema registry", answer.map_err(Into::into), |kinds| {
                format!("{} answers: {}", registry.url, kinds.join(", "))
            });
        }
    }
    drop(stage);
    print(&checks, format)?;
    if checks.any(State::Fail) {
        let failed = checks.0.iter().filter(|c| c.state == State::Fail).count();
        return Err(Found(format!("{failed} of {} checks failed", checks.0.len())).into());
    }
    Ok(())
}

/// The files beside the configuration: CSV, policies, queries.
fn files(config: &Config, runtime: &tokio::runtime::Runtime, checks: &mut Checks) -> Option<Rates> {
    let rates = config.rates();
    let rates = checks.result("rates.csv", rates, |r| counted(r.rows().count(), "rate"));
    checks.result("sla.csv", config.sla(), |rows| counted(rows.len(), "plan"));
    checks.result("sunsets.csv", config.sunsets(), |rows| counted(rows.len(), "version"));
    let scoring = policy(config.scoring_policy(), |text| {
        scoring::Policy::parse(text).map(drop).map_err(|e| e.to_string())
    });
    checks.result("scoring policy", scoring, Clone::clone);
    let actions = policy(config.actions_policy(), |text| {
        actions::Policy::parse(text).map(drop).map_err(|e| e.to_string())
    });
    checks.result("actions policy", actions, Clone::clone);
    let queries = runtime.block_on(queries(config));
    checks.result("queries", queries, |n| format!("{} can be planned", counted(*n, "query")));
    rates
}

/// Plans every query; how many there are, or the first that is wrong.
async fn queries(config: &Config) -> anyhow::Result<usize> {
    let built_in = Catalog::built_in()?;
    let catalog = match config.queries() {
        Some(folder) => built_in.with_project(&folder)?,
        None => built_in,
    };
    let catalog = Arc::new(catalog);
    let found = transform::check(&catalog, &[]).await?;
    let first = found.iter().find(|mistake| mistake.severity == Level::Error);
    match (catalog.faults(), first) {
        ([], None) => Ok(catalog.queries().count()),
        ([fault, ..], _) => {
            Err(anyhow::anyhow!("{}; `rapport metrics check` shows all", fault.headline()))
        }
        (_, Some(mistake)) => {
            Err(anyhow::anyhow!("{}; `rapport metrics check` shows all", mistake.headline()))
        }
    }
}

fn policy(
    given: anyhow::Result<Option<(PathBuf, String)>>,
    parse: impl Fn(&str) -> Result<(), String>,
) -> anyhow::Result<String> {
    match given? {
        None => Ok("the built-in one".to_owned()),
        Some((path, text)) => match parse(&text) {
            Ok(()) => Ok(path.display().to_string()),
            Err(error) => Err(anyhow::anyhow!("{}:{error}", path.display())),
        },
    }
}

fn print(checks: &Checks, format: Format) -> anyhow::Result<()> {
    if format != Format::Table {
        let column = |of: &dyn Fn(&Check) -> String| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(checks.0.iter().map(of)))
        };
        let names = ["check", "state", "found", "advice"];
        let fields: Vec<Field> =
            names.iter().map(|name| Field::new(*name, DataType::Utf8, false)).collect();
        let columns = vec![
            column(&|c| c.name.to_owned()),
            column(&|c| c.state.name().to_owned()),
            column(&|c| c.found.clone()),
            column(&|c| c.advice.clone()),
        ];
        let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?;
        return output::print(&Rows { schema: &rows.schema(), batches: &[rows] }, format);
    }
    for check in &checks.0 {
        let (found, advice) = (printable(&check.found), printable(&check.advice));
        line(&format!("{:<5} {:<15} {found}", check.state.name(), check.name))?;
        if !check.advice.is_empty() {
            line(&format!("{:<21} → {advice}", ""))?;
        }
    }
    Ok(())
}
