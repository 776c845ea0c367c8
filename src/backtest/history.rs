//! What is replayed: the project's lake or a folder of events, and the policy of the scores.

use domain::Day;
use scoring::Policy;
use tempfile::TempDir;

use super::events_folder;
use super::origins::OriginOptions;
use super::replay::{Replay, ReplayOptions, replay};
use crate::args::HistoryArgs;
use crate::config::Config;
use crate::errors::usage_error;
use crate::project::Project;
use crate::scores::policy_text;
use crate::text_file::without_bom;

/// An open lake with the policy that it is scored by.
pub(crate) struct History {
    pub(crate) project: Project,
    pub(crate) policy: Policy,
    pub(crate) policy_text: String,
    /// A temporary lake's folder, which is deleted when it is dropped.
    _folder: Option<TempDir>,
}

impl History {
    /// Opens what the command line names.
    pub(crate) async fn open(
        config: Option<Config>,
        arguments: &HistoryArgs,
        quiet: bool,
    ) -> anyhow::Result<Self> {
        let (name, text) = match (&arguments.policy, &config) {
            (Some(path), _) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|e| usage_error(format!("--policy {}: {e}", path.display())))?;
                (path.display().to_string(), without_bom(&text).to_owned())
            }
            (None, Some(config)) => policy_text(config)?,
            (None, None) => (String::new(), scoring::DEFAULT_POLICY.to_owned()),
        };
        let policy = Policy::parse(&text).map_err(|e| usage_error(format!("{name}:{e}")))?;
        let (project, folder) = match (&arguments.events, config) {
            (Some(dir), _) => {
                let (project, folder) = events_folder::load(dir, quiet).await?;
                (project, Some(folder))
            }
            (None, Some(config)) => (Project::open(config, quiet).await?, None),
            (None, None) => {
                return Err(usage_error(
                    "there is no project here to replay; give --events DIR or --config FILE",
                ));
            }
        };
        Ok(Self { project, policy, policy_text: text, _folder: folder })
    }

    /// Replays it.
    pub(crate) async fn replay(&self, arguments: &HistoryArgs) -> anyhow::Result<Replay> {
        if arguments.from.zip(arguments.to).is_some_and(|(from, to): (Day, Day)| from > to) {
            return Err(usage_error("--from lies after --to"));
        }
        let options = ReplayOptions {
            origins: OriginOptions {
                every: arguments.every,
                count: arguments.origins.map(|count| count as usize),
                from: arguments.from,
                to: arguments.to,
            },
            seed: arguments.seed,
        };
        replay(&self.project, &self.policy, &options).await
    }
}
