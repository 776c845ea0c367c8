//! `rapport actions rollback`: a plan that takes another one back.

use crate::action_plans::{
    PlanMaker, PlanOptions, channels, channels_in_force, read_plan, write_plan,
};
use crate::args::RollbackArgs;
use crate::commands::plan::{self, scored_session};
use crate::output::print_note;
use crate::project::Project;

/// Makes the plan, writes it to its file and prints it.
pub(super) async fn run(project: &Project, options: &RollbackArgs) -> anyhow::Result<()> {
    let taken_back = read_plan(&project.lake, &options.plan).await?;
    let as_of = project.as_of(None).await?;
    let (session, scored) = scored_session(project, as_of).await?;
    let maker = PlanMaker::new(project, &session, &scored).await?;
    let channels = channels(&project.config)?;
    let made = PlanOptions {
        refresh: (!options.offline).then_some(&channels),
        channels: channels_in_force(&project.config, &channels)?,
        ..PlanOptions::default()
    };
    let back = maker.rollback(&taken_back.plan_id, &made).await?;
    write_plan(&back, &options.out)?;
    if back.changes.is_empty() && back.stopped.is_empty() && back.blocked.is_empty() {
        print_note(&format!("Nothing of the plan {} was delivered", taken_back.plan_id));
    }
    plan::print(&back, &options.out)
}
