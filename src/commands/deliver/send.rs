//! `rapport deliver`: sends the reports that are due.

use domain::{counted, printable};

use super::find;
use super::run::{DeliveryRun, RunOptions};
use crate::args::{DeliverReportsArgs, Format};
use crate::commands::score_records::{author, print_list};
use crate::config::DeliveryDefinition;
use crate::deliveries::DeliveryOutcome;
use crate::errors::CheckFailed;
use crate::output::{print_line, print_message, print_note};
use crate::project::Project;
use crate::rows::text_batch;

/// Sends what is due and prints what became of each delivery.
pub(super) async fn run(project: &Project, options: &DeliverReportsArgs) -> anyhow::Result<()> {
    // Nothing is written by a dry run, so nobody has to be named.
    let by = if options.dry_run { String::new() } else { author(options.by.as_deref())? };
    let deliveries: Vec<&DeliveryDefinition> =
        match options.only.as_deref().or(options.again.as_deref()) {
            Some(name) => vec![find(&project.config, name)?],
            None => project.config.deliveries().iter().collect(),
        };
    if deliveries.is_empty() {
        print_note("No delivery is defined: add one as [[deliveries]] to rapport.toml");
        return Ok(());
    }
    let run = RunOptions { by, is_again: options.again.is_some(), is_dry: options.dry_run };
    let (outcomes, unreachable) =
        DeliveryRun::new(project, &deliveries, &run)?.run(&deliveries).await?;
    if !unreachable.is_empty() {
        print_message(&printable(&format!(
            "No digest for {}: [actions.recipients] has no email of {}",
            counted(unreachable.len(), "manager"),
            unreachable.join(", ")
        )));
    }
    print(&outcomes, options)?;
    let failed = outcomes.iter().filter(|outcome| outcome.result.is_failure()).count();
    match failed {
        0 => Ok(()),
        n => Err(CheckFailed(format!(
            "{} not sent for sure; `rapport deliver log` says why",
            counted(n, "message")
        ))
        .into()),
    }
}

/// Prints the outcomes; for people, the messages of a dry run too.
fn print(outcomes: &[DeliveryOutcome], options: &DeliverReportsArgs) -> anyhow::Result<()> {
    let column = |of: &dyn Fn(&DeliveryOutcome) -> String| -> Vec<String> {
        outcomes.iter().map(|outcome| printable(&of(outcome)).into_owned()).collect()
    };
    let mut columns = vec![
        ("delivery", column(&|outcome| outcome.delivery.clone())),
        ("recipient", column(&|outcome| outcome.recipient.clone())),
        ("channel", column(&|outcome| outcome.channel.clone())),
        ("period", column(&|outcome| outcome.period.clone())),
        ("result", column(&|outcome| outcome.result.name().to_owned())),
        ("reason", column(&|outcome| outcome.reason.clone())),
    ];
    if options.dry_run && options.format != Format::Table {
        let message = |outcome: &DeliveryOutcome| outcome.message.clone();
        let subject = |outcome: &DeliveryOutcome| message(outcome).map(|m| m.subject);
        let text = |outcome: &DeliveryOutcome| message(outcome).map(|m| m.text());
        let html = |outcome: &DeliveryOutcome| message(outcome).map(|m| m.html(&[]));
        columns
            .push(("subject", outcomes.iter().map(|o| subject(o).unwrap_or_default()).collect()));
        columns.push(("text", outcomes.iter().map(|o| text(o).unwrap_or_default()).collect()));
        columns.push(("html", outcomes.iter().map(|o| html(o).unwrap_or_default()).collect()));
    }
    print_list(&text_batch(columns)?, options.format, "Nothing is due")?;
    if options.dry_run && options.format == Format::Table {
        for message in outcomes.iter().filter_map(|outcome| outcome.message.as_ref()) {
            print_line(&format!("\n{}\n\n{}", message.subject, message.text().trim_end()))?;
        }
        print_note("Nothing was sent or logged");
    }
    Ok(())
}
