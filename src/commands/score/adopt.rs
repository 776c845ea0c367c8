//! `rapport score adopt`: takes a policy and a risk model into force.

use domain::Day;
use lake::schema;
use scoring::{Policy, signal_names};

use crate::args::AdoptArgs;
use crate::atomic_file::write_file;
use crate::backtest::risk_file::{RiskFile, path_beside};
use crate::commands::score_records::author;
use crate::errors::usage_error;
use crate::output::{print_line, print_note};
use crate::project::Project;
use crate::scores::{RISK, StoredModel, model_row, policy_text};
use crate::text_file::without_bom;

/// Checks both files, appends the model to the lake, and replaces the project's policy.
pub(crate) async fn adopt(project: &Project, options: &AdoptArgs) -> anyhow::Result<()> {
    let by = author(options.by.as_deref())?;
    let shown = options.policy.display();
    let text = std::fs::read_to_string(&options.policy)
        .map_err(|e| usage_error(format!("{shown}: {e}")))?;
    let text = without_bom(&text);
    let policy = Policy::parse(text).map_err(|e| usage_error(format!("{shown}:{e}")))?;
    let present = policy_text(&project.config)?.1;
    let before =
        Policy::parse(&present).map_err(|e| usage_error(format!("the present policy: {e}")))?;
    if before.version == policy.version && present != text {
        return Err(usage_error(format!(
            "{shown} differs from the present policy and has its version \"{}\"; raise it, so that \
             scores can be traced to their policy",
            policy.version
        )));
    }
    let risk = options.risk.as_deref().map(RiskFile::read).transpose()?;
    if let Some(file) = &risk {
        let from = options.from.unwrap_or(Day::of_micros(project.now));
        append_model(project, file, from, &by).await?;
        print_model(file, from, &policy)?;
    }
    let path = project.config.scoring_policy_path();
    write_file(&path, text.as_bytes())?;
    print_line(&format!(
        "{}: policy {}, before {}, adopted by {by}",
        path.display(),
        policy.version,
        before.version
    ))?;
    print_changes(&before, &policy)?;
    let beside = path_beside(&options.policy);
    if risk.is_none() && beside.exists() {
        print_note(&format!(
            "The risk model {} is not adopted; --risk {} does.",
            beside.display(),
            beside.display()
        ));
    }
    Ok(())
}

/// Appends a model to the table `models`, in force from a day on.
async fn append_model(
    project: &Project,
    file: &RiskFile,
    from: Day,
    by: &str,
) -> anyhow::Result<()> {
    let row = model_row(&StoredModel {
        kind: RISK,
        fitted_at: file.fitted_at,
        as_of: from,
        parameters: serde_json::to_string(&file.model)?,
        log_likelihood: None,
        n: i64::try_from(file.model.trained_on.rows).unwrap_or(i64::MAX),
        adopted_by: Some(by.to_owned()),
    })?;
    match project.append(&schema::models(), row).await? {
        Some(_) => Ok(()),
        None => anyhow::bail!("the lake can't be written from here, so nothing is adopted"),
    }
}

fn print_model(file: &RiskFile, from: Day, policy: &Policy) -> anyhow::Result<()> {
    print_line(&format!(
        "Risk model, fitted to data up to {}: scores as of {from} and later use it",
        file.as_of
    ))?;
    print_line(match &file.model.tested {
        Some(test) if test.beats_baselines => {
            "The forecast gate uses it: its test beat both baselines in AUC and Brier."
        }
        Some(_) => "The forecast gate does not use it: its test did not beat both baselines.",
        None => "The forecast gate does not use it: it was not tested.",
    })?;
    if file.policy_version != policy.version {
        print_note(&format!(
            "It was proposed with policy {}, and this is policy {}: its features may differ.",
            file.policy_version, policy.version
        ));
    }
    Ok(())
}

/// Prints the weights that change.
fn print_changes(before: &Policy, after: &Policy) -> anyhow::Result<()> {
    for name in signal_names() {
        let (old, new) = (before.weight(&name), after.weight(&name));
        if old != new {
            print_line(&format!("  {name}: {old} → {new}"))?;
        }
    }
    Ok(())
}
