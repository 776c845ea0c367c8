//! `rapport serve` on a lake: filters, permalinks, decisions, SQL, new data, sign-in and the end.

use std::time::Duration;

use crate::support::action_project::{THROTTLED, project_with_gaps, today};
use crate::support::openid_provider::Browser;
use crate::support::page_server::PageServer;
use crate::support::program::{Project, wait_until};

fn project() -> Project {
    let project = project_with_gaps(|_, _| false);
    let toml = std::fs::read_to_string(project.path("rapport.toml")).expect("a configuration");
    project.write("rapport.toml", toml.replace("# refresh_seconds = 60", "refresh_seconds = 1"));
    project
}

/// Returns the value of a hidden field of a page.
fn field(page: &str, name: &str) -> String {
    let start = format!("name=\"{name}\" value=\"");
    let (_, rest) = page.split_once(&start).unwrap_or_else(|| panic!("no field {name} in {page}"));
    rest.split('"').next().unwrap_or_default().to_owned()
}

#[test]
fn pages_are_served_filtered_and_found_again() {
    let project = project();
    let server = PageServer::start(&project);
    let pages = [
        "/",
        "/funnel.html",
        "/activation.html",
        "/growth.html",
        "/revenue.html",
        "/service.html",
        "/health.html",
        "/partners.html",
        "/actions.html",
        "/alerts.html",
        "/metrics.html",
        "/data.html",
        "/ask.html",
        "/sql/growth.html",
        "/data/growth.csv",
        "/api/v1/metrics/growth",
        "/healthz",
        "/readyz",
        "/metrics",
    ];
    for page in pages {
        let answer = server.get(page);
        assert_eq!(answer.status, 200, "{page}: {}", answer.text);
        assert!(answer.text.len() < 200_000, "{page} has {} bytes", answer.text.len());
    }
    // The page in a filter shows fewer partners, and the numbers are those of the command line.
    let query = "SELECT plan FROM partners WHERE plan IS NOT NULL ORDER BY 1 LIMIT 1";
    let plan = project.query_rows(query).remove(0);
    let found = server.get(&format!("/partners.html?plan={plan}"));
    assert_eq!(
        (found.status, found.location.as_str()),
        (303, &*format!("/view/plan={plan}/partners.html"))
    );
    let list = server.get(&format!("/api/v1/partners?plan={plan}"));
    let list: serde_json::Value = serde_json::from_str(&list.text).expect("JSON");
    let of_plan = format!("SELECT count(*) FROM partners WHERE plan = '{plan}'");
    assert_eq!(list["data"]["total"].as_i64(), Some(project.query_number(&of_plan)), "{list}");
    // The permalink has the same bytes after other data has arrived.
    let health = server.get("/health.html").text;
    let (_, link) = health.split_once("class=\"data\" href=\"/view/").expect("a permalink");
    let link =
        format!("/view/{}", link.split('"').next().unwrap_or_default().replace("&amp;", "&"));
    let before = server.get(&link);
    assert_eq!(before.status, 200, "{}", before.text);
    let ahead = server.get("/view/as_of=2999-01-01/health.html");
    assert!(ahead.status == 400 && ahead.text.contains("lies after"), "{}", ahead.text);
    let gone = server.get("/view/run=999999/health.html");
    assert!(gone.status >= 400 && gone.text.contains("no run"), "{}", gone.text);
    assert_eq!(server.get(&link).text, before.text);
    server.program.terminate();
    let PageServer { program, .. } = server;
    program.finish().expect_success();
}

