//! `rapport doctor`: checks that everything is there, and says what to do where it is not.
//!
//! - `checks`: the results
//! - `lake`: key, disk, tables, clock and exchange rates
//! - `sign_in`: who may sign in to the served pages, and their OpenID provider
//! - `broker`: the Kafka cluster, its topics, and where the lake stands in them

mod broker;
mod checks;
mod lake;
mod sign_in;

use std::path::PathBuf;
use std::sync::Arc;

use domain::{ExchangeRates, counted, printable};
use transform::{Catalog, Severity};

use crate::action_plans::{Mapping, check_channels, missing_recipients};
use crate::args::Format;
use crate::config::Config;
use crate::deliveries::check_deliveries;
use crate::errors::CheckFailed;
use crate::output::{self, print_line};
use crate::progress::Spinner;
use crate::rows::text_batch;
use checks::{CheckList, CheckResult, CheckState};

/// Runs every check and prints the results. `config` may be the error of reading it.
pub(crate) fn run(
    config: anyhow::Result<Config>,
    format: Format,
    runtime: &tokio::runtime::Runtime,
    quiet: bool,
) -> anyhow::Result<()> {
    let mut checks = CheckList::default();
    let spinner = Spinner::start("doctor", quiet);
    let config = checks.result("configuration", config, |c| {
        format!("the project in {} parses", c.folder.display())
    });
    if let Some(config) = config {
        spinner.set_message("the queries".to_owned());
        let rates = check_files(&config, runtime, &mut checks);
        lake::check_key(&config.lake(), &mut checks);
        lake::check_disk(&config.lake(), &mut checks);
        spinner.set_message("the lake".to_owned());
        let positions = runtime.block_on(lake::check_lake(&config, rates.as_ref(), &mut checks));
        spinner.set_message("the served pages".to_owned());
        runtime.block_on(sign_in::check(&config, &mut checks));
        spinner.set_message("the broker".to_owned());
        broker::check_broker(&config, &positions, runtime, &mut checks);
        if let Some(registry) = config.registry() {
            let answer = runtime.block_on(ingest::check_registry(&registry));
            checks.result("schema registry", answer.map_err(Into::into), |kinds| {
                format!("{} answers: {}", registry.url, kinds.join(", "))
            });
        }
    }
    drop(spinner);
    print(&checks, format)?;
    if checks.any(CheckState::Fail) {
        let failed = checks.0.iter().filter(|c| c.state == CheckState::Fail).count();
        return Err(CheckFailed(format!("{failed} of {} checks failed", checks.0.len())).into());
    }
    Ok(())
}

/// Checks the files beside the configuration: CSV files, policies, queries.
fn check_files(
    config: &Config,
    runtime: &tokio::runtime::Runtime,
    checks: &mut CheckList,
) -> Option<ExchangeRates> {
    let rates = config.rates();
    let rates = checks.result("rates.csv", rates, |r| counted(r.rows().count(), "rate"));
    checks.result("sla.csv", config.sla(), |rows| counted(rows.len(), "plan"));
    checks.result("sunsets.csv", config.sunsets(), |rows| counted(rows.len(), "version"));
    checks.result("programme.csv", config.programme(), |rows| counted(rows.len(), "month"));
    checks.result("mappings", config.mappings(), |mappings| {
        let named = mappings.iter().map(|(stream, m)| format!("{stream} by {}", m.name()));
        let all = named.collect::<Vec<_>>().join(", ");
        if all.is_empty() { "none; records are events of the contract".to_owned() } else { all }
    });
    let scoring = policy(config.scoring_policy(), |text| {
        scoring::Policy::parse(text).map(drop).map_err(|e| e.to_string())
    });
    checks.result("scoring policy", scoring, Clone::clone);
    let actions = policy(config.actions_policy(), |text| {
        actions::Policy::parse(text).map(drop).map_err(|e| e.to_string())
    });
    checks.result("actions policy", actions, Clone::clone);
    checks.result("channels", check_channels(config), Clone::clone);
    check_recipients(config, checks);
    if !config.deliveries().is_empty() {
        checks.result("deliveries", check_deliveries(config), Clone::clone);
    }
    let mapping = Mapping::read(config.actions_mapping().as_deref());
    checks.result("mapping.csv", mapping, |m| counted(m.len(), "partner"));
    let queries = runtime.block_on(plan_queries(config));
    checks.result("queries", queries, |n| format!("{} can be planned", counted(*n, "query")));
    rates
}

/// Compares the recipients of the policy with those that are defined. A policy that can't be read is a
/// finding of its own.
fn check_recipients(config: &Config, checks: &mut CheckList) {
    let given = config.actions_policy().ok().flatten();
    let text = given.as_ref().map_or(actions::DEFAULT_POLICY, |(_, text)| text);
    let Ok(policy) = actions::Policy::parse(text) else { return };
    for found in missing_recipients(config, &policy) {
        checks.warn("recipients", found, "define it, or mend its name in the policy");
    }
}

/// Plans every query and returns how many there are, or the first error.
async fn plan_queries(config: &Config) -> anyhow::Result<usize> {
    let built_in = Catalog::built_in()?;
    let catalog = match config.queries() {
        Some(folder) => built_in.with_project(&folder)?,
        None => built_in,
    };
    let catalog = Arc::new(catalog);
    let diagnostics = transform::lint_queries(&catalog, &[]).await?;
    let first = diagnostics.iter().find(|diagnostic| diagnostic.severity == Severity::Error);
    match catalog.diagnostics().first().or(first) {
        None => Ok(catalog.queries().count()),
        Some(diagnostic) => {
            Err(anyhow::anyhow!("{}; `rapport metrics check` shows all", diagnostic.headline()))
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

fn print(checks: &CheckList, format: Format) -> anyhow::Result<()> {
    if format != Format::Table {
        let column = |of: &dyn Fn(&CheckResult) -> String| checks.0.iter().map(of).collect();
        let rows = text_batch([
            ("check", column(&|c| c.name.to_owned())),
            ("state", column(&|c| c.state.name().to_owned())),
            ("found", column(&|c| c.found.clone())),
            ("advice", column(&|c| c.advice.clone())),
        ])?;
        return output::print_batch(&rows, format);
    }
    for check in &checks.0 {
        let (found, advice) = (printable(&check.found), printable(&check.advice));
        print_line(&format!("{:<5} {:<15} {found}", check.state.name(), check.name))?;
        if !check.advice.is_empty() {
            print_line(&format!("{:<21} → {advice}", ""))?;
        }
    }
    Ok(())
}
