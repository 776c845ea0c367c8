use super::*;

/// Checks the direct sources and the origins of a column of a built-in query.
#[track_caller]
fn check(name: &str, column: &str, from: &[&str], origins: &[&str]) {
    let catalog = Catalog::built_in().expect("the queries");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let columns = runtime.block_on(column_lineage(&catalog, name)).expect(name);
    let found = columns.into_iter().find(|c| c.column == column);
    let found = found.unwrap_or_else(|| panic!("no {column} in {name}"));
    assert_eq!(found.from, from, "{name}.{column}");
    assert_eq!(found.origins, origins, "{name}.{column}");
}

#[test]
fn columns_are_followed_to_the_streams() {
    check("partner_day", "calls", &["api_calls.*"], &["api_calls.*"]);
    check("partner_day", "throttled", &["api_calls.status"], &["api_calls.status"]);
    // A join, a product, a UNION ALL and a checked sum.
    check(
        "money_day",
        "amount",
        &["billing_day.amount_minor", "currencies.unit", "rates.rate"],
        &["billing_events.amount_minor", "currencies.unit", "rates.rate"],
    );
    // A recursive query over an aggregate with an order.
    check(
        "merge_map",
        "survivor",
        &["latest_merge.merged_into"],
        &["partner_events.event_id", "partner_events.merged_into", "partner_events.occurred_at"],
    );
    // An unnested list.
    check("growth", "month", &["usage_day.event_date"], &["api_calls.event_date"]);
    // A window over a group.
    check(
        "revenue_per_partner",
        "rank",
        &["money_day.event_date", "money_day.gross", "money_day.partner_id"],
        &[
            "billing_events.amount_minor",
            "billing_events.event_date",
            "billing_events.kind",
            "billing_events.partner_id",
            "currencies.unit",
            "partner_events.event_id",
            "partner_events.merged_into",
            "partner_events.occurred_at",
            "rates.rate",
        ],
    );
}

#[test]
fn subqueries_count_as_sources() {
    let header = "/*---\ndescription = \"d\"\n[columns]\nn = { type = \"Int64\" }\n---*/\n";
    let sql =
        format!("{header}SELECT (SELECT count(*) FROM runs) + max(status) AS n FROM api_calls");
    let catalog = Catalog::of_texts(&[("metrics/m.sql", &sql)]);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let columns = runtime.block_on(column_lineage(&catalog, "m")).expect("a lineage");
    assert_eq!(columns[0].from, ["api_calls.status", "runs.*"]);
}

#[test]
fn tables_up_and_down() {
    let catalog = Catalog::built_in().expect("the queries");
    let names = |lineage: Lineage| -> Vec<String> {
        lineage.nodes.iter().map(|n| format!("{} {}", n.kind, n.name)).collect()
    };
    assert_eq!(
        names(upstream(&catalog, "revenue_per_partner").expect("a query")),
        [
            "metric revenue_per_partner",
            "view money_day",
            "rollup billing_day",
            "stream billing_events",
            "setting currencies",
            "view merge_map",
            "view latest_merge",
            "stream partner_events",
            "view merge_circles",
            "setting rates",
            "setting settings",
        ]
    );
    let down = names(downstream(&catalog, "billing_events").expect("a stream"));
    for reader in
        ["rollup billing_day", "view money_day", "metric revenue_summary", "metric funnel"]
    {
        assert!(down.contains(&reader.to_owned()), "no {reader} in {down:?}");
    }
    assert!(downstream(&catalog, "nothing").is_err());
    let affected =
        affected_queries(&catalog, &BTreeSet::from(["tickets".to_owned(), "mine".to_owned()]));
    assert_eq!(
        affected.into_iter().collect::<Vec<_>>(),
        [
            "attention",
            "free_to_paid",
            "mine",
            "programme_stage",
            "scoring_support",
            "self_service",
            "support_load",
            "tickets"
        ]
    );
}
