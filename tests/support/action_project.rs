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
/// The day on which a project begins that has a clock of its own.
const FIRST_DAY: &str = "2026-06-15";

/// Returns now, by the real clock, µs.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    i64::try_from(since.as_micros()).expect("an instant")
}

/// Returns today, by the real clock.
pub(crate) fn today() -> Day {
    Day::of_micros(now())
}

/// The calls of a partner on one day, none of them in the minute of another unless it says so.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Calls {
    Missing,
    Few,
    /// Twenty.
    Many,
    /// Twenty, one of which is throttled.
    Throttled,
    /// So many within one minute.
    InOneMinute(usize),
}

impl Calls {
    /// What the partners of these projects do unless a test says otherwise.
    pub(crate) fn usual(partner_id: &str) -> Self {
        if THROTTLED.contains(&partner_id) { Self::Throttled } else { Self::Few }
    }

    /// Returns the time of day and the status of each call. `minute` is the partner's own.
    fn at(self, minute: usize) -> Vec<(String, u16)> {
        let count = match self {
            Self::Missing => 0,
            Self::Few => 2,
            Self::Many | Self::Throttled => 20,
            Self::InOneMinute(count) => count,
        };
        let at = |call: usize| match self {
            Self::InOneMinute(_) => format!("10:{minute:02}:{:02}", call % 60),
            _ => format!("{call:02}:{minute:02}:00"),
        };
        let status = |call| if matches!(self, Self::Throttled) && call == 7 { 429 } else { 200 };
        (0..count).map(|call| (at(call), status(call))).collect()
    }
}

/// Returns the ids of the partners.
fn partner_ids() -> Vec<String> {
    let throttled = THROTTLED.into_iter().map(str::to_owned);
    throttled.chain((0..CALM).map(|number| format!("calm-{number:02}"))).collect()
}

/// Returns the calls of the days from `first` up to the one before `end`, as lines of JSON.
fn call_lines(first: Day, end: Day, calls: impl Fn(&str, Day) -> Calls) -> String {
    let mut lines = String::new();
    for (number, id) in partner_ids().iter().enumerate() {
        for day in (first.0..end.0).map(Day) {
            for (call, (time, status)) in calls(id, day).at(number % 60).iter().enumerate() {
                writeln!(
                    lines,
                    r#"{{"event_id":"{day}-{call}","partner_id":"{id}","occurred_at":"{day}T{time}Z","status":{status}}}"#
                )
                .expect("a line");
            }
        }
    }
    lines
}

/// Loads events that arrive in the first minute of a day.
pub(crate) fn load(project: &Project, stream: &str, lines: &str, day: Day) {
    load_at(project, stream, lines, &format!("{day}T00:00:30Z"));
}

fn load_at(project: &Project, stream: &str, lines: &str, arrival: &str) {
    project.write("events.ndjson", lines);
    let load = ["ingest", "load", "--stream", stream, "--arrival", arrival, "events.ndjson"];
    project.run_ok(&load);
}

/// Loads the events of the 35 days up to the one before `today`.
fn load_history(project: &Project, today: Day, is_missing: impl Fn(&str, Day) -> bool) {
    let first = today.plus(-DAYS);
    let mut events = String::new();
    for id in partner_ids() {
        writeln!(
            events,
            r#"{{"event_id":"r","partner_id":"{id}","occurred_at":"{first}T00:00:01Z","type":"registered","plan":"growth","name":"{id}"}}
{{"event_id":"q","partner_id":"{id}","occurred_at":"{first}T00:00:02Z","type":"quota_changed","quota_per_minute":{QUOTA}}}"#
        )
        .expect("a line");
    }
    let calls = call_lines(first, today, |id, day| {
        if is_missing(id, day) { Calls::Missing } else { Calls::usual(id) }
    });
    load(project, "api-calls", &calls, today);
    load(project, "partner-events", &events, today);
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
    fill(&project, today, channel, configuration, is_missing);
    project
}

fn fill(
    project: &Project,
    today: Day,
    channel: &str,
    configuration: &str,
    is_missing: impl Fn(&str, Day) -> bool,
) {
    let policy = actions::DEFAULT_POLICY.replace("bake_minutes = 10", "bake_minutes = 0");
    project.write("policy.toml", policy);
    let toml = std::fs::read_to_string(project.path("rapport.toml")).expect("a configuration");
    let toml = toml.replace("# set_quota = \"file\"", &format!("set_quota = \"{channel}\""));
    project.write("rapport.toml", format!("{toml}{configuration}"));
    let mut mapping = "partner_id,consumer,key,app,organisation,email\n".to_owned();
    for id in partner_ids() {
        writeln!(mapping, "{id},{id},,,,").expect("a line");
    }
    project.write("mapping.csv", mapping);
    load_history(project, today, is_missing);
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

/// A project whose clock shows nine o'clock of a morning in June, with a gateway.
pub(crate) struct DatedProject {
    pub(crate) gateway: Gateway,
    pub(crate) project: Project,
    /// The day that the clock shows, unless a test has moved it.
    pub(crate) today: Day,
}

impl DatedProject {
    pub(crate) fn start() -> Self {
        let gateway = Gateway::start(&THROTTLED.map(|id| (id, QUOTA)));
        let project = Project::empty();
        let today: Day = FIRST_DAY.parse().expect("a day");
        project.move_clock((today.start_micros() - now()) / 1_000_000 + 9 * 3_600);
        project.run_ok(&["init", "."]);
        fill(&project, today, "kong", &gateway.configuration(), |_, _| false);
        let dated = Self { gateway, project, today };
        dated.load_calls(String::new());
        dated
    }

    /// Lets days pass: loads their calls, and moves the clock to nine o'clock of the day after.
    pub(crate) fn pass_days(&mut self, days: i32, calls: impl Fn(&str, Day) -> Calls) {
        self.project.move_clock(i64::from(days) * 86_400);
        let first = self.today;
        self.today = first.plus(days);
        self.load_calls(call_lines(first, self.today, calls));
    }

    /// Loads calls and one of today, an hour after midnight. Events may be late by an hour, so that all
    /// that happened before midnight is known then.
    fn load_calls(&self, lines: String) {
        let day = self.today;
        let early = format!(
            r#"{{"event_id":"{day}-early","partner_id":"calm-02","occurred_at":"{day}T01:00:10Z","status":200}}"#
        );
        load_at(&self.project, "api-calls", &(lines + &early), &format!("{day}T01:00:20Z"));
    }

    /// Lets the platform report the quotas that the gateway has by now.
    pub(crate) fn report_quotas(&self) {
        let mut events = String::new();
        for id in THROTTLED {
            let (day, quota) = (self.today.plus(-1), self.gateway.limit(id).expect("a quota"));
            writeln!(
                events,
                r#"{{"event_id":"{day}","partner_id":"{id}","occurred_at":"{day}T12:00:00Z","type":"quota_changed","quota_per_minute":{quota}}}"#
            )
            .expect("a line");
        }
        load(&self.project, "partner-events", &events, self.today);
    }
}

/// Changes the policy of a project.
pub(crate) fn edit_policy(project: &Project, edits: &[(&str, &str)]) {
    let mut policy = std::fs::read_to_string(project.path("policy.toml")).expect("a policy");
    for (from, to) in edits {
        assert!(policy.contains(from), "no {from} in the policy");
        policy = policy.replacen(from, to, 1);
    }
    project.write("policy.toml", policy);
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
