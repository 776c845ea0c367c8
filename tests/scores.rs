//! Scores: the same sentence of an incident everywhere, the policy's thresholds on every page, and
//! signals as rows, also in a lake of an older program.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    new_null_array,
};
use arrow::datatypes::{DataType, Field, Schema};
use domain::Day;
use lake::{Lake, LakeOptions, StoreOptions, TableDef, schema};
use serde_json::Value;

use crate::support::program::Project;

const AS_OF: &str = "2026-11-26";

fn day(text: &str) -> Day {
    text.parse().expect("a date")
}

/// Returns the calls of one day: how many, how many of them fail with 422, how many are throttled.
type CallsOfDay = fn(&str) -> (usize, usize, usize);

/// A partner with a pattern of calls; `from` and `to` are the first and the last day with calls.
struct SimulatedPartner {
    id: &'static str,
    segment: &'static str,
    from: &'static str,
    to: &'static str,
    day: CallsOfDay,
}

fn is_within(date: &str, from: &str, to: &str) -> bool {
    (from..=to).contains(&date)
}

/// Of 50 calls 13 fail while `bad`, one otherwise.
fn calls_with_failures(bad: bool) -> (usize, usize, usize) {
    (50, if bad { 13 } else { 1 }, 0)
}

const PARTNERS: [SimulatedPartner; 7] = [
    SimulatedPartner {
        id: "ongoing",
        segment: "shops",
        from: "2026-07-20",
        to: "2026-11-25",
        day: |date| calls_with_failures(date >= "2026-11-10" && date != "2026-11-15"),
    },
    SimulatedPartner {
        id: "recovered",
        segment: "shops",
        from: "2026-07-20",
        to: "2026-11-25",
        day: |date| calls_with_failures(is_within(date, "2026-11-10", "2026-11-17")),
    },
    SimulatedPartner {
        id: "settling",
        segment: "shops",
        from: "2026-07-20",
        to: "2026-11-25",
        day: |date| calls_with_failures(is_within(date, "2026-11-13", "2026-11-20")),
    },
    SimulatedPartner {
        id: "few",
        segment: "small",
        from: "2026-07-20",
        to: "2026-11-25",
        day: |date| (9, if date == "2026-11-25" { 5 } else { 0 }, 0),
    },
    SimulatedPartner {
        id: "gone",
        segment: "others",
        from: "2026-07-20",
        to: "2026-10-10",
        day: |_| (50, 0, 0),
    },
    SimulatedPartner {
        id: "busy",
        segment: "others",
        from: "2026-07-20",
        to: "2026-11-25",
        day: |_| (50, 0, 3),
    },
    SimulatedPartner {
        id: "young",
        segment: "others",
        from: "2026-11-16",
        to: "2026-11-25",
        day: |_| (50, 0, 0),
    },
];

/// Returns a project with the calls of all partners, who register on the day before the first one.
fn project_with_partners() -> Project {
    let project = Project::new();
    let (mut calls, mut events) = (String::new(), String::new());
    for partner in &PARTNERS {
        let (id, segment) = (partner.id, partner.segment);
        for date in (day(partner.from).0..=day(partner.to).0).map(Day) {
            let (all, failed, throttled) = (partner.day)(&date.to_string());
            for i in 0..all {
                let status = match i {
                    i if i < failed => 422,
                    i if i < failed + throttled => 429,
                    _ => 200,
                };
                let (minute, second) = (i / 4, i % 4 * 15);
                writeln!(
                    calls,
                    r#"{{"event_id":"{date}-{i}","partner_id":"{id}","occurred_at":"{date}T10:{minute:02}:{second:02}Z","status":{status}}}"#
                )
                .expect("a line");
            }
        }
        let registered = day(partner.from).plus(-1);
        writeln!(
            events,
            r#"{{"event_id":"r","partner_id":"{id}","occurred_at":"{registered}T08:00:00Z","type":"registered","segment":"{segment}","plan":"free","quota_per_minute":5}}"#
        )
        .expect("a line");
    }
    project.write("calls.ndjson", calls);
    project.write("events.ndjson", events);
    project.write(
        "billing.ndjson",
        r#"{"event_id":"b","partner_id":"ongoing","occurred_at":"2026-10-05T08:00:00Z","kind":"usage","amount_minor":10000,"currency":"USD"}"#,
    );
    for (stream, file) in [
        ("api-calls", "calls.ndjson"),
        ("partner-events", "events.ndjson"),
        ("billing-events", "billing.ndjson"),
    ] {
        project.run_ok(&["ingest", "load", "--stream", stream, "--arrival", AS_OF, file]);
    }
    // The events are of a fixed November, so that no data count as stale.
    let policy_without_staleness =
        actions::DEFAULT_POLICY.replace("stale_hours = 36", "stale_hours = 87_600");
    project.write("policy.toml", policy_without_staleness);
    project
}

