//! Real BI clients at `rapport serve --postgres`: what they list and read, and what is refused.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::action_project::project_with_gaps;
use crate::support::bi_tool_server::{BiToolServer, clients, has_clients, new_database_user};
use crate::support::program::{Project, RunningProgram, run, wait_until};

/// Returns a cell as both sides write it: numbers by their value, instants with a T.
fn normal(cell: &str) -> String {
    match cell {
        "t" => "true".to_owned(),
        "f" => "false".to_owned(),
        // A day or an instant, not a number.
        cell if cell.len() >= 19 && cell.as_bytes()[4] == b'-' && cell.as_bytes()[10] != b',' => {
            let instant = cell.replace(' ', "T").replace("+00", "Z");
            instant.replace(".000000", "")
        }
        cell => match cell.parse::<f64>() {
            Ok(number) => format!("{number:?}"),
            Err(_) => cell.to_owned(),
        },
    }
}

/// Returns the rows of a CSV in an order of their own.
fn rows(csv: &str) -> BTreeSet<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(csv.as_bytes());
    let records = reader.records().map(|record| record.expect("CSV"));
    records.map(|record| record.iter().map(normal).collect()).collect()
}

#[test]
fn psql_reads_what_metrics_run_writes() {
    if !has_clients() {
        return;
    }
    let project = project_with_gaps(|_, _| false);
    let door = BiToolServer::start(&project);
    let listed = door.ask_ok(&["-c", "\\dv"]);
    project.run_ok(&["metrics", "run", "--out", "metrics"]);
    let files = std::fs::read_dir(project.path("metrics")).expect("a folder of metrics");
    let files = files.map(|file| file.expect("a file").path());
    let files: Vec<_> = files.filter(|f| f.extension().is_some_and(|e| e == "csv")).collect();
    assert!(files.len() > 20, "{files:?}");
    for file in &files {
        let name = file.file_stem().expect("a name").to_string_lossy();
        assert!(listed.contains(name.as_ref()), "no {name} in {listed}");
        let expected = std::fs::read_to_string(file).expect("a file");
        let found = door.ask_ok(&["--csv", "-c", &format!("SELECT * FROM {name}")]);
        assert_eq!(found.lines().next(), expected.lines().next(), "{name}");
        assert_eq!(rows(&found), rows(&expected), "{name}");
    }
    let described = door.ask_ok(&["-c", "\\d+ growth"]);
    for part in ["growth_rate", "double precision", "Never active before (partners)", "SELECT"] {
        assert!(described.contains(part), "no \"{part}\" in {described}");
    }
    for (command, part) in [
        ("\\dt", "partner_health"),
        ("\\d partners", "partner_id"),
        ("\\d api_calls", "timestamp with time zone"),
        ("\\d+ raw.api_calls", "occurred_at"),
        ("\\dv+", "Active partners by month"),
        ("\\dn", "public"),
        ("\\l", "rapport"),
        ("\\du", "ada"),
        ("\\di", "Did not find any"),
        ("\\conninfo", "ada"),
    ] {
        let shown = door.ask(&["-c", command]).expect_success();
        let all = format!("{}{}", shown.stdout_text(), shown.stderr);
        assert!(all.contains(part), "no \"{part}\" in {shown}");
    }
    let several = door.ask_ok(&["-At", "-c", "BEGIN; SELECT 1 AS a; SELECT 'b'; COMMIT"]);
    assert_eq!(several, "BEGIN\n1\nb\nCOMMIT\n");
}

