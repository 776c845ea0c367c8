//! `rapport deliver`: reports by mail and chat, once a period, whatever happens on the way.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use domain::Day;
use serde_json::Value;

use crate::support::chat_server::{CHAT_SECRET, ChatServer};
use crate::support::kafka_broker::print_note;
use crate::support::mail_server::MailServer;
use crate::support::program::{ProgramOutput, Project, RunningProgram, run, wait_until};

const DAY: i64 = 86_400;
/// The Monday that the clock of the projects shows, at nine o'clock.
const MONDAY: &str = "2026-03-16";

const PARTNERS: &str = r#"{"event_id":"r1","partner_id":"acme","occurred_at":"2026-01-02T08:00:00Z","type":"registered","name":"Acme","manager":"Ada","segment":"startup"}
{"event_id":"r2","partner_id":"globex","occurred_at":"2026-01-03T08:00:00Z","type":"registered","name":"Globex <b>","manager":"Bo","segment":"enterprise"}
{"event_id":"r3","partner_id":"initech","occurred_at":"2026-01-04T08:00:00Z","type":"registered","manager":"Cy"}
"#;
const FAILED_PAYMENT: &str = r#"{"event_id":"b1","partner_id":"acme","occurred_at":"2026-03-15T08:00:00Z","kind":"payment_failed","amount_minor":100,"currency":"USD"}
"#;

/// Returns the calls of two partners on every third day up to the clock's, and one of this morning.
fn calls() -> String {
    let first: Day = "2026-01-05".parse().expect("a day");
    let today: Day = MONDAY.parse().expect("a day");
    let days = (first.0..today.0).step_by(3).map(Day);
    let line = |id: &str, day: Day, time: &str| {
        format!(
            "{{\"event_id\":\"{day}\",\"partner_id\":\"{id}\",\"occurred_at\":\"{day}T{time}Z\",\"status\":200,\"environment\":\"production\"}}\n"
        )
    };
    let all = days.flat_map(|day| ["acme", "globex"].map(|id| line(id, day, "08:00:00")));
    all.collect::<String>() + &line("acme", today, "03:00:00")
}

fn load(project: &Project, stream: &str, events: &str, arrival: &str) {
    project.write("events.ndjson", events);
    project.run_ok(&["ingest", "load", "--stream", stream, "--arrival", arrival, "events.ndjson"]);
}

/// Returns a project whose clock shows nine o'clock of a Monday.
fn project(configuration: &str) -> Project {
    let project = Project::empty();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs();
    let monday: Day = MONDAY.parse().expect("a day");
    let nine = monday.start_micros() / 1_000_000 + 9 * 3_600;
    project.move_clock(nine - i64::try_from(now).expect("seconds"));
    project.run_ok(&["init", "."]);
    let arrival = format!("{MONDAY}T03:00:30Z");
    for (stream, events) in [
        ("api-calls", calls().as_str()),
        ("partner-events", PARTNERS),
        ("billing-events", FAILED_PAYMENT),
    ] {
        load(&project, stream, events, &arrival);
    }
    configure(&project, configuration);
    project
}

/// Appends to the configuration.
fn configure(project: &Project, lines: &str) {
    let toml = std::fs::read_to_string(project.path("rapport.toml")).expect("a configuration");
    project.write("rapport.toml", format!("{toml}{lines}"));
}

/// Changes the configuration.
fn reconfigure(project: &Project, from: &str, to: &str) {
    let toml = std::fs::read_to_string(project.path("rapport.toml")).expect("a configuration");
    assert!(toml.contains(from), "{toml}");
    project.write("rapport.toml", toml.replace(from, to));
}

/// Returns a delivery by mail.
fn by_mail(name: &str, schedule: &str, recipients: &str) -> String {
    format!(
        "\n[[deliveries]]\nname = \"{name}\"\nschedule = \"{schedule}\"\nchannel = \"mail\"\n\
         recipients = [{recipients}]\ncharts = false\n"
    )
}