#[test]
fn decisions_on_the_pages_are_those_of_the_commands() {
    let project = project();
    let server = PageServer::start(&project);
    let partner = THROTTLED[0];
    let form = [("partner", partner), ("tier", "at_risk"), ("days", "7"), ("reason", "they leave")];
    let answer = server.post("/decisions/override", &form);
    assert_eq!(answer.status, 303, "{}", answer.text);
    let page = server.get(&answer.location).text;
    assert!(page.contains("At risk, set by a person on "), "{page}");
    // Beside a tier that a person set stands the day on which that was done.
    let told = server.get(&format!("/api/v1/partners/{partner}")).text;
    let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(told["data"]["tier"], "at_risk", "{told}");
    assert_eq!(told["data"]["tier_since"], today().to_string(), "{told}");
    let overrides = project.run_ok(&["score", "overrides", "--format", "csv"]);
    assert!(overrides.contains(partner) && overrides.contains("they leave"), "{overrides}");
    assert!(overrides.contains("ada"), "{overrides}");
    let too_long = server.post(
        "/decisions/override",
        &[("partner", partner), ("tier", "watch"), ("days", "31"), ("reason", "x")],
    );
    assert_eq!(too_long.status, 303, "{}", too_long.text);
    let note = server.post("/decisions/note", &[("partner", partner), ("text", "called <them>")]);
    assert_eq!(note.status, 303, "{}", note.text);
    let notes = project.run_ok(&["score", "notes", partner, "--format", "csv"]);
    assert!(notes.contains("called <them>"), "{notes}");
    let page = server.get(&note.location).text;
    assert!(page.contains("called &lt;them&gt;") && page.contains("In force"), "{page}");
    // Explained days are those of `score annotate`, of one partner and of all.
    let days = [("from", "2026-05-04"), ("to", "2026-05-05"), ("text", "our <gateway> failed")];
    let of_all = server.post("/decisions/annotate", &days);
    assert_eq!((of_all.status, of_all.location.as_str()), (303, "/data.html"), "{}", of_all.text);
    let [from, to, text] = days;
    let of_one = server.post("/decisions/annotate", &[("partner", partner), from, to, text]);
    assert_eq!(of_one.status, 303, "{}", of_one.text);
    let listed = project.run_ok(&["score", "annotations", "--format", "csv"]);
    assert_eq!(listed.matches("our <gateway> failed").count(), 2, "{listed}");
    let data = server.get("/data.html").text;
    assert!(data.contains("our &lt;gateway&gt; failed"), "{data}");
    // What is approved on the page is sent by the command.
    let actions = server.get("/actions.html").text;
    let (plan, rule) = (field(&actions, "plan"), field(&actions, "rule"));
    let approved = server.post("/decisions/approve", &[("plan", &plan), ("rule", &rule)]);
    assert_eq!(approved.status, 303, "{}", approved.text);
    let log = project.run_ok(&["actions", "log", "--format", "csv"]);
    assert!(log.contains("approved") && log.contains("ada"), "{log}");
    // A decision is shown, and can be undone until it is sent.
    let actions = server.get("/actions.html").text;
    assert!(actions.contains("Approved") && actions.contains("Take back"), "{actions}");
    let (_, undo) = actions.split_once("decide undo").expect("a change that was decided on");
    let one = [
        ("plan", &*field(undo, "plan")),
        ("rule", &*field(undo, "rule")),
        ("partner", &*field(undo, "partner")),
        ("reason", "not <now>"),
    ];
    assert_eq!(server.post("/decisions/reject", &one).status, 303);
    let actions = server.get("/actions.html").text;
    assert!(actions.contains("not &lt;now&gt;") && actions.contains("Approve after all"));
    let (_, undo) = actions.split_once("decide undo").expect("a change that was decided on");
    let again = ["plan", "rule", "partner"].map(|name| (name, field(undo, name)));
    let again = again.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(server.post("/decisions/approve", &again).status, 303);
    project.run_ok(&["actions", "apply", &plan, "--by", "ada"]);
    let log = project.run_ok(&["actions", "log", "--format", "csv"]);
    assert!(log.contains("acknowledged"), "{log}");
}

