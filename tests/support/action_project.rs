//! Projects for the tests of actions: three partners that are throttled among forty, and what is done
//! with their plans.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use domain::Day;
use serde_json::Value;

use crate::support::gateway::Gateway;
use crate::support::program::{ProgramOutput, Project, run};

/// The quota of every partner, calls a minute.
pub(crate) const QUOTA: i64 = 600;
/// Partners that are throttled, so that a rule asks for +50 %.
pub(crate) const THROTTLED: [&str; 3] = ["alpha", "beta", "gamma"];
/// Partners of whom nothing is asked. 5 % of all are two: a third change needs a person.
const CALM: usize = 37;
const DAYS: i32 = 35;

/// Returns today, by the clock.
pub(crate) fn today() -> Day {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    Day::of_micros(i64::try_from(since.as_micros()).expect("an instant"))
}

/// Writes events of the 35 days up to the one before `today`.
fn write_events(project: &Project, today: Day, is_missing: impl Fn(&str, Day) -> bool) {
    let (mut calls, mut events) = (String::new(), String::new());
    let calm: Vec<String> = (0..CALM).map(|number| format!("calm-{number:02}")).collect();
    let partners = THROTTLED.into_iter().chain(calm.iter().map(String::as_str));
    for (number, id) in partners.enumerate() {
        let first = today.plus(-DAYS);
        writeln!(
            events,
            r#"{{"event_id":"r","partner_id":"{id}","occurred_at":"{first}T00:00:01Z","type":"registered","plan":"growth","name":"{id}"}}
{{"event_id":"q","partner_id":"{id}","occurred_at":"{first}T00:00:02Z","type":"quota_changed","quota_per_minute":{QUOTA}}}"#
        )
        .expect("a line");
        let is_throttled = THROTTLED.contains(&id);
        for day in (today.0 - DAYS..today.0).map(Day).filter(|day| !is_missing(id, *day)) {
            for call in 0..if is_throttled { 20 } else { 2 } {
                let status = if is_throttled && call == 7 { 429 } else { 200 };
                writeln!(
                    calls,
                    r#"{{"event_id":"{day}-{call}","partner_id":"{id}","occurred_at":"{day}T{:02}:{:02}:00Z","status":{status}}}"#,
                    call,
                    number % 60
                )
                .expect("a line");
            }
        }
    }
    project.write("calls.ndjson", calls);
    project.write("events.ndjson", events);
    // The data is complete up to the first minute of `today`.
    let arrival = format!("{today}T00:00:30Z");
    for (stream, file) in [("api-calls", "calls.ndjson"), ("partner-events", "events.ndjson")] {
        project.run_ok(&["ingest", "load", "--stream", stream, "--arrival", &arrival, file]);
    }
}

/// Returns a project whose policy waits for nothing between waves, whose quotas go to a channel, and
/// whose data ends before `today`.
pub(crate) fn project_until(
    today: Day,
    channel: &str,
    configuration: &str,
    is_missing: impl Fn(&str, Day) -> bool,
) -> Project {
    let project = Project::new();
    let policy = actions::DEFAULT_POLICY.replace("bake_minutes = 10", "bake_minutes = 0");
    project.write("policy.toml", policy);
    let toml = std::fs::read_to_string(project.path("rapport.toml")).expect("a configuration");
    let toml = toml.replace("# set_quota = \"file\"", &format!("set_quota = \"{channel}\""));
    project.write("rapport.toml", format!("{toml}{configuration}"));
    let mut mapping = "partner_id,consumer,key,app,organisation,email\n".to_owned();
    for id in THROTTLED {
        writeln!(mapping, "{id},{id},,,,").expect("a line");
    }
    for number in 0..CALM {
        writeln!(mapping, "calm-{number:02},calm-{number:02},,,,").expect("a line");
    }
    project.write("mapping.csv", mapping);
    write_events(&project, today, is_missing);
    project
}

/// Returns a project whose quotas go to the default channel, a file.
pub(crate) fn project_with_gaps(is_missing: impl Fn(&str, Day) -> bool) -> Project {
    project_until(today(), "file", "", is_missing)
}

pub(crate) fn gateway_and_project() -> (Gateway, Project) {
    let gateway = Gateway::start(&THROTTLED.map(|id| (id, QUOTA)));
    let project = project_until(today(), "kong", &gateway.configuration(), |_, _| false);
    (gateway, project)
}

pub(crate) fn plan(project: &Project, file: &str) -> Value {
    project.run_ok(&["actions", "plan", "--out", file, "--refresh"]);
    read_plan(project, file)
}

pub(crate) fn read_plan(project: &Project, file: &str) -> Value {
    let text = std::fs::read_to_string(project.path(file)).expect("a plan");
    serde_json::from_str(&text).expect("JSON")
}

/// Returns the partners whose quota a plan changes.
pub(crate) fn quota_changes(plan: &Value) -> Vec<String> {
    let changes = plan["changes"].as_array().expect("changes");
    let quotas = changes.iter().filter(|change| change["action"] == "set_quota");
    quotas.map(|change| change["partner_id"].as_str().expect("an id").to_owned()).collect()
}

/// Seconds after which an attempt without an outcome counts as killed.
pub(crate) const LEASE_SECONDS: u64 = 4;

/// Applies a plan.
pub(crate) fn apply(project: &Project, file: &str) -> ProgramOutput {
    let mut command = project.command(&["actions", "apply", file, "--by", "Ada"]);
    command.env("RAPPORT_ACTIONS_LEASE_SECONDS", LEASE_SECONDS.to_string());
    run(command)
}

/// Returns how many rows of the log say this.
pub(crate) fn logged(project: &Project, entry: &str) -> i64 {
    project.query_number(&format!("SELECT count(*) FROM action_log WHERE entry = '{entry}'"))
}