const ADA: &str = "\"ada@example.com\"";

fn deliver(project: &Project, arguments: &[&str]) -> ProgramOutput {
    project.run(&[&["deliver", "--by", "cron", "--format", "json"], arguments].concat())
}

/// Returns the result and the reason of each line of a run.
fn results(output: &ProgramOutput) -> Vec<(String, String)> {
    let rows: Vec<Value> =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output}"));
    let text = |row: &Value, key: &str| row[key].as_str().expect("a text").to_owned();
    rows.iter().map(|row| (text(row, "result"), text(row, "reason"))).collect()
}

/// Runs what is due, which must end with a code, and checks the results.
#[track_caller]
fn expect(project: &Project, arguments: &[&str], code: i32, expected: &[&str]) -> ProgramOutput {
    let output = deliver(project, arguments);
    let found: Vec<String> = results(&output).into_iter().map(|(result, _)| result).collect();
    assert_eq!(
        (output.code, found),
        (Some(code), expected.iter().map(|r| (*r).to_owned()).collect()),
        "{output}"
    );
    output
}

/// Returns the entries of the log, oldest first.
fn entries(project: &Project) -> Vec<String> {
    project.query_rows("SELECT entry FROM delivery_log ORDER BY sequence")
}

/// Lets another partner be active in February, so that the headline figures change.
fn change_february(project: &Project, arrival: &str) {
    let call = r#"{"event_id":"late","partner_id":"initech","occurred_at":"2026-02-10T08:00:00Z","status":200,"environment":"production"}
"#;
    load(project, "api-calls", call, arrival);
}

#[test]
fn a_report_is_sent_once_a_period_and_skipped_when_nothing_changed() {
    let mail = MailServer::start();
    let both = "\"ada@example.com\", \"Bo <bo@example.com>\"";
    let project = project(&(mail.channel() + &by_mail("daily", "daily at 07:00", both)));
    reconfigure(&project, "# public_url = \"\"", "public_url = \"https://rapport.example.com/\"");
    let page = project.run_ok(&["deliver", "log"]);
    assert_eq!(page, "");
    project.run_ok(&["report", "--out", "before"]);
    let read = |path: &str| std::fs::read_to_string(project.path(path)).expect("a page");
    assert!(read("before/data.html").contains("No report has been delivered. Define some as"));

    let dry = expect(&project, &["--dry-run"], 0, &["due", "due"]);
    assert!(dry.stdout_text().contains("Active partners"), "{dry}");
    assert!(mail.mails().is_empty() && entries(&project).is_empty());
    let sent = expect(&project, &[], 0, &["sent", "sent"]);
    assert_eq!(results(&sent)[0].1, "250 taken as 42");
    expect(&project, &[], 0, &["over", "over"]);
    let mails = mail.mails();
    let to: Vec<&str> = mails.iter().map(|mail| mail.to.as_str()).collect();
    assert_eq!(to, ["ada@example.com", "bo@example.com"]);
    let first = &mails[0];
    assert!(first.subject.starts_with("daily, 16 Mar 2026: active partners 2"), "{first:?}");
    for words in [
        "Partners: all",
        "As of: 16 Mar 2026",
        "Data: Fresh, complete to 16 Mar",
        "- Active partners: Feb, 2",
        "Overview: https://rapport.example.com/index.html",
    ] {
        assert!(first.text.contains(words), "no {words} in {}", first.text);
    }
    assert!(first.html.contains("<td><bdi>Active partners</bdi></td>"), "{}", first.html);
    assert_ne!(first.message_id, mails[1].message_id);
    assert_eq!(entries(&project), ["sending", "sent", "sending", "sent"]);

    // Nothing has changed on Tuesday; by Wednesday February has another active partner.
    project.move_clock(DAY);
    let skipped = expect(&project, &[], 0, &["skipped", "skipped"]);
    assert!(results(&skipped)[0].1.contains("since the message of 2026-03-16"), "{skipped}");
    expect(&project, &[], 0, &["over", "over"]);
    project.move_clock(DAY);
    change_february(&project, "2026-03-18T03:00:00Z");
    expect(&project, &[], 0, &["sent", "sent"]);
    assert_eq!(mail.mails().len(), 4);
    assert!(mail.mails()[2].text.contains("- Active partners: Feb, 3"), "{:?}", mail.mails()[2]);

    let log =
        project.run_ok(&["deliver", "log", "--only", "daily", "--limit", "1", "--format", "csv"]);
    assert!(log.contains(",sent,daily,2026-03-18,Bo <bo@example.com>,mail,"), "{log}");
    project.run_ok(&["report", "--out", "after"]);
    let page = read("after/data.html");
    assert!(page.contains("Skipped") && page.contains("Bo &lt;bo@example.com&gt;"), "{page}");
    assert!(read("after/data/deliveries.csv").contains(",skipped,daily,2026-03-17,"));
}