#[test]
fn drivers_find_types_and_descriptions() {
    if !has_clients() {
        return;
    }
    let project = project_with_gaps(|_, _| false);
    let door = BiToolServer::start(&project);
    check_psycopg(&door.look_around("psycopg"));
    check_sqlalchemy(&door.look_around("sqlalchemy"));
    let found = door.look_around("jdbc");
    assert_eq!(found["product"], "PostgreSQL");
    let relations = found["relations"].as_array().expect("relations");
    let growth = relations.iter().find(|relation| relation[0] == "growth").expect("growth");
    assert_eq!(growth[1], "VIEW");
    assert!(growth[2].as_str().is_some_and(|text| text.starts_with("Active partners by month")));
    assert!(relations.iter().any(|r| r[0] == "api_calls" && r[1] == "TABLE"), "{relations:?}");
    let columns = found["columns"].as_array().expect("columns");
    assert_eq!(
        columns[1],
        json!(["active", "int8", "With a production success in the month (partners)", "2"])
    );
    assert_eq!(found["keys"], json!([[], [], []]));
    assert_eq!(found["prepared"][0], 42);
    assert_eq!(found["day"], "2026-06-01");
    let types = found["asked"][0].as_u64().expect("a number");
    assert!(types > 20, "{types} types");
    assert_eq!(found["refused"], "25006");
    let expected = project.run_ok(&["metrics", "run", "growth", "--format", "csv"]);
    let growth = found["growth"].as_array().expect("rows").iter();
    let growth = growth.map(|row| {
        let cells = row.as_array().expect("cells").iter();
        cells.map(|cell| normal(cell.as_str().unwrap_or_default())).collect::<Vec<_>>()
    });
    assert_eq!(growth.collect::<BTreeSet<_>>(), rows(&expected));
}

fn check_psycopg(found: &Value) {
    let typed = json!([[42, "it's \\' \"quoted\"", "2026-06-01", true, "12.5"]]);
    assert_eq!(found["typed"], typed);
    assert_eq!(found["binary"], found["text"]);
    assert_eq!(found["any"], json!([[0]]));
    assert_eq!(found["parameter"], json!([[true]]));
    assert_eq!(found["portions"], json!([2, 1]));
    assert_eq!(found["alive"], json!([[1]]));
    assert_eq!(found["too_long"], "57014");
    assert_eq!(found["parameter_refused"], "25006");
    assert_eq!((&found["versions"], &found["wrong_password"]), (&json!(true), &json!(true)));
    for (text, code) in found["refused"].as_object().expect("codes") {
        let expected: &[&str] = match text.split_whitespace().next() {
            Some("SELEC") => &["42601"],
            Some("SELECT") if text.contains("INTO") => &["25006"],
            Some("SELECT") if text.contains("passwd") || text.ends_with("FROM nothing") => {
                &["42P01"]
            }
            Some("SELECT") if text.contains("(1)") => &["42883"],
            Some("SELECT") => &["42703"],
            // What only DataFusion would understand is no SQL for a client of PostgreSQL.
            _ => &["25006", "42601"],
        };
        assert!(expected.contains(&code.as_str().unwrap_or_default()), "{text}: {code}");
    }
}

fn check_sqlalchemy(found: &Value) {
    let has = |list: &Value, name: &str| {
        assert!(list.as_array().is_some_and(|all| all.iter().any(|n| n == name)), "{name}: {list}");
    };
    has(&found["schemas"], "public");
    has(&found["schemas"], "raw");
    has(&found["tables"], "api_calls");
    has(&found["views"], "growth");
    has(&found["raw"], "api_calls");
    let month = &found["columns"][0];
    assert_eq!((&month[0], &month[1]), (&json!("month"), &json!("DATE")));
    assert_eq!(found["columns"][6][1], "DOUBLE PRECISION");
    assert_eq!(found["columns"][2][2], "Never active before (partners)");
    assert!(found["comment"].as_str().is_some_and(|text| text.starts_with("Active partners")));
    assert_eq!(found["keys"], json!([[], [], [], []]));
    assert_eq!(found["has"], json!([true, false]));
    assert_eq!(found["definition"], true);
    assert_eq!(found["keys_of_rows"][0], "month");
}