/// Returns the text of a page, without tags, with plain spaces.
fn page_text(project: &Project, page: &str) -> String {
    let html = std::fs::read_to_string(project.path("report").join(page)).expect(page);
    let mut text = String::new();
    for part in html.split('<') {
        text.push_str(part.split_once('>').map_or(part, |(_, text)| text));
    }
    text.replace(['\u{202f}', '\u{a0}'], " ")
}

const INCIDENTS: [(&str, &str); 4] = [
    ("ongoing", "4xx up 13-fold on 10 Nov: 2.0 % → 26 %"),
    ("recovered", "4xx 26 % from 10 to 17 Nov, back to 2.0 %"),
    ("settling", "4xx 26 % from 13 to 20 Nov, 2.0 % in the 5 days since"),
    ("few", "4xx on 5 of 9 calls on 25 Nov, 0 % before"),
];

#[test]
fn an_incident_has_the_same_sentence_everywhere() {
    let project = project_with_partners();
    let plan = ["actions", "plan", "--as-of", AS_OF, "--out", "plan.json"];
    let planned = project.run_ok(&plan);
    project.run_ok(&["report", "--as-of", AS_OF, "--out", "report"]);
    for (id, incident) in INCIDENTS {
        let shown = project.run_ok(&["score", "show", id, "--as-of", AS_OF]);
        assert!(shown.contains(incident), "{shown}");
        let stored = project.query_rows(&format!(
            "SELECT s.reason FROM partner_signals s JOIN partner_health h
             ON h.as_of = s.as_of AND h.revision = s.revision AND h.partner_id = s.partner_id
             WHERE s.partner_id = '{id}' AND s.signal = 'errors' AND s.as_of = '{AS_OF}'"
        ));
        assert_eq!(stored.len(), 1, "{stored:?}");
        assert!(stored[0].contains(incident), "{stored:?}");
        let page = page_text(&project, &format!("partners/{id}.html"));
        assert!(page.contains(incident), "{page}");
    }
    // The rates in the sentences, computed from the events.
    let rate = |from: &str, to: &str| {
        project.query_rows(&format!(
            "SELECT round(100.0 * count(*) FILTER (WHERE status = 422) / count(*), 1) FROM api_calls
             WHERE partner_id = 'recovered' AND event_date BETWEEN '{from}' AND '{to}'"
        ))
    };
    assert_eq!(rate("2026-11-10", "2026-11-17"), ["26.0"]);
    assert_eq!(rate("2026-11-18", "2026-11-25"), ["2.0"]);
    assert_eq!(rate("2026-08-01", "2026-11-09"), ["2.0"]);

    // The same incident as of other days.
    for (as_of, incident) in [
        ("2026-11-11", "4xx on 13 of 50 calls on 10 Nov, 2.0 % before"),
        ("2026-11-12", "4xx up 13-fold on 10 Nov: 2.0 % → 26 %"),
        ("2026-11-16", "4xx 26 % from 10 to 14 Nov, 2.0 % a day later"),
        ("2026-11-17", "4xx up 13-fold on 10 Nov: 2.0 % → 26 %"),
    ] {
        let shown = project.run_ok(&["score", "show", "ongoing", "--as-of", as_of]);
        assert!(shown.contains(incident), "as of {as_of}: {shown}");
    }

    let plan: Value =
        serde_json::from_slice(&std::fs::read(project.path("plan.json")).expect("a plan"))
            .expect("JSON");
    let of = |id: &str, rule: &str| {
        let mut changes = plan["changes"].as_array().expect("changes").iter();
        let found = changes.find(|c| c["partner_id"] == id && c["why"]["rule_id"] == rule);
        found.unwrap_or_else(|| panic!("{rule} of {id} in {plan}")).clone()
    };
    let why = of("ongoing", "watch-large")["why"]["reason"].to_string();
    assert!(why.contains(INCIDENTS[0].1), "{why}");
    assert!(planned.contains("tell its manager"), "{planned}");
    let page = page_text(&project, "partners/ongoing.html");
    assert!(page.contains("Tell its manager"), "{page}");
    assert!(page.contains("Large partner on watch: 4xx up 13-fold on 10 Nov"), "{page}");

    let quota = of("busy", "throttled");
    assert_eq!((&quota["from"]["per_minute"], &quota["to"]["per_minute"]), (&5.into(), &7.into()));
    let why = "6.0 % of calls throttled, busiest minute at 80 % of the quota";
    assert_eq!(quota["why"]["reason"], why);
    assert!(planned.contains("5 → 7, until") && planned.contains(why), "{planned}");
    assert!(!planned.contains("Asked"), "no step is limited: {planned}");
}