#[test]
fn two_at_once_send_once() {
    let mail = MailServer::start();
    let project = project(&(mail.channel() + &by_mail("weekly", "weekly on monday at 07:00", ADA)));
    // Both have to refresh and score first, which takes most of the time.
    project.run_ok(&["score", "run"]);
    let arguments = ["deliver", "--by", "cron", "--format", "json"];
    let programs = [0; 3].map(|_| RunningProgram::start(project.command(&arguments)));
    let outputs = programs.map(RunningProgram::finish);
    let mut found: Vec<String> = Vec::new();
    for output in &outputs {
        assert_eq!(output.code, Some(0), "{output}");
        found.extend(results(output).into_iter().map(|(result, _)| result));
    }
    assert_eq!(found.iter().filter(|result| *result == "sent").count(), 1, "{found:?}");
    assert_eq!(mail.mails().len(), 1);
    assert_eq!(entries(&project), ["sending", "sent"]);
}

/// Kills a run at a failpoint of the log.
fn kill_at(project: &Project, failpoint: &str) {
    let file = project.path("reached");
    let mut command = project.command(&["deliver", "--by", "cron"]);
    command.env("RAPPORT_FAULT", format!("{failpoint}={}", file.display()));
    let program = RunningProgram::start(command);
    wait_until("the failpoint", Duration::from_secs(120), || file.exists());
    program.kill();
    std::fs::remove_file(file).expect("the file of the failpoint");
}

#[test]
fn a_kill_sends_nothing_twice() {
    let mail = MailServer::start();
    let project = project(&(mail.channel() + &by_mail("daily", "daily at 07:00", ADA)));
    // The table exists, so that the first entry of a run is that of its first row.
    project.run_ok(&["deliver", "pause", "daily", "--reason", "Not yet", "--by", "Ada"]);
    project.run_ok(&["deliver", "resume", "daily", "--reason", "Now", "--by", "Ada"]);

    // Before the row "sending" nothing was sent, and the next run sends it.
    kill_at(&project, "entry:deliveries/log@1");
    assert!(mail.mails().is_empty());
    expect(&project, &[], 0, &["sent"]);
    assert_eq!(mail.mails().len(), 1);

    // Between the mail and the row that tells of it: nobody knows, and nothing is sent again.
    project.move_clock(DAY);
    change_february(&project, "2026-03-17T03:00:00Z");
    kill_at(&project, "entry:deliveries/log@2");
    assert_eq!(mail.mails().len(), 2);
    let elsewhere = expect(&project, &[], 0, &["elsewhere"]);
    assert!(results(&elsewhere)[0].1.contains("another program sends it since"), "{elsewhere}");
    project.move_clock(600);
    let unknown = expect(&project, &[], 3, &["unknown"]);
    assert!(results(&unknown)[0].1.contains("nobody knows whether it arrived"), "{unknown}");
    expect(&project, &[], 0, &["over"]);
    assert_eq!(mail.mails().len(), 2);
    // A person who knows that it did not arrive sends it again; mail programs know it by its id.
    expect(&project, &["--again", "daily"], 0, &["sent"]);
    let mails = mail.mails();
    assert_eq!((mails.len(), &mails[1].message_id), (3, &mails[2].message_id));
    expect(&project, &[], 0, &["over"]);
}

