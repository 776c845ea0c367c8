//! The keys of joins, and the columns of one side that those of the other side determine.

use datafusion::common::DFSchema;
use datafusion::logical_expr::{BinaryExpr, Expr, Join, JoinType, Operator};

use super::columns::{column_id, read_columns};
use super::{ColumnId, ColumnSet, KeyAnalysis, RowKeys};
use crate::analysis::expressions::{join_conditions, without_alias};

impl KeyAnalysis<'_> {
    pub(super) fn join(
        &mut self,
        join: &Join,
        columns: Vec<ColumnId>,
        left: &RowKeys,
        right: &RowKeys,
    ) -> RowKeys {
        let (keeps_left, keeps_right) = match join.join_type {
            JoinType::LeftSemi | JoinType::LeftAnti => return left.clone(),
            JoinType::RightSemi | JoinType::RightAnti => return right.clone(),
            JoinType::Inner => (true, true),
            JoinType::Left => (true, false),
            JoinType::Right => (false, true),
            JoinType::Full => (false, false),
            _ => return RowKeys { columns, ..RowKeys::default() },
        };
        // A column that is constant on one side is not in the rows that the join fills up with
        // NULL.
        if !(keeps_left && keeps_right) {
            let start = if keeps_left { right } else { left }.dependencies.start;
            for dependency in &mut self.dependencies[start..right.dependencies.end] {
                if dependency.from.is_empty() {
                    dependency.to.clear();
                }
            }
        }
        let conditions = join_conditions(join);
        if keeps_left && keeps_right {
            for condition in &conditions {
                self.equality(condition, &join.schema, &columns);
            }
        } else if keeps_left || keeps_right {
            let (kept, filled) = if keeps_left { (left, right) } else { (right, left) };
            self.lookup(&conditions, &join.schema, &columns, kept, filled);
        }
        let mut keys = Vec::new();
        for l in &left.keys {
            for r in &right.keys {
                keys.push(l | r);
            }
        }
        RowKeys { columns, keys, ..RowKeys::default() }
    }

    /// Adds the dependencies of an outer join. Where at most one row of the other side matches, the
    /// columns that it is looked up by determine that row.
    fn lookup(
        &mut self,
        conditions: &[Expr],
        schema: &DFSchema,
        columns: &[ColumnId],
        kept: &RowKeys,
        filled: &RowKeys,
    ) {
        let (mut by, mut found) = (ColumnSet::new(), ColumnSet::new());
        let mut only_lookups = true;
        let is_kept = |id: &ColumnId| kept.columns.contains(id);
        for condition in conditions {
            if let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = condition {
                let l = column_id(without_alias(left), schema, columns);
                let r = column_id(without_alias(right), schema, columns);
                if let (Some(l), Some(r)) = (l, r)
                    && is_kept(&l) != is_kept(&r)
                {
                    let (one, other) = if is_kept(&l) { (l, r) } else { (r, l) };
                    by.insert(one);
                    found.insert(other);
                    continue;
                }
            }
            let read = read_columns(condition, schema, columns);
            only_lookups = only_lookups && read.is_some_and(|ids| !ids.iter().any(is_kept));
        }
        if self.check_unique(filled, &found).is_err() {
            return;
        }
        if only_lookups {
            self.determine(by, filled.columns.iter().copied());
        } else {
            for key in &kept.keys {
                self.determine(key.clone(), filled.columns.iter().copied());
            }
        }
    }
}