#[test]
fn a_churned_partner_has_no_current_score() {
    let project = project_with_partners();
    // The last call is on 10 October, so the partner has churned from 8 November on.
    let shown = project.run_ok(&["score", "show", "gone", "--as-of", "2026-11-07"]);
    assert!(shown.contains("of 100"), "{shown}");
    let shown = project.run_ok(&["score", "show", "gone", "--as-of", AS_OF]);
    for text in ["churned since 2026-11-08", "on the day before", "not measured of a partner that"]
    {
        assert!(shown.contains(text), "{shown}");
    }
    for as_of in ["2026-11-24", "2026-11-25"] {
        project.run_ok(&["score", "run", "--as-of", as_of]);
    }
    project.run_ok(&["report", "--as-of", AS_OF, "--out", "report"]);
    let page = page_text(&project, "partners/gone.html");
    for text in [
        "No production success in 28 days, or in three times its usual gap where that is longer: the partner is counted as churned",
        "Score before",
        "Signals are not measured of a partner that has churned.",
    ] {
        assert!(page.contains(text), "{page}");
    }
    assert!(!page.contains("Signals0 of 0"), "{page}");
    let row = std::fs::read_to_string(project.path("report/health-churned.html")).expect("a page");
    assert!(row.contains("<td class=\"num\"><span class=\"quiet\">none</span></td>"), "{row}");
}

#[test]
fn pages_show_the_thresholds_of_the_projects_own_policy() {
    let project = project_with_partners();
    let mut policy = scoring::DEFAULT_POLICY.to_owned();
    for (default, changed) in [
        ("at_risk_below = 40", "at_risk_below = 33"),
        ("healthy_above = 75", "healthy_above = 81"),
        ("min_coverage = 0.6", "min_coverage = 0.45"),
        ("min_live_days = 28", "min_live_days = 26"),
    ] {
        assert!(policy.contains(default), "{default}");
        policy = policy.replace(default, changed);
    }
    project.write("scoring.toml", policy);
    project.run_ok(&["score", "run", "--as-of", "2026-11-25"]);
    project.run_ok(&["report", "--as-of", AS_OF, "--out", "report"]);
    let page = page_text(&project, "partners/young.html");
    for text in ["a score needs 26", "A score needs 26 days live and signals that carry 0.45 of"] {
        assert!(page.contains(text), "{page}");
    }
    let page = page_text(&project, "partners/busy.html");
    for text in ["healthy above 81, at risk below 33", "above 81: healthy", "below 33: at risk"] {
        assert!(page.contains(text), "{page}");
    }
    let health = page_text(&project, "health.html");
    for text in ["healthy above 81, at risk below 33", "mark 33 and 81"] {
        assert!(health.contains(text), "{health}");
    }
    let mut pages = vec!["index.html".to_owned(), "health.html".to_owned()];
    pages.extend(PARTNERS.iter().map(|partner| format!("partners/{}.html", partner.id)));
    for name in pages {
        let page = page_text(&project, &name);
        for wrong in ["above 75", "below 40", "40 and 75", "needs 28", "28 days live", "0.6 of the"]
        {
            assert!(!page.contains(wrong), "{name} says {wrong}: {page}");
        }
    }
    // A score of 78 makes a partner healthy by the default policy, and not by this one.
    let entered = project.query_rows(
        "SELECT partner_id FROM partner_health
         WHERE tier = 'healthy' AND tier_since = as_of AND score BETWEEN 75.1 AND 81",
    );
    assert_eq!(entered, [""; 0]);
    let silent = project.run_ok(&["score", "show", "busy", "--as-of", AS_OF]);
    assert!(silent.contains("Called on"), "{silent}");
    project.write(
        "scoring.toml",
        scoring::DEFAULT_POLICY.replace("min_coverage = 0.6", "min_coverage = 6"),
    );
    let refused = project.run(&["score", "run", "--as-of", AS_OF]);
    refused.expect_error(2, &["scoring.toml", "evidence.min_coverage = 6", "0 to 1"]);
}