#[test]
fn a_failing_check_holds_the_report_back_until_it_is_mended() {
    let mail = MailServer::start();
    let project = project(&(mail.channel() + &by_mail("daily", "daily at 07:00", ADA)));
    std::fs::create_dir_all(project.path("queries/checks")).expect("a folder");
    let check = "/*---\ndescription = \"growth ends with January\"\n---*/\n\
                 SELECT month, active FROM growth WHERE month >= '2026-02-01' ORDER BY month\n";
    project.write("queries/checks/january.sql", check);
    let held = expect(&project, &[], 3, &["held"]);
    let reason = &results(&held)[0].1;
    assert!(
        reason.contains("held back: growth") && reason.contains("rapport metrics run"),
        "{held}"
    );
    expect(&project, &[], 3, &["held"]);
    assert_eq!(entries(&project), ["held"], "the same is not repeated");
    assert!(mail.mails().is_empty());
    std::fs::remove_file(project.path("queries/checks/january.sql")).expect("the check");
    expect(&project, &[], 0, &["sent"]);
    assert_eq!(
        (mail.mails().len(), entries(&project)),
        (1, vec!["held".to_owned(), "sending".to_owned(), "sent".to_owned()])
    );
}

#[test]
fn a_paused_delivery_is_not_sent() {
    let mail = MailServer::start();
    let project = project(&(mail.channel() + &by_mail("daily", "daily at 07:00", ADA)));
    let pause = ["deliver", "pause", "daily", "--reason", "Summer break", "--by", "Ada"];
    assert_eq!(project.run_ok(&pause), "daily: paused by Ada\n");
    let paused = expect(&project, &[], 0, &["paused"]);
    assert!(
        results(&paused)[0].1.contains("by Ada at 2026-03-16")
            && results(&paused)[0].1.contains("Summer break")
    );
    let recipients = format!("recipients = [{ADA}]");
    reconfigure(&project, &recipients, &format!("{recipients}\npaused = true"));
    project.run_ok(&["deliver", "resume", "daily", "--reason", "Back", "--by", "Ada"]);
    let paused = expect(&project, &[], 0, &["paused"]);
    assert!(results(&paused)[0].1.contains("paused = true"), "{paused}");
    assert!(mail.mails().is_empty());
    reconfigure(&project, "paused = true", "paused = false");
    expect(&project, &[], 0, &["sent"]);
    let unknown = ["deliver", "pause", "dayly", "--reason", "x", "--by", "Ada"];
    project.run(&unknown).expect_error(2, &["no delivery \"dayly\"; did you mean \"daily\"?"]);
    project
        .run(&["deliver", "--again", "x", "--by", "Ada"])
        .expect_error(2, &["no delivery \"x\""]);
}

