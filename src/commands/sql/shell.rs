//! Runs statements and meta-commands in order, over one set of table versions.

use std::path::Path;
use std::time::Instant;

use domain::{AsOf, counted};
use transform::{Session, TransformError, check_statement};

use super::describe;
use super::meta_command::MetaCommand;
use super::result_writer::{ResultWriter, WrittenRows};
use super::script::{ScriptItem, check_script, parse_script, read_script};
use crate::args::SqlArgs;
use crate::errors::usage_error;
use crate::memory_limit;
use crate::output::print_note;
use crate::project::Project;
use crate::runs::{self, Run};

/// How deep files may include each other.
const MAX_INCLUDE_DEPTH: usize = 16;

/// How many queries a statement counts as for the memory: views that it reads may be computed
/// first.
const QUERIES_AT_ONCE: usize = 2;

/// What `\at` calls the newest tables.
const NEWEST: &str = "newest";

/// Whether the shell goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    Continue,
    Quit,
}

pub(super) struct Shell<'a> {
    project: &'a Project,
    pub(super) session: Session,
    /// The earlier run whose tables are read.
    run: Option<Run>,
    writer: ResultWriter,
    timing: bool,
    depth: usize,
}

impl<'a> Shell<'a> {
    /// Opens a session. An interactive shell prints the rows and the time of each statement.
    pub(super) async fn open(
        project: &'a Project,
        options: &SqlArgs,
        is_interactive: bool,
    ) -> anyhow::Result<Self> {
        let run = match &options.at {
            Some(text) => Some(runs::find(project, "--at", text).await?),
            None => None,
        };
        let as_of = match (&options.as_of, &run) {
            (Some(text), _) => project.as_of(Some(text)).await?,
            (None, Some(run)) => run.as_of,
            // A lake without calls may have dead letters.
            (None, None) => match project.watermark().await? {
                Some(watermark) => {
                    let as_of = AsOf::at_or_before(watermark);
                    project.explain_instant(as_of, true).await?;
                    as_of
                }
                None => AsOf::at_or_before(project.now),
            },
        };
        let session = open_session(project, as_of, run.as_ref()).await?;
        let writer = ResultWriter::new(options.format, is_interactive);
        Ok(Self { project, session, run, writer, timing: is_interactive, depth: 0 })
    }

    /// Runs the items in order, up to the first that fails. `source` names the text in messages.
    pub(super) async fn run(
        &mut self,
        script: Vec<ScriptItem>,
        source: &str,
    ) -> anyhow::Result<Flow> {
        for item in script {
            let flow = match item {
                ScriptItem::Statement(text) => self.run_statement(&text, source).await?,
                ScriptItem::MetaCommand(line) => self.run_meta_command(&line).await?,
            };
            if flow == Flow::Quit {
                return Ok(Flow::Quit);
            }
        }
        Ok(Flow::Continue)
    }

    async fn run_statement(&mut self, text: &str, source: &str) -> anyhow::Result<Flow> {
        let began = Instant::now();
        check_statement(text, source).map_err(|e| usage_error(e.to_string()))?;
        memory_limit::raise_for_queries(QUERIES_AT_ONCE);
        let rows = self.session.stream(text, source).await.map_err(|e| self.explained(e))?;
        let written = match self.writer.write(rows).await {
            Ok(written) => written,
            Err(error) => match error.downcast::<TransformError>() {
                Ok(error) => return Err(self.explained(error)),
                Err(error) => return Err(error),
            },
        };
        if self.timing {
            print_note(&timing_line(written, began.elapsed().as_secs_f64()));
        }
        Ok(Flow::Continue)
    }

    /// Adds to an error what can be done about it.
    fn explained(&self, error: TransformError) -> anyhow::Error {
        match self.run.as_ref().and_then(|run| run.gone(&error)) {
            Some(gone) => gone,
            None if error.is_invalid_query() => usage_error(error.to_string()),
            None => error.into(),
        }
    }

    async fn run_meta_command(&mut self, line: &str) -> anyhow::Result<Flow> {
        match MetaCommand::parse(line)? {
            MetaCommand::List => describe::relations(&self.session)?,
            MetaCommand::Describe(name) => describe::columns(&self.session, &name).await?,
            MetaCommand::Functions => describe::own_functions()?,
            MetaCommand::AsOf(text) => {
                let as_of = self.project.as_of(Some(&text)).await?;
                self.session = open_session(self.project, as_of, self.run.as_ref()).await?;
                print_note(&self.describe_session());
            }
            MetaCommand::At(text) => {
                let run = match text.as_str() {
                    NEWEST => None,
                    text => Some(runs::find(self.project, "\\at", text).await?),
                };
                let as_of = run.as_ref().map_or(self.session.as_of(), |run| run.as_of);
                self.session = open_session(self.project, as_of, run.as_ref()).await?;
                self.run = run;
                print_note(&self.describe_session());
            }
            MetaCommand::Format(format) => self.writer.format = format,
            MetaCommand::Out(path) => self.writer.redirect(path)?,
            MetaCommand::Include(path) => return self.include(&path).await,
            MetaCommand::Timing(on) => self.timing = on,
            MetaCommand::Help => describe::meta_commands()?,
            MetaCommand::Quit => return Ok(Flow::Quit),
        }
        Ok(Flow::Continue)
    }

    async fn include(&mut self, path: &Path) -> anyhow::Result<Flow> {
        if self.depth == MAX_INCLUDE_DEPTH {
            return Err(usage_error(format!("\\i {}: files that read each other", path.display())));
        }
        let source = path.display().to_string();
        let script = parse_script(&read_script(path)?);
        check_script(&script, &source)?;
        self.depth += 1;
        let flow = Box::pin(self.run(script, &source)).await;
        self.depth -= 1;
        flow
    }

    /// Returns the instant and the tables of the session as a sentence.
    pub(super) fn describe_session(&self) -> String {
        let as_of = self.session.as_of();
        match &self.run {
            Some(run) => format!("As of {as_of}, the tables of run {run}."),
            None => format!("As of {as_of}, the newest tables."),
        }
    }
}

/// Opens a session on the newest tables, with refreshed rollups, or on those of a run.
async fn open_session(
    project: &Project,
    as_of: AsOf,
    run: Option<&Run>,
) -> anyhow::Result<Session> {
    match run {
        Some(run) => run.session(&project.engine, as_of).await,
        None => project.session(as_of).await,
    }
}

fn timing_line(written: WrittenRows, seconds: f64) -> String {
    let rows = counted(written.rows, "row");
    if written.is_truncated {
        return format!("The first {rows}, in {seconds:.3} s; \\o FILE writes all of them.\n");
    }
    format!("{rows} in {seconds:.3} s\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_time_are_shown() {
        let check = |rows, is_truncated, expected: &str| {
            assert_eq!(timing_line(WrittenRows { rows, is_truncated }, 0.0123), expected);
        };
        check(1, false, "1 row in 0.012 s\n");
        check(1_234, false, "1,234 rows in 0.012 s\n");
        check(1_000, true, "The first 1,000 rows, in 0.012 s; \\o FILE writes all of them.\n");
    }
}
