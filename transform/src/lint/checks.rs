//! The SQL of the checks in a header: it must run over the rows of the query, and say the same twice.

use datafusion::sql::sqlparser::ast::Statement as Sql;

use super::text::Words;
use super::{Checker, planner, words};
use crate::catalog::{Kind, Query};
use crate::data_checks::THIS;
use crate::error::{Result, TransformError};
use crate::header::{CheckPlace, Rule};
use crate::mistake::{Area, Mistakes, Place};
use crate::nearest::suggest;
use crate::session::known_tables;
use crate::statement::Statement;

/// Checks each rule that is SQL.
pub(super) async fn check(
    checker: &Checker<'_>,
    query: &Query,
    mistakes: &mut Mistakes<'_>,
) -> Result<()> {
    let places = query.header.checks.iter().zip(&query.header.check_places);
    for (rule, place) in places {
        let Rule::Sql(sql) = &rule.rule else { continue };
        let mut inside = Mistakes::new(&query.file, &query.name, sql);
        check_sql(checker, query, sql, &mut inside).await?;
        for mistake in inside.found {
            let area = in_file(*place, Area { place: mistake.place, width: mistake.width });
            mistakes.error(mistake.code, area, mistake.message, mistake.help);
        }
    }
    Ok(())
}

/// A place in the text of a check as one in its file.
fn in_file(check: CheckPlace, inside: Area) -> Area {
    if !check.verbatim {
        return Area { place: check.place, width: usize::MAX };
    }
    let line = check.place.line + inside.place.line - 1;
    let column = match inside.place.line {
        1 => check.place.column + inside.place.column - 1,
        _ => inside.place.column,
    };
    Area { place: Place { line, column }, width: inside.width }
}

async fn check_sql(
    checker: &Checker<'_>,
    query: &Query,
    sql: &str,
    mistakes: &mut Mistakes<'_>,
) -> Result<()> {
    let ctx = &checker.draft.ctx;
    let text = Words::of(sql);
    let statement = match Statement::parse(sql, &query.file) {
        Ok(statement) if matches!(statement.sql(), Some(Sql::Query(_))) => statement,
        Err(TransformError::Sql { source, .. }) => {
            planner::explain(&source, ctx, &text, mistakes);
            return Ok(());
        }
        _ => {
            let message = format!("a check is one SELECT of the rows of `{THIS}` that are wrong");
            mistakes.error("check", text.first(), message, None);
            return Ok(());
        }
    };
    words::check_repeatable(&statement, query.kind, ctx, &text, mistakes);
    if !tables_are_known(checker, query, &statement, &text, mistakes)? {
        return Ok(());
    }
    let fail = || TransformError::sql(&query.file);
    let rows = ctx.table_provider(query.name.as_str()).await.map_err(fail())?;
    ctx.register_table(THIS, rows).map_err(fail())?;
    let planned = checker.draft.plan(statement).await;
    let planned = planned.and_then(|plan| ctx.state().optimize(&plan));
    ctx.deregister_table(THIS).map_err(fail())?;
    if let Err(error) = planned {
        planner::explain(&error, ctx, &text, mistakes);
    }
    Ok(())
}

fn tables_are_known(
    checker: &Checker<'_>,
    query: &Query,
    statement: &Statement,
    text: &Words,
    mistakes: &mut Mistakes<'_>,
) -> Result<bool> {
    let ctx = &checker.draft.ctx;
    let mut all_known = true;
    for name in statement.tables(&query.file)?.into_iter().filter(|name| name != THIS) {
        let area = text.table(&name).unwrap_or_else(|| text.first());
        let is_table = ctx.table_exist(name.as_str()).unwrap_or(false);
        if checker.catalog.left_out().contains_key(&name) {
            // What is wrong with that one has been said.
            all_known = false;
        } else if !is_table && ctx.table_function(&name).is_err() {
            let mut known = known_tables(checker.catalog);
            known.push(THIS);
            let message = format!("there is no table `{name}`");
            let help = format!("the rows of the query are `{THIS}`; {}", suggest(&name, &known));
            mistakes.error("unknown_table", area, message, help);
            all_known = false;
        } else if query.kind == Kind::Rollup {
            let message = format!("a check of a rollup reads `{THIS}` alone, a day at a time");
            let help = "write a file in checks/ for what must hold across tables".to_owned();
            mistakes.error("check", area, message, help);
            all_known = false;
        }
    }
    Ok(all_known)
}
