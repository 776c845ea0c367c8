//! Runs statements and commands, one after the other, over one set of table versions.

use std::path::Path;
use std::time::Instant;

use lake_types::{AsOf, counted};
use transform::{Session, TransformError, check_statement};

use super::command::Command;
use super::outlet::{Outlet, Written};
use super::script::{Item, items};
use super::{check, describe, read};
use crate::args::Sql;
use crate::failure::usage;
use crate::memory;
use crate::output::note;
use crate::project::Project;
use crate::runs::{self, Run};

/// Files that read files that read files end here.
const DEPTH: usize = 16;

/// A statement and the views that it reads, of which some are computed before it.
const AT_ONCE: usize = 2;

/// The name that `\at` has for the tables as they are.
const NEWEST: &str = "newest";

/// Whether there is more to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    GoOn,
    Leave,
}

pub(super) struct Shell<'a> {
    project: &'a Project,
    pub(super) session: Session,
    /// The run of before that is read again.
    run: Option<Run>,
    outlet: Outlet,
    timing: bool,
    depth: usize,
}

impl<'a> Shell<'a> {
    /// `conversing`: somebody types, and wants to know rows and times.
    pub(super) async fn open(
        project: &'a Project,
        options: &Sql,
        conversing: bool,
    ) -> anyhow::Result<Self> {
        let run = match &options.at {
            Some(text) => Some(runs::find(project, "--at", text).await?),
            None => None,
        };
        let as_of = match (&options.as_of, &run) {
            (Some(text), _) => project.as_of(Some(text)).await?,
            (None, Some(run)) => run.as_of,
            // A lake without calls can still be asked for its dead letters.
            (None, None) => match project.watermark().await? {
                Some(watermark) => AsOf::at_or_before(watermark),
                None => AsOf::at_or_before(project.now),
            },
        };
        let session = session(project, as_of, run.as_ref()).await?;
        let outlet = Outlet::new(options.format, conversing);
        Ok(Self { project, session, run, outlet, timing: conversing, depth: 0 })
    }

    /// Does one after the other, up to the first that fails.
    pub(super) async fn run(&mut self, script: Vec<Item>, place: &str) -> anyhow::Result<Next> {
        for item in script {
            let next = match item {
                Item::Statement(text) => self.answer(&text, place).await?,
                Item::Command(line) => self.obey(&line).await?,
            };
            if next == Next::Leave {
                return Ok(Next::Leave);
            }
        }
        Ok(Next::GoOn)
    }

    async fn answer(&mut self, text: &str, place: &str) -> anyhow::Result<Next> {
        let began = Instant::now();
        check_statement(text, place).map_err(|e| usage(e.to_string()))?;
        memory::allow(AT_ONCE);
        let rows = self.session.stream(text, place).await.map_err(|e| self.explained(e))?;
        let written = match self.outlet.write(rows).await {
            Ok(written) => written,
            Err(error) => match error.downcast::<TransformError>() {
                Ok(error) => return Err(self.explained(error)),
                Err(error) => return Err(error),
            },
        };
        if self.timing {
            note(&told(written, began.elapsed().as_secs_f64()));
        }
        Ok(Next::GoOn)
    }

    /// An error with what can be done about it here.
    fn explained(&self, error: TransformError) -> anyhow::Error {
        match self.run.as_ref().and_then(|run| run.gone(&error)) {
            Some(gone) => gone,
            None if error.is_wrong_query() => usage(error.to_string()),
            None => error.into(),
        }
    }

    async fn obey(&mut self, line: &str) -> anyhow::Result<Next> {
        match Command::parse(line)? {
            Command::List => describe::relations(&self.session)?,
            Command::Describe(name) => describe::columns(&self.session, &name).await?,
            Command::Functions => describe::own_functions()?,
            Command::AsOf(text) => {
                let as_of = self.project.as_of(Some(&text)).await?;
                self.session = session(self.project, as_of, self.run.as_ref()).await?;
                note(&self.standing());
            }
            Command::At(text) => {
                let run = match text.as_str() {
                    NEWEST => None,
                    text => Some(runs::find(self.project, "\\at", text).await?),
                };
                let as_of = run.as_ref().map_or(self.session.as_of(), |run| run.as_of);
                self.session = session(self.project, as_of, run.as_ref()).await?;
                self.run = run;
                note(&self.standing());
            }
            Command::Format(format) => self.outlet.format = format,
            Command::Out(path) => self.outlet.redirect(path)?,
            Command::Include(path) => return self.include(&path).await,
            Command::Timing(on) => self.timing = on,
            Command::Help => describe::commands()?,
            Command::Quit => return Ok(Next::Leave),
        }
        Ok(Next::GoOn)
    }

    async fn include(&mut self, path: &Path) -> anyhow::Result<Next> {
        if self.depth == DEPTH {
            return Err(usage(format!("\\i {}: files that read each other", path.display())));
        }
        let place = path.display().to_string();
        let script = items(&read(path)?);
        check(&script, &place)?;
        self.depth += 1;
        let next = Box::pin(self.run(script, &place)).await;
        self.depth -= 1;
        next
    }

    /// What is being looked at.
    pub(super) fn standing(&self) -> String {
        let as_of = self.session.as_of();
        match &self.run {
            Some(run) => format!("As of {as_of}, the tables of run {run}."),
            None => format!("As of {as_of}, the newest tables."),
        }
    }
}

/// The newest tables with rollups brought up to date, or those of a run as they were.
async fn session(project: &Project, as_of: AsOf, run: Option<&Run>) -> anyhow::Result<Session> {
    match run {
        Some(run) => run.session(&project.engine, as_of).await,
        None => project.session(as_of).await,
    }
}

fn told(written: Written, seconds: f64) -> String {
    let rows = counted(written.rows, "row");
    if written.cut {
        return format!("The first {rows}, in {seconds:.3} s; \\o FILE writes all of them.\n");
    }
    format!("{rows} in {seconds:.3} s\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_time_are_told() {
        let check = |rows, cut, expected: &str| {
            assert_eq!(told(Written { rows, cut }, 0.0123), expected);
        };
        check(1, false, "1 row in 0.012 s\n");
        check(1_234, false, "1,234 rows in 0.012 s\n");
        check(1_000, true, "The first 1,000 rows, in 0.012 s; \\o FILE writes all of them.\n");
    }
}
