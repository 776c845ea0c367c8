//! `rapport score fit`: proposes weights and a risk model from history.

use std::path::Path;

use domain::counted;
use scoring::backtest::{Comparison, Estimate};
use scoring::risk::WeightsTest;
use scoring::{
    Policy, ProposedWeight, RiskModel, TestOptions, WeightsProposal, propose_weights, signal_names,
};

use crate::args::FitArgs;
use crate::atomic_file::write_file;
use crate::backtest::Replay;
use crate::backtest::history::History;
use crate::backtest::policy_text::with_weights;
use crate::backtest::risk_file::{RiskFile, path_beside};
use crate::config::Config;
use crate::output::{print_line, print_note, print_table};
use crate::table::Table;

/// Fits weights and the risk model, writes both and prints how they did.
pub(crate) async fn fit(
    config: Option<Config>,
    options: &FitArgs,
    quiet: bool,
) -> anyhow::Result<()> {
    let history = History::open(config, &options.history, quiet).await?;
    let replay = history.replay(&options.history).await?;
    let test =
        TestOptions { resamples: options.history.resamples as usize, seed: options.history.seed };
    let end = replay.as_of.day();
    let present: Vec<f64> = signal_names().map(|name| history.policy.weight(&name)).collect();
    let proposal = propose_weights(&replay.sample.weight_rows(), &present, end, test);
    let model = RiskModel::fit(&replay.sample.risk_rows(&history.policy), end, test);
    let (Some(proposal), Some(model)) = (proposal, model) else {
        let rows = &replay.sample.rows;
        anyhow::bail!(
            "too few partners left or stayed to fit anything: {} of {} left, and ten of each are \
             needed among the earlier origins, which train, and among the later ones, which test",
            rows.iter().filter(|row| row.left).count(),
            counted(rows.len() as u64, "row")
        );
    };
    let text = with_weights(&history.policy_text, &proposal.weights)?;
    let risk_path = path_beside(&options.out);
    write_file(&options.out, text.as_bytes())?;
    let file = RiskFile {
        as_of: end.to_string(),
        fitted_at: history.project.now,
        policy_version: Policy::parse(&text)?.version,
        model,
        weights_tested: proposal.tested.clone(),
    };
    file.write(&risk_path)?;
    print_weights(&proposal, &replay)?;
    print_weights_test(proposal.tested.as_ref())?;
    print_risk(&file.model)?;
    print_files(&options.out, &risk_path);
    Ok(())
}

/// Prints each weight before and after, and what leavers and stayers scored.
fn print_weights(proposal: &WeightsProposal, replay: &Replay) -> anyhow::Result<()> {
    let trained = &proposal.trained_on;
    print_line(&format!(
        "Weights, from {} of {} to {}, of which {} left:",
        counted(trained.rows as u64, "row"),
        trained.first_origin,
        trained.last_origin,
        trained.leavers
    ))?;
    let header = ["signal", "now", "proposed", "mean of leavers", "of stayers", "available", "why"];
    let mut table = Table::new(header, &[1, 2, 3, 4, 5]);
    for weight in &proposal.weights {
        let means = replay.sample.mean_scores(&weight.signal);
        let mean = |mean: Option<f64>| mean.map_or_else(|| "–".to_owned(), |m| format!("{m:.0}"));
        table.row([
            weight.signal.clone(),
            format!("{}", weight.present),
            format!("{}", weight.proposed),
            mean(means.map(|(leavers, _)| leavers)),
            mean(means.map(|(_, stayers)| stayers)),
            format!("{:.0} %", weight.available * 100.0),
            why(weight, means),
        ]);
    }
    print_table(&table)
}

/// Says in words why a weight is proposed.
fn why(weight: &ProposedWeight, means: Option<(f64, f64)>) -> String {
    let gap = means.map(|(leavers, stayers)| stayers - leavers);
    let reason = match gap {
        _ if weight.proposed == weight.present => "as it is",
        None => "hardly ever available",
        Some(gap) if weight.proposed == 0.0 && gap <= 0.0 => "leavers score no lower",
        Some(_) if weight.proposed == 0.0 => "says nothing beside the others",
        Some(_) if weight.proposed > weight.present => "tells leavers apart beside the others",
        Some(_) => "says less beside the others",
    };
    reason.to_owned()
}

fn print_weights_test(tested: Option<&WeightsTest>) -> anyhow::Result<()> {
    let Some(test) = tested else {
        return print_line("\nThe weights are not tested: there are too few later origins.");
    };
    print_line(&format!(
        "\nAUC of health on {} of later origins, of which {} left: now {}, proposed {}, gain {}",
        counted(test.rows as u64, "row"),
        test.leavers,
        number(test.present_auc),
        number(test.proposed_auc),
        number(test.gain)
    ))
}

fn print_risk(model: &RiskModel) -> anyhow::Result<()> {
    let trained = &model.trained_on;
    print_line(&format!(
        "\nRisk model, from {} of {} to {}, of which {} left:",
        counted(trained.rows as u64, "row"),
        trained.first_origin,
        trained.last_origin,
        trained.leavers
    ))?;
    let Some(test) = &model.tested else {
        return print_line("It is not tested, so the forecast gate will not use it.");
    };
    let mut table = Table::new(["", "risk", "days since the last call", "calls a day"], &[]);
    let rows = [
        ("AUC", &test.auc),
        ("average precision", &test.average_precision),
        ("Brier score", &test.brier),
        ("Brier skill", &test.brier_skill),
    ];
    for (name, Comparison { score, recency, frequency, .. }) in rows {
        table.row([name.to_owned(), number(*score), number(*recency), number(*frequency)]);
    }
    print_table(&table)?;
    print_line(match test.beats_baselines {
        true => "It beats both baselines in AUC and Brier, so the forecast gate will use it.",
        false => {
            "It does not beat both baselines in AUC and Brier: the forecast gate will not use it."
        }
    })
}

fn print_files(policy: &Path, risk: &Path) {
    print_note(&format!(
        "\nWritten: {} and {}. Try the weights with `rapport score backtest --policy {}`; then\n  \
         rapport score adopt {} --risk {}",
        policy.display(),
        risk.display(),
        policy.display(),
        policy.display(),
        risk.display()
    ));
}

/// Writes a value with its interval.
fn number(estimate: Estimate) -> String {
    match (estimate.value, estimate.low, estimate.high) {
        (Some(value), Some(low), Some(high)) => format!("{value:.3} ({low:.3} to {high:.3})"),
        (Some(value), ..) => format!("{value:.3}"),
        _ => "–".to_owned(),
    }
}
