//! Lints of the SQL in the checks of a header: it must run over the rows of the query and give the
//! same result at each run.

use datafusion::sql::sqlparser::ast::Statement as Sql;
use domain::Position;

use super::Linter;
use crate::catalog::diagnostics::source_text::SourceText;
use crate::catalog::diagnostics::suggestion::suggest;
use crate::catalog::diagnostics::{Diagnostics, Span};
use crate::catalog::diagnostics::{ast, planner_errors};
use crate::catalog::header::{CheckPosition, CheckRule};
use crate::catalog::statement::Statement;
use crate::catalog::{Query, QueryKind};
use crate::data_checks::THIS;
use crate::engine::table_names::known_tables;
use crate::error::{Result, TransformError};

/// Lints each rule of a header that is SQL.
pub(super) async fn check(
    linter: &Linter<'_>,
    query: &Query,
    diagnostics: &mut Diagnostics<'_>,
) -> Result<()> {
    let checks = query.header.checks.iter().zip(&query.header.check_positions);
    for (rule, position) in checks {
        let CheckRule::Sql(sql) = &rule.rule else { continue };
        let mut inside = Diagnostics::new(&query.file, &query.name, sql);
        check_sql(linter, query, sql, &mut inside).await?;
        for diagnostic in inside.found {
            let span = Span { start: diagnostic.position, width: diagnostic.width };
            let span = span_in_file(*position, span);
            diagnostics.error(diagnostic.code, span, diagnostic.message, diagnostic.help);
        }
    }
    Ok(())
}

/// Translates a span in the SQL of a check into one in the file.
fn span_in_file(check: CheckPosition, inside: Span) -> Span {
    if !check.verbatim {
        return Span::from_position(check.position);
    }
    let line = check.position.line + inside.start.line - 1;
    let column = match inside.start.line {
        1 => check.position.column + inside.start.column - 1,
        _ => inside.start.column,
    };
    Span { start: Position { line, column }, width: inside.width }
}

async fn check_sql(
    linter: &Linter<'_>,
    query: &Query,
    sql: &str,
    diagnostics: &mut Diagnostics<'_>,
) -> Result<()> {
    let ctx = &linter.session.ctx;
    let source_text = SourceText::tokenize(sql);
    let statement = match Statement::parse(sql, &query.file) {
        Ok(statement) if matches!(statement.sql(), Some(Sql::Query(_))) => statement,
        Err(TransformError::Sql { source, .. }) => {
            planner_errors::diagnose(&source, ctx, &source_text, diagnostics);
            return Ok(());
        }
        _ => {
            let message = format!("a check is one SELECT of the rows of `{THIS}` that are wrong");
            diagnostics.error("check", source_text.first_token(), message, None);
            return Ok(());
        }
    };
    ast::check_repeatable(&statement, query.kind, ctx, &source_text, diagnostics);
    if !tables_are_known(linter, query, &statement, &source_text, diagnostics)? {
        return Ok(());
    }
    let fail = || TransformError::sql(&query.file);
    let rows = ctx.table_provider(query.name.as_str()).await.map_err(fail())?;
    ctx.register_table(THIS, rows).map_err(fail())?;
    let planned = linter.session.plan(statement).await;
    let planned = planned.and_then(|plan| ctx.state().optimize(&plan));
    ctx.deregister_table(THIS).map_err(fail())?;
    if let Err(error) = planned {
        planner_errors::diagnose(&error, ctx, &source_text, diagnostics);
    }
    Ok(())
}

fn tables_are_known(
    linter: &Linter<'_>,
    query: &Query,
    statement: &Statement,
    source_text: &SourceText,
    diagnostics: &mut Diagnostics<'_>,
) -> Result<bool> {
    let ctx = &linter.session.ctx;
    let mut all_known = true;
    for name in statement.tables(&query.file)?.into_iter().filter(|name| name != THIS) {
        let span = source_text.find_table(&name).unwrap_or_else(|| source_text.first_token());
        let is_table = ctx.table_exist(name.as_str()).unwrap_or(false);
        if linter.catalog.unreadable().contains_key(&name) {
            // The file of that query has a diagnostic of its own.
            all_known = false;
        } else if !is_table && ctx.table_function(&name).is_err() {
            let mut known = known_tables(linter.catalog);
            known.push(THIS);
            let message = format!("there is no table `{name}`");
            let help = format!("the rows of the query are `{THIS}`; {}", suggest(&name, &known));
            diagnostics.error("unknown_table", span, message, help);
            all_known = false;
        } else if query.kind == QueryKind::Rollup {
            let message = format!("a check of a rollup reads `{THIS}` alone, a day at a time");
            let help = "write a file in checks/ for what must hold across tables".to_owned();
            diagnostics.error("check", span, message, help);
            all_known = false;
        }
    }
    Ok(all_known)
}