#[test]
fn what_a_mail_server_refuses_is_told() {
    let mail = MailServer::start();
    let all =
        "\"never@example.com\", \"later@example.com\", \"gone@example.com\", \"ada@example.com\"";
    let project = project(&(mail.channel() + &by_mail("daily", "daily at 07:00", all)));
    let first = expect(&project, &[], 3, &["refused", "failed", "unknown", "sent"]);
    let reasons: Vec<String> = results(&first).into_iter().map(|(_, reason)| reason).collect();
    assert!(
        reasons[0].contains("the mail server localhost did not take it: ")
            && reasons[0].contains("no such user"),
        "{first}"
    );
    assert!(reasons[1].contains("try again later"), "{first}");
    assert!(reasons[2].contains("which may have taken it"), "{first}");
    // Only what may succeed later is tried again.
    expect(&project, &[], 3, &["over", "failed", "over", "over"]);
    assert_eq!(mail.mails().len(), 2);
    reconfigure(&project, "later@", "bo@");
    expect(&project, &[], 0, &["over", "sent", "over", "over"]);
    drop(mail);
    project.move_clock(DAY);
    change_february(&project, "2026-03-17T03:00:00Z");
    let unreachable = expect(&project, &["--only", "daily"], 3, &["failed"; 4]);
    assert!(results(&unreachable)[0].1.contains("the mail server localhost"), "{unreachable}");
}

/// Returns the configuration of a delivery to a chat.
fn by_chat(schedule: &str) -> String {
    format!(
        "\n[[actions.channels]]\nname = \"chat\"\nkind = \"template\"\ntemplate = \"slack\"\n\
         secrets = {{ webhook_url = \"file:webhook\" }}\ntimeout_seconds = 5\n\n[[deliveries]]\n\
         name = \"chat\"\nschedule = \"{schedule}\"\nchannel = \"chat\"\n\
         filters = {{ segment = \"startup\" }}\n"
    )
}

#[test]
fn a_chat_gets_the_report_of_its_filters() {
    let chat = ChatServer::start();
    let project = project(&by_chat("weekly on monday at 07:00"));
    deliver(&project, &[]).expect_error(2, &["channel \"chat\"", "webhook can't be read"]);
    project.write("webhook", chat.url());
    chat.set_status(503);
    let failed = expect(&project, &[], 3, &["failed"]);
    assert!(results(&failed)[0].1.contains("answered with 503"), "{failed}");
    chat.set_status(404);
    let refused = expect(&project, &[], 3, &["refused"]);
    assert!(results(&refused)[0].1.contains("answered with 404: no_service"), "{refused}");
    for output in [&failed, &refused] {
        assert!(!output.to_string().contains("s3cr3t"), "{output}");
    }
    expect(&project, &[], 0, &["over"]);
    chat.set_status(200);
    expect(&project, &["--again", "chat"], 0, &["sent"]);
    let messages = chat.messages();
    assert_eq!(messages.len(), 1);
    let message: Value = serde_json::from_str(&messages[0]).expect("JSON");
    let text = message["text"].as_str().expect("a text");
    assert!(text.starts_with("*chat, 16 Mar 2026: active partners 1"), "{text}");
    assert!(
        text.contains("Partners: segment startup") && text.contains("Active partners: Feb, 1"),
        "{text}"
    );
    let log = project.run_ok(&["deliver", "log", "--format", "json"]);
    assert!(!log.contains(CHAT_SECRET) && !log.contains("s3cr3t"), "{log}");
}

#[test]
fn each_manager_gets_a_digest_of_their_partners() {
    let mail = MailServer::start();
    let digest = "\n[[deliveries]]\nname = \"managers\"\nschedule = \"weekly on monday at 07:00\"\n\
                  channel = \"mail\"\ndigest = \"manager\"\n";
    let project = project(&(mail.channel() + digest));
    let recipients = "[actions.recipients]\nAda = { email = \"ada@example.com\" }\nBo = { email = \"bo@example.com\" }\n";
    reconfigure(&project, "[actions.recipients]\n", recipients);
    project.run_ok(&["score", "run"]);
    project.run(&["alerts", "check", "--by", "cron"]);
    let sent = expect(&project, &[], 0, &["sent", "sent"]);
    assert!(
        sent.stderr.contains("No digest for 1 manager: [actions.recipients] has no email of Cy"),
        "{sent}"
    );
    let mails = mail.mails();
    assert_eq!(
        mails.iter().map(|mail| mail.to.as_str()).collect::<Vec<_>>(),
        ["ada@example.com", "bo@example.com"]
    );
    let (ada, bo) = (&mails[0], &mails[1]);
    for section in ["Movers of the week", "Waiting for a decision", "Open alerts"] {
        assert!(ada.text.contains(section) && bo.html.contains(section), "{}", ada.text);
    }
    assert!(ada.text.contains("Acme: ") && !ada.text.contains("Globex"), "{}", ada.text);
    assert!(!bo.text.contains("Acme"), "{}", bo.text);
    let whole = expect(&project, &[], 0, &["over"]);
    assert!(results(&whole)[0].1.contains("complete"), "{whole}");
    assert_eq!(mail.mails().len(), 2);
}