/// Writes `partner_health` as older programs did: five columns for each signal, and the instant of
/// a score as its revision. One day has two revisions, another one has one.
async fn write_older_scores(project: &Project) {
    const SIGNALS: [&str; 10] = [
        "onboarding",
        "errors",
        "steadiness",
        "growth",
        "revenue",
        "dormancy",
        "throttling",
        "latency",
        "deprecated",
        "support",
    ];
    let field = |name: &str, of: DataType, null: bool| Field::new(name, of, null);
    let mut fields = vec![
        field("as_of", schema::instant(), false),
        field("partner_id", DataType::Utf8, false),
        field("stage", DataType::Utf8, false),
        field("tier", DataType::Utf8, false),
        field("tier_since", schema::instant(), true),
        field("score", DataType::Float64, true),
        field("coverage", DataType::Float64, false),
        field("impact_share", DataType::Float64, true),
        field("impact_rank", DataType::Int64, true),
        field("top_reason", DataType::Utf8, false),
        field("policy_version", DataType::Utf8, false),
        field("computed_tier", DataType::Utf8, false),
        field("override_until", schema::instant(), true),
    ];
    for signal in SIGNALS {
        fields.extend([
            field(&format!("{signal}_value"), DataType::Float64, true),
            field(&format!("{signal}_score"), DataType::Float64, true),
            field(&format!("{signal}_contribution"), DataType::Float64, true),
            field(&format!("{signal}_n"), DataType::Int64, false),
            field(&format!("{signal}_reason"), DataType::Utf8, true),
        ]);
    }
    fields.push(field("scored_at", schema::instant(), false));
    let def = TableDef {
        name: "scores/partner_health".to_owned(),
        schema: Arc::new(Schema::new(fields)),
        partition_by: None,
    };
    let rows = |as_of: &str, hour: i64, tier: &str, score: f64| {
        let instant = |micros: i64| -> ArrayRef {
            Arc::new(TimestampMicrosecondArray::from(vec![micros]).with_timezone("UTC"))
        };
        let text = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text.to_owned()])) };
        let as_of = day(as_of).start_micros();
        let columns = def.schema.fields().iter().map(|field| -> ArrayRef {
            match field.name().as_str() {
                "as_of" => instant(as_of),
                "scored_at" => instant(as_of + hour * 3_600_000_000),
                "partner_id" => text("busy"),
                "stage" => text("live"),
                "tier" | "computed_tier" => text(tier),
                "score" => Arc::new(Float64Array::from(vec![score])),
                "coverage" => Arc::new(Float64Array::from(vec![1.0])),
                "errors_score" => Arc::new(Float64Array::from(vec![40.0])),
                "errors_n" => Arc::new(Int64Array::from(vec![28])),
                "errors_reason" => text("4xx as usual"),
                "growth_reason" => text("Live for 7 whole weeks"),
                name if name.ends_with("_n") => Arc::new(Int64Array::from(vec![0])),
                "top_reason" | "policy_version" => text("1"),
                _ => new_null_array(field.data_type(), 1),
            }
        });
        RecordBatch::try_new(def.schema.clone(), columns.collect()).expect("a row")
    };
    let options = LakeOptions {
        root: project.path("lake").display().to_string(),
        key_file: project.path("lake.key"),
        store: StoreOptions::default(),
    };
    let lake = Lake::open(&options).await.expect("the lake");
    let first = rows("2026-11-20", 1, "healthy", 90.0);
    lake.append(&def, &[first]).await.expect("scores");
    let later = [rows("2026-11-20", 2, "watch", 60.0), rows("2026-11-21", 1, "watch", 61.0)];
    lake.append(&def, &later).await.expect("scores");
}

