//! `rapport score sentiment`: how a person judges a partner.

use std::sync::Arc;

use arrow::array::Int64Array;
use domain::printable;
use lake::schema;

use super::record::{append, author, check_partner, instants, option_text, texts};
use crate::args::SentimentArgs;
use crate::output::print_line;
use crate::project::Project;

/// Records a judgement.
pub(super) async fn run(project: &Project, options: &SentimentArgs) -> anyhow::Result<()> {
    let by = author(options.by.as_deref())?;
    let note = options.note.as_deref().map(|note| option_text("--note", note)).transpose()?;
    let partner = &options.partner;
    check_partner(project, partner).await?;
    let columns = vec![
        instants([project.now]),
        texts([by.clone()]),
        texts([partner.clone()]),
        Arc::new(Int64Array::from(vec![options.sentiment])),
        texts([note]),
    ];
    append(project, &schema::sentiment(), columns, "the judgement").await?;
    print_line(&printable(&format!("{partner}: sentiment {} of 5 by {by}", options.sentiment)))
}