#[test]
fn a_project_without_deliveries_says_what_to_do() {
    let project = project("");
    let output = project.run(&["deliver", "--by", "cron"]).expect_success();
    assert!(
        output.stderr.contains("add one as [[deliveries]]") && output.stdout.is_empty(),
        "{output}"
    );
    let help = run(project.command(&["deliver", "--help"])).expect_success().stdout_text();
    assert!(help.contains("rapport deliver --dry-run") && help.contains("pause"), "{help}");
    configure(&project, &by_mail("x", "hourly", ADA));
    project
        .run(&["deliver", "--by", "x"])
        .expect_error(2, &["rapport.toml:", "is no schedule; write"]);
}

/// Returns whether there is a browser that draws charts. Without one it prints what to install; with
/// `CI=true` it fails the test.
fn has_chromium() -> bool {
    let names = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let is_installed = std::env::split_paths(&folders)
        .any(|folder| names.iter().any(|name| folder.join(name).is_file()));
    assert!(is_installed || std::env::var("CI").as_deref() != Ok("true"), "no Chromium");
    if !is_installed {
        print_note("skipped, without Chromium: install the package chromium");
    }
    is_installed
}

#[test]
fn a_mail_shows_charts_where_chromium_is_installed() {
    if !has_chromium() {
        return;
    }
    let server = MailServer::start();
    // The data ends today, by the clock that Chromium sees too.
    let project = Project::empty();
    let size = ["--partners", "40", "--events", "8000", "--days", "120", "--seed", "1"];
    project.run_ok(&[&["demo", "--dir", "."], size.as_slice()].concat());
    let with_charts =
        by_mail("shown", "daily at 00:00", ADA).replace("charts = false", "charts = true");
    configure(&project, &(server.channel() + &with_charts));
    expect(&project, &[], 0, &["sent"]);
    let mail = server.mails().pop().expect("a mail");
    let ids: Vec<&str> = mail.pictures.iter().map(|(id, _)| id.as_str()).collect();
    assert!(ids.len() >= 2, "{ids:?}");
    for (id, bytes) in &mail.pictures {
        assert!(mail.html.contains(&format!("src=\"cid:{id}\"")), "{}", mail.html);
        assert!(*bytes > 2_000, "{id} has {bytes} bytes");
    }
    // Whoever does not see the picture reads its numbers, which are those of SQL.
    let query = "SELECT active FROM growth ORDER BY month DESC LIMIT 1";
    let active = project.query_number(query);
    let alt = format!("{active} so far\"");
    assert!(mail.html.contains("alt=\"Active partners by month: "), "{}", mail.html);
    assert!(mail.html.contains(&alt) || mail.html.contains(&format!(" {active}\"")), "{alt}");
    // Without Chromium the mail has the figures and nothing that is missing.
    let mut bare = project.command(&["deliver", "--by", "cron", "--again", "shown"]);
    bare.env("PATH", "/nowhere");
    assert_eq!(run(bare).code, Some(0));
    let bare = server.mails().pop().expect("a mail");
    assert!(bare.pictures.is_empty() && !bare.html.contains("<img"), "{}", bare.html);
    assert!(bare.html.contains("Headline figures"), "{}", bare.html);
}
