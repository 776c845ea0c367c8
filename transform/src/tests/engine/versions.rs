//! The versions of tables that a session reads, and those that metrics depend on.

use super::*;

#[tokio::test]
async fn a_session_reads_its_pinned_versions() {
    let project = TestProject::new().await;
    project.add(Stream::ApiCalls, &[event("a", "2026-01-01T10:00:00Z")]).await;
    project.refresh().await;
    let session = project.engine.open_session(as_of("2026-02-01"), None).await.expect("a session");
    let versions = session.versions().clone();
    project.add(Stream::ApiCalls, &[event("b", "2026-01-01T10:00:00Z")]).await;
    project.refresh().await;
    let again = project
        .engine
        .open_session(as_of("2026-02-01"), Some(&versions))
        .await
        .expect("the versions");
    for (session, rows) in [(&session, 1), (&again, 1)] {
        for table in ["partner_day", "api_calls", "partners"] {
            let result = session.sql(&format!("SELECT * FROM {table}")).await.expect(table);
            assert_eq!(result.rows(), rows, "{table}");
        }
    }
    let newest = project.engine.open_session(as_of("2026-02-01"), None).await.expect("a session");
    assert_eq!(newest.sql("SELECT * FROM partner_day").await.expect("rows").rows(), 2);
}

/// A record of a person changes no metric, unless a query of the project reads it.
#[tokio::test]
async fn metrics_depend_on_the_records_that_they_read_and_on_no_others() {
    let head = "/*---\ndescription = \"d\"\n[columns]\na = { type = \"Int64\" }\n---*/\n";
    let counts = format!("{head}SELECT count(*) AS a FROM through_a_view");
    let view = format!("{head}SELECT 1 AS a FROM notes");
    let reading = [("metrics/counts.sql", counts.as_str()), ("views/through_a_view.sql", &view)];
    for (queries, depends) in [(&reading[..0], false), (&reading[..], true)] {
        let project = TestProject::with_queries(queries).await;
        project.add(Stream::ApiCalls, &[event("a", "2026-01-01T10:00:00Z")]).await;
        project.refresh().await;
        let versions = async || {
            let session = project.engine.open_session(as_of("2026-02-01"), None).await;
            session.expect("a session").metric_versions()
        };
        let before = versions().await;
        let notes = lake::schema::notes();
        let note: Table = toml::from_str(
            "at = \"2026-01-02T00:00:00Z\"\nby = \"ada\"\npartner_id = \"p\"\nnote = \"n\"",
        )
        .expect("a note");
        let rows = batch_of(&notes.schema, &[note]).expect("rows");
        project.lake.append(&notes, &[rows]).await.expect("a commit");
        assert_eq!(versions().await != before, depends);
        project.add(Stream::ApiCalls, &[event("b", "2026-01-01T10:00:00Z")]).await;
        assert_ne!(versions().await, before);
    }
}
