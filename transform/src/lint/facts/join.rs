//! Joins: keys of both sides, and what one side's columns say of the other's.

use datafusion::common::DFSchema;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, Join, JoinType, Operator};

use super::columns::{column_id, read_ids, strip};
use super::{Facts, Id, Ids, Reading};

impl Reading<'_> {
    pub(super) fn join(&mut self, join: &Join) -> Facts {
        let start = self.determines.len();
        let left = self.read(&join.left);
        let middle = self.determines.len();
        let right = self.read(&join.right);
        let (keeps_left, keeps_right) = match join.join_type {
            JoinType::LeftSemi | JoinType::LeftAnti => return left,
            JoinType::RightSemi | JoinType::RightAnti => return right,
            JoinType::Inner => (true, true),
            JoinType::Left => (true, false),
            JoinType::Right => (false, true),
            JoinType::Full => (false, false),
            _ => return self.fresh(&join.schema),
        };
        // Where rows are filled up with NULL, what was constant is not.
        let end = self.determines.len();
        for (some, more) in
            &mut self.determines[start..end][if keeps_left { middle - start } else { 0 }..]
        {
            if some.is_empty() && !(keeps_left && keeps_right) {
                more.clear();
            }
        }
        let columns: Vec<Id> = left.columns.iter().chain(&right.columns).copied().collect();
        let mut conditions: Vec<Expr> = Vec::new();
        for (l, r) in &join.on {
            conditions.push(Expr::BinaryExpr(BinaryExpr::new(
                Box::new(l.clone()),
                Operator::Eq,
                Box::new(r.clone()),
            )));
        }
        conditions.extend(join.filter.iter().flat_map(split_conjunction).cloned());
        if keeps_left && keeps_right {
            for condition in &conditions {
                self.equality(condition, &join.schema, &columns);
            }
        } else if keeps_left || keeps_right {
            let (kept, filled) = if keeps_left { (&left, &right) } else { (&right, &left) };
            self.lookup(&conditions, &join.schema, &columns, kept, filled);
        }
        let mut keys = Vec::new();
        for l in &left.keys {
            for r in &right.keys {
                keys.push(l | r);
            }
        }
        Facts { columns, keys, order: None }
    }

    /// Of an outer join: where at most one row of the other side matches, it follows from what it
    /// was looked up by.
    fn lookup(
        &mut self,
        conditions: &[Expr],
        schema: &DFSchema,
        columns: &[Id],
        kept: &Facts,
        filled: &Facts,
    ) {
        let (mut by, mut found) = (Ids::new(), Ids::new());
        let mut alone = true;
        let is_kept = |id: &Id| kept.columns.contains(id);
        for condition in conditions {
            if let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = condition {
                let l = column_id(strip(left), schema, columns);
                let r = column_id(strip(right), schema, columns);
                if let (Some(l), Some(r)) = (l, r)
                    && is_kept(&l) != is_kept(&r)
                {
                    let (one, other) = if is_kept(&l) { (l, r) } else { (r, l) };
                    by.insert(one);
                    found.insert(other);
                    continue;
                }
            }
            let read = read_ids(condition, schema, columns);
            alone = alone && read.is_some_and(|ids| !ids.iter().any(is_kept));
        }
        if self.tells_apart(filled, &found).is_err() {
            return;
        }
        if alone {
            self.determine(by, filled.columns.iter().copied());
        } else {
            for key in &kept.keys {
                self.determines.push((key.clone(), filled.columns.iter().copied().collect()));
            }
        }
    }
}
