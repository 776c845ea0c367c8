//! Runs a statement with the functions of this folder and compares its rows as text.

use datafusion::arrow::record_batch::RecordBatch;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::prelude::{SessionConfig, SessionContext};

/// Checks that a statement gives these rows in this order: values joined by commas, NULL as an
/// empty text.
#[track_caller]
pub(super) fn check(sql: &str, expected: &[&str]) -> impl Future<Output = ()> {
    let place = std::panic::Location::caller();
    let (sql, expected) = (sql.to_owned(), expected.join("\n"));
    async move {
        // The result may not depend on the number of threads.
        for threads in [1, 4] {
            match run(&sql, threads).await {
                Ok(rows) => assert_eq!(rows.join("\n"), expected, "{place}\n{sql}"),
                Err(error) => panic!("{place}: {error}\n{sql}"),
            }
        }
    }
}

/// Checks that a statement fails with a message that contains `part`.
pub(super) async fn check_error(sql: &str, part: &str) {
    let message = match run(sql, 2).await {
        Ok(rows) => panic!("no error but {rows:?}\n{sql}"),
        Err(error) => error.to_string(),
    };
    assert!(message.contains(part), "{message}\n{sql}");
}

async fn run(sql: &str, threads: usize) -> datafusion::common::Result<Vec<String>> {
    let config = SessionConfig::new().with_target_partitions(threads).with_batch_size(3);
    let context = SessionContext::new_with_config(config);
    super::register(&context);
    let batches = context.sql(sql).await?.collect().await?;
    let mut rows = Vec::new();
    for batch in &batches {
        rows.extend(texts(batch)?);
    }
    Ok(rows)
}

fn texts(batch: &RecordBatch) -> datafusion::common::Result<Vec<String>> {
    let options = FormatOptions::default();
    let columns = batch
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column, &options))
        .collect::<Result<Vec<_>, _>>()?;
    let row = |i| columns.iter().map(|c| c.value(i).to_string()).collect::<Vec<_>>().join(",");
    Ok((0..batch.num_rows()).map(row).collect())
}