#[test]
fn an_override_that_somebody_else_ended_is_told_in_words_of_the_page() {
    let project = project();
    let partner = THROTTLED[0];
    let set = ["score", "override", partner, "--tier", "watch", "--reason", "x", "--by", "Bo"];
    project.run_ok(&set);
    let server = PageServer::start(&project);
    // The page was made while the override was in force.
    let end = ["score", "override", partner, "--end", "--reason", "y", "--by", "Bo"];
    project.run_ok(&end);
    let mut browser = Browser::new();
    let form = [("partner", partner), ("tier", ""), ("days", "7"), ("reason", "z")];
    let answer = browser.post(&format!("{}/decisions/override", server.address), &form, None);
    assert_eq!(answer.status, 303, "{}", answer.text);
    let page = browser.get(&format!("{}{}", server.address, answer.location)).text;
    assert!(page.contains("Nothing was recorded: the tier is the computed one already"), "{page}");
    assert!(!page.contains("rapport score overrides"), "{page}");
    let again = project.run(&end);
    again.expect_error(2, &["no override of", "rapport score overrides --all"]);
}

#[test]
fn views_of_the_list_are_saved_and_survive_a_restart() {
    let project = project();
    let server = PageServer::start(&project);
    let form =
        [("name", "at <risk>"), ("view", ""), ("query", "sort=risk&columns=score,risk,reason")];
    let saved = server.post("/views/save", &form);
    let path = "/partners.html?sort=risk&columns=score,risk,reason";
    assert_eq!((saved.status, saved.location.as_str()), (303, path), "{}", saved.text);
    let list = server.get(path).text;
    assert!(list.contains(">Risk ▾</th>") && !list.contains(">Manager</th>"), "{list}");
    drop(server);
    let server = PageServer::start(&project);
    let list = server.get("/partners.html").text;
    assert!(list.contains("at &lt;risk&gt;") && list.contains("columns=score,risk"), "{list}");
    assert_eq!(server.post("/views/delete", &[("name", "at <risk>")]).status, 303);
    assert!(!server.get("/partners.html").text.contains("at &lt;risk&gt;"));
    // A page of some partners says what it leaves out, and prints nothing about it.
    let query = "SELECT plan FROM partners WHERE plan IS NOT NULL ORDER BY 1 LIMIT 1";
    let plan = project.query_rows(query).remove(0);
    let data = server.get(&format!("/view/plan={plan}/data.html")).text;
    assert!(data.contains("say nothing about some of the partners"), "{data}");
    let log = std::fs::read_to_string(project.path("serve.log")).expect("a log");
    assert!(!log.contains("quality_day"), "{log}");
}

#[test]
fn sql_of_people_reads_the_lake_and_nothing_else() {
    let project = project();
    let server = PageServer::start(&project);
    let ask = |sql: &str| server.post("/ask.html", &[("sql", sql)]);
    let answer = ask("SELECT count(*) AS partners FROM partners");
    assert!(
        answer.status == 200 && answer.text.contains("<th scope=\"col\">partners</th>"),
        "{}",
        answer.text
    );
    let secret = project.path("lake.key").display().to_string();
    for (sql, part) in [
        ("DELETE FROM partners".to_owned(), "alert"),
        ("SELECT 1; SELECT 2".to_owned(), "one SELECT"),
        ("\\o stolen.csv".to_owned(), "one SELECT"),
        ("COPY (SELECT 1) TO 'stolen.csv'".to_owned(), "alert"),
        ("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'".to_owned(), "alert"),
        (format!("SELECT * FROM '{secret}'"), "alert"),
        ("SELECT * FROM read_csv('/etc/passwd')".to_owned(), "alert"),
        ("SELECT * FROM nothing".to_owned(), "nothing"),
    ] {
        let answer = ask(&sql);
        assert!(answer.status == 200 && answer.text.contains(part), "{sql}: {}", answer.text);
        assert!(!answer.text.contains("root:"), "{sql}");
    }
    assert!(!project.path("stolen.csv").exists());
    let csv = server.post("/ask.csv", &[("sql", "SELECT 1 AS one")]);
    assert_eq!(csv.text, "one\n1\n");
    // A program gets values with their types, and the columns where there is no row.
    let values = "SELECT 1 AS n, 0.5 AS half, true AS yes, '' AS empty, CAST(NULL AS BIGINT) AS nothing, \
                  CAST(1.5 AS DECIMAL(10, 2)) AS amount, 9007199254740993 AS large, \
                  DATE '2026-01-31' AS day";
    let json = |sql: &str| {
        let answer = server.post_json("/api/v1/sql", &serde_json::json!({ "sql": sql }));
        assert_eq!(answer.status, 200, "{}", answer.text);
        serde_json::from_str::<serde_json::Value>(&answer.text).expect("JSON")
    };
    let row = serde_json::json!([1, 0.5, true, "", null, "1.50", "9007199254740993", "2026-01-31"]);
    assert_eq!(json(values)["rows"][0], row);
    let none = json(&format!("SELECT * FROM ({values}) WHERE n > 1"));
    assert_eq!((&none["columns"][5], &none["rows"]), (&"amount".into(), &serde_json::json!([])));
    assert_eq!(json("EXPLAIN SELECT 1")["columns"][0], "plan_type");
}

