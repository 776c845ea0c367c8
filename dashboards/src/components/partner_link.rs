//! The name of a partner as a link to its page.

use domain::format;
use maud::{Markup, html};

use crate::components::clipped_text;
use crate::health_rows::HealthRow;
use crate::partner_index::PartnerRows;
use crate::paths;

/// Returns the name of a partner, as a link if the partner has a page.
pub(crate) fn by_id(partners: PartnerRows, id: &str) -> Markup {
    let label = partners.label(id);
    html! {
        @if partners.health(id).is_some() {
            a.plain href=(paths::partner(id)) { (clipped_text::name(&label, 48)) }
        } @else {
            (clipped_text::name(&label, 48))
        }
    }
}

/// Returns the name of a scored partner as a link, and its id beside the name.
pub(crate) fn with_id(row: &HealthRow) -> Markup {
    let label = row.label();
    html! {
        a.plain href=(paths::partner(&row.partner_id)) { (clipped_text::name(&label, 40)) }
        @if label != row.partner_id { " " bdi.id { (format::truncate_to_chars(&row.partner_id, 24)) } }
    }
}
