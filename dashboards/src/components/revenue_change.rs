//! The change of gross revenue against the month before, as part of a sentence.

use maud::{Markup, html};

use crate::components::figure::{self, Figure};
use crate::metric_rows::RevenueSummaryRow;

/// Returns how gross revenue has changed: `up 70 %`, `down 4 %`, `unchanged`.
pub(crate) fn gross_change(now: &RevenueSummaryRow, before: &RevenueSummaryRow) -> Markup {
    let change = now.gross / before.gross - 1.0;
    let ratio = "CAST(a.gross AS DOUBLE) / CAST(b.gross AS DOUBLE)";
    let query =
        |what: String| figure::between_months(&what, "revenue_summary", now.month, before.month);
    html! {
        @match change {
            c if c >= 0.005 => { "up " (Figure::percent(c, query(format!("{ratio} - 1")))) }
            c if c <= -0.005 => { "down " (Figure::percent(-c, query(format!("1 - {ratio}")))) }
            _ => "unchanged",
        }
    }
}