#[tokio::test]
async fn scores_of_an_older_program_are_readable() {
    let project = project_with_partners();
    write_older_scores(&project).await;
    let health = "SELECT as_of, revision, tier, score FROM partner_health
         WHERE as_of < '2026-11-22' AND revision <= 2 ORDER BY as_of, revision";
    let signals = "SELECT as_of, revision, signal, available, score, n, reason FROM partner_signals
         WHERE as_of < '2026-11-22' AND revision <= 2 ORDER BY as_of, revision, signal";
    let expected_health = [
        "2026-11-20T00:00:00Z,1,healthy,90.0",
        "2026-11-20T00:00:00Z,2,watch,60.0",
        "2026-11-21T00:00:00Z,1,watch,61.0",
    ];
    let rows = project.query_rows(signals);
    assert_eq!(project.query_rows(health), expected_health);
    assert_eq!(rows.len(), 6, "{rows:?}");
    assert_eq!(rows[0], "2026-11-20T00:00:00Z,1,errors,true,40.0,28,4xx as usual");
    assert_eq!(rows[1], "2026-11-20T00:00:00Z,1,growth,false,,0,Live for 7 whole weeks");

    // Old scores stay as they are; their days are scored again beside them, and those since.
    project.run_ok(&["score", "run", "--as-of", AS_OF]);
    assert_eq!(
        (project.query_rows(health), project.query_rows(signals)),
        (expected_health.map(str::to_owned).to_vec(), rows.clone())
    );
    let scored = 3 + 7 * PARTNERS.len() as i64;
    let all = "SELECT count(*) FROM partner_health";
    assert_eq!(project.query_number(all), scored);
    project.run_ok(&["score", "run", "--as-of", AS_OF]);
    assert_eq!(project.query_number(all), scored, "the same scores are not stored twice");
    project.run_ok(&["lake", "verify"]);
    project.run_ok(&["report", "--as-of", AS_OF, "--out", "report"]);
    let page = page_text(&project, "partners/busy.html");
    assert_eq!(page.matches("20 Nov 2026").count(), 1, "the newest revision counts: {page}");
}

#[test]
fn signals_are_rows_with_a_revision() {
    let project = project_with_partners();
    project.run_ok(&["score", "run", "--as-of", AS_OF]);
    let twice = "SELECT count(*) FROM (SELECT partner_id, signal FROM partner_signals
         GROUP BY as_of, revision, partner_id, signal HAVING count(*) > 1)";
    assert_eq!(project.query_number(twice), 0);
    let sum = "SELECT h.partner_id FROM partner_health h JOIN (
           SELECT as_of, partner_id, sum(contribution) AS points,
             sum(weight * reference) / sum(weight) AS usual
           FROM partner_signals WHERE available GROUP BY as_of, partner_id) s
           ON s.as_of = h.as_of AND s.partner_id = h.partner_id
         WHERE h.score IS NOT NULL AND h.stage = 'live'
           AND abs(h.score - least(s.points + s.usual, h.cap)) > 0.000001";
    assert_eq!(project.query_rows(sum), [""; 0], "points and what is usual add up to the score");
    let columns = project.run_ok(&["sql", "SELECT * FROM partner_health", "--format", "csv"]);
    assert!(!columns.contains("errors_score"), "{columns}");

    // After a late call the scores are computed again as a new revision beside the old one.
    project.write(
        "late.ndjson",
        r#"{"event_id":"late","partner_id":"busy","occurred_at":"2026-11-25T11:00:00Z","status":422}"#,
    );
    project.run_ok(&["ingest", "load", "--stream", "api-calls", "--arrival", AS_OF, "late.ndjson"]);
    project.run_ok(&["score", "run", "--as-of", AS_OF]);
    let mut found = BTreeMap::new();
    for table in ["partner_health", "partner_signals"] {
        let counts = project.query_rows(&format!(
            "SELECT revision, count(*) FROM {table} WHERE as_of = '{AS_OF}'
             GROUP BY revision ORDER BY revision"
        ));
        assert_eq!(counts.len(), 2, "{table}: {counts:?}");
        let rows = |count: &String| count.split_once(',').map(|(_, rows)| rows.to_owned());
        assert_eq!(rows(&counts[0]), rows(&counts[1]), "{table}: {counts:?}");
        found.insert(table, counts);
    }

    // Conditions of a policy use signals as columns of a partner.
    let rule = "\n[[rules]]\nid = \"errors\"\nname = \"Errors\"\nfor = \"notice\"\n\
         when = \"errors_score = 0\"\n\
         notify = { who = \"Ada\", about = \"errors\" }\n\n[[rules]]\nid = \"throttled";
    let policy = std::fs::read_to_string(project.path("policy.toml")).expect("a policy");
    let policy = policy.replacen("\n[[rules]]\nid = \"throttled", rule, 1);
    project.write("policy.toml", policy);
    project.run_ok(&["actions", "plan", "--as-of", AS_OF, "--out", "plan.json"]);
    let plan = std::fs::read_to_string(project.path("plan.json")).expect("a plan");
    assert_eq!(plan.matches("\"who\": \"Ada\"").count(), 3, "{plan}");
}
