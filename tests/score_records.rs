//! What people record beside the scores: overrides, judgements, notes and annotations.

use crate::support::program::{ProgramOutput, Project, run};

/// Returns a project with the partners `acme` and `globex`, and `oldco`, which was merged into
/// `acme`.
fn project_with_partners() -> Project {
    let project = Project::new();
    let event = |id: &str, kind: &str, more: &str| {
        format!(
            r#"{{"event_id":"{id}-{kind}","partner_id":"{id}","occurred_at":"2026-01-01T08:00:00Z","type":"{kind}"{more}}}"#
        )
    };
    let events = [
        event("acme", "registered", ""),
        event("globex", "registered", ""),
        event("oldco", "registered", ""),
        event("oldco", "merged", r#","merged_into":"acme""#),
    ];
    project.write("events.ndjson", events.join("\n") + "\n");
    let load = ["ingest", "load", "--stream", "partner-events", "--arrival", "2026-01-02"];
    project.run_ok(&[&load[..], &["events.ndjson"]].concat());
    project
}

fn score(project: &Project, arguments: &[&str]) -> ProgramOutput {
    project.run(&[&["score"], arguments].concat())
}

#[track_caller]
fn score_ok(project: &Project, arguments: &[&str]) -> String {
    score(project, arguments).expect_success().stdout_text()
}

/// Returns the rows of a list as JSON.
#[track_caller]
fn json(project: &Project, arguments: &[&str]) -> Vec<serde_json::Value> {
    let text = score_ok(project, &[arguments, &["--format", "json"]].concat());
    serde_json::from_str(&text).expect("an array")
}

const BY_ADA: [&str; 2] = ["--by", "Ada"];

#[test]
fn an_override_is_set_replaced_and_ended() {
    let project = project_with_partners();
    assert!(json(&project, &["overrides"]).is_empty());
    let watch = ["override", "acme", "--tier", "watch", "--reason", "They move"];
    let set = score_ok(&project, &[&watch[..], &BY_ADA].concat());
    assert!(set.starts_with("acme: watch by Ada, until "), "{set}");
    let at_risk =
        ["override", "acme", "--tier", "at-risk", "--reason", "They leave", "--days", "30"];
    let replaced = score(&project, &[&at_risk[..], &["--by", "Bo"]].concat()).expect_success();
    assert!(replaced.stderr.contains("Replaced: watch by Ada (They move)"), "{replaced}");

    let rows = json(&project, &["overrides"]);
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!((&rows[0]["tier"], &rows[0]["by"]), (&"at_risk".into(), &"Bo".into()));
    let lengths = "SELECT (CAST(until AS BIGINT) - CAST(\"at\" AS BIGINT)) / 86400000000
         FROM overrides ORDER BY \"at\"";
    assert_eq!(project.query_rows(lengths), ["14", "30"], "days");

    let end = ["override", "acme", "--end", "--reason", "They stay"];
    let ended = score(&project, &[&end[..], &BY_ADA].concat()).expect_success();
    assert!(ended.stderr.contains("Ended: at risk by Bo (They leave)"), "{ended}");
    assert!(json(&project, &["overrides"]).is_empty());
    score(&project, &[&end[..], &BY_ADA].concat())
        .expect_error(2, &["no override of \"acme\" is in force"]);

    let csv = score_ok(&project, &["overrides", "--all", "--format", "csv"]);
    let header = "partner_id,state,tier,computed_tier,reason,by,at,until,ended_at,ended_by,end_reason,replaced_by\n";
    assert!(csv.starts_with(header), "{csv}");
    let states: Vec<serde_json::Value> = json(&project, &["overrides", "--all"])
        .iter()
        .map(|row| serde_json::json!([row["state"], row["tier"], row["end_reason"]]))
        .collect();
    let expected = [
        serde_json::json!(["ended", "at_risk", "They stay"]),
        serde_json::json!(["replaced", "watch", "They leave"]),
    ];
    assert_eq!(states, expected);
    assert_eq!(project.query_number("SELECT count(*) FROM overrides"), 3, "nothing is deleted");
}

#[test]
fn a_wrong_override_is_refused() {
    let project = project_with_partners();
    let check = |arguments: &[&str], words: &[&str]| {
        let given = [&["override"], arguments, &BY_ADA[..]].concat();
        score(&project, &given).expect_error(2, words);
    };
    let because = ["--reason", "They move"];
    let with = |arguments: &[&'static str]| [arguments, &because].concat();
    check(&with(&["acme", "--tier", "watch", "--days", "31"]), &["30 days at most"]);
    check(&with(&["acme", "--tier", "watch", "--until", "2199-01-01"]), &["30 days at most"]);
    check(&with(&["acme", "--tier", "watch", "--until", "2026-01-01"]), &["is over"]);
    check(&with(&["acme", "--tier", "watch", "--until", "soon"]), &["is no date"]);
    check(&with(&["acme", "--tier", "churned"]), &["churned", "at-risk"]);
    check(&with(&["acme"]), &["--tier"]);
    check(&with(&["acme", "--end", "--tier", "watch"]), &["cannot be used with"]);
    check(&["acme", "--tier", "watch"], &["--reason"]);
    check(&["acme", "--tier", "watch", "--reason", " "], &["--reason is empty"]);
    check(&["acme", "--tier", "watch", "--reason", "a\u{1b}[2J"], &["can't be shown"]);
    check(&with(&["acne", "--tier", "watch"]), &["did you mean \"acme\"?"]);
    check(&with(&["oldco", "--tier", "watch"]), &["merged into \"acme\""]);
    assert_eq!(project.query_number("SELECT count(*) FROM overrides"), 0);
}

/// Only a live partner shows a tier that a person sets.
#[test]
fn the_tier_of_a_partner_that_is_not_live_cannot_be_set() {
    let project = project_with_partners();
    let set = |partner: &str| {
        let tier = ["override", partner, "--tier", "healthy", "--reason", "They move"];
        score(&project, &[&tier[..], &BY_ADA].concat())
    };
    let unscored = set("acme").expect_success();
    assert!(unscored.stderr.contains("once it is live and scored"), "{unscored}");
    score_ok(&project, &["run"]);
    set("globex").expect_error(2, &["\"globex\" has the stage onboarding as of 2026-01-02"]);
    assert_eq!(project.query_number("SELECT count(*) FROM overrides"), 1);
    // What was set before can be ended.
    let end = ["override", "acme", "--end", "--reason", "They stay"];
    score_ok(&project, &[&end[..], &BY_ADA].concat());
}

#[test]
fn a_partner_that_was_merged_away_is_named_with_who_stands_for_it() {
    let project = project_with_partners();
    let merged = "partner \"oldco\" was merged into \"acme\": name that one";
    score(&project, &["show", "oldco"]).expect_error(2, &[merged]);
    score(&project, &["show", "acne"]).expect_error(2, &["did you mean \"acme\"?"]);
}

#[test]
fn an_author_is_due() {
    let project = project_with_partners();
    let note = |user: Option<&str>| {
        let mut command = project.command(&["score", "note", "acme", "They plan a launch"]);
        for name in ["USER", "LOGNAME", "USERNAME"] {
            command.env_remove(name);
        }
        run(match user {
            Some(user) => {
                command.env("LOGNAME", user);
                command
            }
            None => command,
        })
    };
    note(None).expect_error(2, &["--by is missing"]);
    note(Some("grace")).expect_success();
    assert_eq!(project.query_rows("SELECT \"by\" FROM notes"), ["grace"]);
}

#[test]
fn notes_and_judgements_are_listed_newest_first() {
    let project = project_with_partners();
    score_ok(&project, &[&["note", "acme", "They plan a launch"], &BY_ADA[..]].concat());
    let judged = ["sentiment", "acme", "2", "--note", "A cool call"];
    score_ok(&project, &[&judged[..], &BY_ADA].concat());
    score_ok(&project, &[&["sentiment", "globex", "5"], &BY_ADA[..]].concat());
    let csv = |partner: &str| {
        let text = score_ok(&project, &["notes", partner, "--format", "csv"]);
        let rows = text.lines().skip(1);
        rows.map(|row| row.split(',').skip(2).collect::<Vec<_>>().join(",")).collect::<Vec<_>>()
    };
    assert_eq!(csv("acme"), ["Ada,2,A cool call,acme", "Ada,,They plan a launch,acme"]);
    assert_eq!(csv("globex"), ["Ada,5,,globex"]);
    score(&project, &["notes", "acne"]).expect_error(2, &["did you mean \"acme\"?"]);
    for wrong in ["0", "6", "good"] {
        score(&project, &["sentiment", "acme", wrong]).expect_error(2, &[wrong]);
    }
}

#[test]
fn annotations_of_a_file_are_added_once() {
    let project = project_with_partners();
    let import = |name: &str| score(&project, &["annotate", "--csv", name, "--by", "Ada"]);
    project.write(
        "days.csv",
        "partner_id,first_day,last_day,text\n\
         ,2026-11-03,2026-11-04,\"Our gateway, down\"\n\
         acme,2026-12-21,2027-01-03,Holidays\n",
    );
    let added = import("days.csv").expect_success().stdout_text();
    assert_eq!(added, "2 annotations added\n");
    let again = import("days.csv").expect_success().stdout_text();
    assert_eq!(again, "0 annotations added, 2 were there already\n");
    assert_eq!(project.query_number("SELECT count(*) FROM annotations"), 2);

    // What was withdrawn stays so when the file is given again.
    let rows = json(&project, &["annotations"]);
    let platform = rows.iter().find(|row| row["partner_id"].is_null()).expect("the platform's");
    assert_eq!(platform["text"], "Our gateway, down");
    let id = platform["annotation_id"].as_str().expect("an id");
    let withdraw = ["annotate", "--withdraw", id, "--by", "Bo"];
    score_ok(&project, &withdraw);
    score(&project, &withdraw).expect_error(2, &["withdrawn before"]);
    let again = import("days.csv").expect_success().stdout_text();
    assert_eq!(again, "0 annotations added, 1 was there already, 1 withdrawn before stays so\n");
    assert_eq!(json(&project, &["annotations"]).len(), 1);

    // A person who writes it anew means it.
    let days = ["annotate", "--from", "2026-11-03", "--to", "2026-11-04", "--by", "Ada"];
    let text = ["--text", "Our gateway, down"];
    for _ in 0..2 {
        let printed = score_ok(&project, &[&days[..], &text].concat());
        assert_eq!(printed.trim_end(), id);
    }
    assert_eq!(json(&project, &["annotations"]).len(), 2);
    assert_eq!(project.query_number("SELECT count(*) FROM annotations"), 4);
}

#[test]
fn days_that_are_only_marked_count_in_the_scores() {
    let project = project_with_partners();
    let days = ["annotate", "--from", "2026-11-03", "--by", "Ada", "--text", "New prices"];
    let marked = score_ok(&project, &[&days[..], &["--mark-only"]].concat());
    let calm = score_ok(&project, &days);
    assert_ne!(marked, calm, "two annotations");
    let rows = json(&project, &["annotations"]);
    let is_calm = |id: &str| {
        let row = rows.iter().find(|row| row["annotation_id"] == id.trim_end()).expect("a row");
        row["calm"].as_bool().expect("a boolean")
    };
    assert_eq!((is_calm(&marked), is_calm(&calm)), (false, true));
    // A file whose days are only marked.
    project
        .write("days.csv", "partner_id,first_day,last_day,text\n,2026-11-05,2026-11-05,Campaign\n");
    score_ok(&project, &["annotate", "--csv", "days.csv", "--mark-only", "--by", "Ada"]);
    assert_eq!(project.query_number("SELECT count(*) FROM annotations WHERE NOT calm"), 2);
}

#[test]
fn a_wrong_line_of_a_file_is_named_and_nothing_is_added() {
    let project = project_with_partners();
    let check = |row: &str, words: &[&str]| {
        let good = ",2026-11-03,2026-11-04,Our gateway was down";
        project.write("days.csv", format!("partner_id,first_day,last_day,text\n{good}\n{row}\n"));
        let refused = score(&project, &["annotate", "--csv", "days.csv", "--by", "Ada"]);
        refused.expect_error(2, &[&["days.csv:3:"], words].concat());
    };
    check("acne,2026-11-03,2026-11-04,x", &["did you mean \"acme\"?"]);
    check("oldco,2026-11-03,2026-11-04,x", &["merged into \"acme\""]);
    check("acme,2026-11-04,2026-11-03,x", &["before the first one"]);
    check("acme,2026-11-31,2026-12-01,x", &["no such day"]);
    check("acme,3 Nov,2026-12-01,x", &["is no date"]);
    check("acme,2026-11-03,2027-11-04,x", &["366 days at most"]);
    check("acme,2026-11-03,2026-11-04,", &["is empty"]);
    check("acme,2026-11-03,2026-11-04", &["3 columns"]);
    assert_eq!(project.query_number("SELECT count(*) FROM annotations"), 0);
    let missing = score(&project, &["annotate", "--csv", "none.csv", "--by", "Ada"]);
    missing.expect_error(2, &["none.csv can't be read"]);
}

#[test]
fn a_wrong_annotation_is_refused() {
    let project = project_with_partners();
    let check = |arguments: &[&str], words: &[&str]| {
        let given = [&["annotate"], arguments, &BY_ADA[..]].concat();
        score(&project, &given).expect_error(2, words);
    };
    check(&["--from", "2026-11-03"], &["--text"]);
    check(&["--text", "x"], &["--from"]);
    check(&["--from", "2026-11-03", "--to", "2026-11-02", "--text", "x"], &["before the first"]);
    check(&["--from", "yesterday", "--text", "x"], &["yesterday"]);
    check(&["--from", "2026-11-03", "--text", "x", "--csv", "x.csv"], &["cannot be used with"]);
    check(&["--from", "2026-11-03", "--text", "x", "--partner", "acne"], &["\"acme\"?"]);
    check(&["--withdraw", "0123456789abcdef"], &["no annotation has the id"]);
}