#[test]
fn new_data_and_people_appear_without_a_restart() {
    let project = project();
    let server = PageServer::start(&project);
    let registered = || {
        let list = server.get("/api/v1/metrics/funnel").text;
        let list: serde_json::Value = serde_json::from_str(&list).expect("JSON");
        let rows = list["data"].as_array().expect("rows").clone();
        let all = rows.iter().find(|row| row["cohort_month"].is_null()).expect("all");
        all["registered"].as_i64().expect("a number")
    };
    let before = registered();
    let event = r#"{"event_id":"new-1","partner_id":"new","type":"registered","name":"Newcomer","occurred_at":"2026-01-05T00:00:00Z"}"#;
    project.write("new.ndjson", event);
    project.run_ok(&["ingest", "load", "--stream", "partner-events", "new.ndjson"]);
    wait_until("the new partner", Duration::from_secs(120), || registered() == before + 1);
    // From now on people sign in.
    let made =
        project.run(&["serve", "--new-token", "leadership", "--name", "Zoë"]).expect_success();
    let token = made.stderr.split_whitespace().find(|word| word.starts_with("rapport_"));
    let token = token.expect("a token").to_owned();
    project.write("access.toml", made.stdout_text());
    drop(server);
    let server = PageServer::start(&project);
    assert_eq!(server.get("/index.html").status, 303);
    assert_eq!(server.get_as(&token, "/index.html").status, 200);
    assert_eq!(server.get_as("rapport_guess", "/api/v1/plan").status, 401);
    project.write("access.toml", "");
    wait_until("the end of the token", Duration::from_secs(60), || {
        server.get_as(&token, "/index.html").status != 200
    });
}

#[test]
fn a_server_that_others_could_reach_is_refused() {
    let project = project();
    let refused = |arguments: &[&str], words: &[&str]| {
        project.run(&[&["serve"], arguments].concat()).expect_error(2, words);
    };
    refused(&["--listen", "0.0.0.0:0"], &["access.toml"]);
    refused(&["--listen", "nowhere"], &["--listen", "nowhere"]);
    project.write("access.toml", "[[people]]\nname = \"A\"\nrole = \"engineer\"\nlogin = \"a\"\n");
    refused(&["--listen", "0.0.0.0:0"], &["--behind-tls"]);
    project.write("access.toml", "[[people]]\nname = \"A\"\nrole = \"boss\"\n");
    refused(&[], &["access.toml", "boss"]);
}