#[test]
fn nobody_else_is_let_in() {
    if !has_clients() {
        return;
    }
    let project = project_with_gaps(|_, _| false);
    let without_users = ["serve", "--listen", "127.0.0.1:0", "--postgres", "127.0.0.1:0"];
    project.run(&without_users).expect_error(2, &["database_user"]);
    let env = clients();
    let [certificate, key] = ["cert.pem", "key.pem"].map(|name| env.join(name));
    let toml = std::fs::read_to_string(project.path("rapport.toml")).expect("a configuration");
    let toml = toml
        .replace("# certificate = \"\"", &format!("certificate = {certificate:?}"))
        .replace("# key = \"\"", &format!("key = {key:?}"))
        .replace("# connections = 16", "connections = 4");
    project.write("rapport.toml", toml);
    let door = BiToolServer::start(&project);
    let one = &["-At", "-c", "SELECT 1"][..];
    let trusted =
        format!("sslmode=verify-full sslrootcert={} host=localhost", certificate.display());
    let encrypted = run(door.psql(&trusted, one)).expect_success();
    assert_eq!(encrypted.stdout_text(), "1\n");
    let plain = run(door.psql("sslmode=disable", one));
    assert!(
        plain.code != Some(0) && plain.stderr.contains("encrypted connections only"),
        "{plain}"
    );
    // A connection keeps its place; the fifth has none.
    let waiting: Vec<RunningProgram> = (0..4)
        .map(|number| {
            let file = project.path(&format!("in.{number}"));
            let wait = format!("\\! touch {}; sleep 120", file.display());
            let open = RunningProgram::start(door.psql(&trusted, &["-c", "SELECT 1", "-c", &wait]));
            wait_until("a connection", Duration::from_secs(60), || file.exists());
            open
        })
        .collect();
    let refused = run(door.psql(&trusted, one));
    assert!(refused.stderr.contains("too many connections"), "{refused}");
    drop(waiting);
    wait_until("a place", Duration::from_secs(60), || {
        run(door.psql(&trusted, one)).code == Some(0)
    });
    check_strangers(&door, &trusted);
    check_end_of_entry(&project, &door, &trusted);
}

/// Checks that a wrong password and an unknown user get the same answer, and too many of them
/// another.
fn check_strangers(door: &BiToolServer, trusted: &str) {
    let answer = |user: &str| {
        // The last of several parameters counts.
        let mut command = door.psql(&format!("{trusted} user={user}"), &["-c", "SELECT 1"]);
        command.env("PGPASSWORD", "guess");
        run(command).stderr
    };
    for user in ["ada", "eve"] {
        let told = answer(user);
        let expected = format!("password authentication failed for user \"{user}\"");
        assert!(told.contains(&expected), "{told}");
    }
    wait_until("the limit of attempts", Duration::from_secs(60), || {
        answer("eve").contains("too many attempts to sign in")
    });
    // Whoever knows the password is let in all the same.
    assert_eq!(run(door.psql(trusted, &["-c", "SELECT 1"])).code, Some(0));
}

/// Checks that an entry that is taken out ends the connections of its user.
fn check_end_of_entry(project: &Project, door: &BiToolServer, trusted: &str) {
    let command = door.psql(trusted, &["-c", "SELECT 1", "-c", "\\! sleep 20", "-c", "SELECT 2"]);
    let open = RunningProgram::start(command);
    let (entry, _) = new_database_user(project, "tom");
    project.write("access.toml", entry);
    let ended = open.finish();
    assert!(ended.code != Some(0) && ended.stderr.contains("no longer let in"), "{ended}");
    let again = run(door.psql(trusted, &["-c", "SELECT 1"]));
    assert!(again.code != Some(0), "{again}");
}

#[test]
fn queries_end_at_their_limits() {
    if !has_clients() {
        return;
    }
    let project = project_with_gaps(|_, _| false);
    let toml = std::fs::read_to_string(project.path("rapport.toml")).expect("a configuration");
    project
        .write("rapport.toml", toml.replace("# statement_seconds = 60", "statement_seconds = 20"));
    let door = BiToolServer::start(&project);
    let slow = "SELECT count(*) FROM generate_series(1, 10000000) a CROSS JOIN \
                generate_series(1, 10000000) b";
    let ended = door.ask(&["-c", slow]);
    assert!(ended.code != Some(0) && ended.stderr.contains("57014"), "{ended}");
    // A string that is as large as the memory is ended by its limit, long before that of time.
    let large =
        "SELECT cardinality(array_agg(repeat('x', 1000000))) FROM generate_series(1, 100000)";
    let ended = door.ask(&["-c", large]);
    assert!(ended.code != Some(0) && ended.stderr.contains("53200"), "{ended}");
    let hungry = "SELECT count(DISTINCT a.value * 1000000 + b.value) FROM generate_series(1, 30000) a \
                  CROSS JOIN generate_series(1, 30000) b";
    let ended = door.ask(&["-c", hungry]);
    let is_limit = ["53200", "57014"].iter().any(|code| ended.stderr.contains(code));
    assert!(ended.code != Some(0) && is_limit, "{ended}");
    assert_eq!(door.ask_ok(&["-At", "-c", "SELECT 1"]), "1\n");
}