#[test]
fn a_server_may_start_before_the_first_events() {
    let project = Project::new();
    let toml = std::fs::read_to_string(project.path("rapport.toml")).expect("a configuration");
    project.write("rapport.toml", toml.replace("# refresh_seconds = 60", "refresh_seconds = 1"));
    let server = PageServer::start(&project);
    assert_eq!(server.get("/healthz").status, 200);
    assert_eq!(server.get("/readyz").status, 503);
    let empty = server.get("/index.html");
    assert_eq!(empty.status, 503);
    assert!(empty.text.contains("run `rapport ingest`"), "{}", empty.text);
    let call = |id: u32| {
        format!(
            "{{\"event_id\":\"{id}\",\"partner_id\":\"p\",\"occurred_at\":\"2026-03-0{id}T00:10:00Z\",\"status\":200}}\n"
        )
    };
    project.write("calls.ndjson", [call(1), call(2)].concat());
    project.run_ok(&["ingest", "load", "--stream", "api-calls", "calls.ndjson"]);
    wait_until("the first report", Duration::from_secs(120), || {
        server.get("/readyz").status == 200
    });
    assert_eq!(server.get("/index.html").status, 200);
}

#[test]
fn an_embedded_page_is_at_the_address_that_is_printed() {
    let project = project();
    let toml = std::fs::read_to_string(project.path("rapport.toml")).expect("a configuration");
    let site = "embed_ancestors = [\"https://portal.example.com\"]";
    let public = "public_url = \"https://rapport.example.com/\"";
    let toml = toml.replace("# embed_ancestors = []", &format!("{site}\n{public}"));
    assert!(toml.contains(public), "{toml}");
    project.write("rapport.toml", &toml);
    project.write("access.toml", "[[people]]\nname = \"A\"\nrole = \"engineer\"\nlogin = \"a\"\n");
    let partner = THROTTLED[0];
    let made = project.run(&["serve", "--new-embed", partner, "--days", "90"]).expect_success();
    assert!(made.stderr.contains(partner) && made.stderr.contains("portal.example.com"), "{made}");
    let url = made.stdout_text().trim_end().to_owned();
    let path = url.strip_prefix("https://rapport.example.com").expect("the public URL");
    let server = PageServer::start(&project);
    let page = server.get(path);
    assert!(page.status == 200 && page.text.contains(": usage"), "{}", page.text);
    let csv = server.get(&path.replace("usage.html", "usage.csv"));
    assert!(csv.status == 200 && csv.text.starts_with("event_date,"), "{}", csv.text);
    assert_eq!(server.get(&path.replace("usage.html", "index.html")).status, 404);
    assert_eq!(server.get(&format!("/usage/{partner}/usage.html")).status, 303);
    drop(server);
    // Another version ends the URLs that were made before.
    project.write("rapport.toml", toml.replace("# embed_version = 1", "embed_version = 2"));
    let server = PageServer::start(&project);
    let over = server.get(path);
    assert!(over.status == 404 && over.text.contains("This link does not work"), "{}", over.text);
    drop(server);
    let refused = |arguments: &[&str], words: &[&str]| {
        project.run(&[&["serve"], arguments].concat()).expect_error(2, words);
    };
    refused(&["--new-embed", "alpah"], &["no partner \"alpah\"", "did you mean \"alpha\"?"]);
    let of_partner = ["--new-token", "partner", "--name", "P", "--partner"];
    let of_nobody = [&of_partner[..], &["alpah"]].concat();
    refused(&of_nobody, &["no partner \"alpah\"", "did you mean \"alpha\"?"]);
    let of_manager = ["--new-token", "manager", "--name", "M", "--partner", partner];
    refused(&of_manager, &["--partner belongs to"]);
    let arguments = [&["serve"][..], &of_partner, &[partner]].concat();
    assert!(project.run_ok(&arguments).contains(&format!("partner = \"{partner}\"")));
    refused(&["--new-embed", partner, "--days", "0"], &["--days", "1..=366"]);
    refused(&["--days", "3"], &["--new-embed"]);
    project.write("rapport.toml", toml.replace("https://portal", "portal; script-src https://x"));
    refused(&[], &["[serve] embed_ancestors", "is no site"]);
    let toml = toml.replace("# sql_per_minute = 30", "sql_per_minute = 0");
    project.write("rapport.toml", toml);
    refused(&[], &["rapport.toml:", "nonzero"]);
}
