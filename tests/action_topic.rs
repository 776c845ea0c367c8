//! Actions that go to a topic of a real broker: each acknowledged one is there, killed runs and a broker
//! that is down lose none.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::support::action_project::{LEASE_SECONDS, apply, logged, plan, project_until, today};
use crate::support::kafka_broker::KafkaBroker;
use crate::support::program::{Project, RunningProgram, wait_until};

const TOPIC: &str = "partner-actions";

fn project(broker: &KafkaBroker) -> Project {
    let servers = broker.bootstrap();
    let configuration = format!(
        "\n[[actions.channels]]\nname = \"bus\"\nkind = \"kafka\"\n\
         bootstrap_servers = \"{servers}\"\ntimeout_seconds = 5\n"
    );
    project_until(today(), "bus", &configuration, |_, _| false)
}

/// Returns the messages of the topic by the key of their change.
fn messages(broker: &KafkaBroker) -> BTreeMap<String, Vec<serde_json::Value>> {
    let mut found: BTreeMap<String, Vec<serde_json::Value>> = BTreeMap::new();
    for record in broker.records(TOPIC) {
        let value: serde_json::Value = serde_json::from_str(&record.value).expect("JSON");
        let key = value["key"].as_str().expect("a key").to_owned();
        found.entry(key).or_default().push(value);
    }
    found
}

#[test]
fn killed_runs_lose_no_change_and_repeat_no_acknowledged_one() {
    let Some(broker) = KafkaBroker::start() else { return };
    broker.create_topic(TOPIC, 3);
    let project = project(&broker);
    plan(&project, "plan.json");
    project.run_ok(&["actions", "approve", "plan.json", "--all", "--by", "Ada"]);
    for (step, point) in [("entry", 1), ("entry put", 2), ("entry", 2)] {
        let fault = project.path(&format!("reached {step} {point}"));
        let mut command = project.command(&["actions", "apply", "plan.json", "--by", "Ada"]);
        command.env("RAPPORT_ACTIONS_LEASE_SECONDS", LEASE_SECONDS.to_string());
        command.env("RAPPORT_FAULT", format!("{step}:actions/log@{point}={}", fault.display()));
        let mut running = RunningProgram::start(command);
        wait_until("the failpoint or the end", Duration::from_secs(120), || {
            fault.exists() || running.has_ended()
        });
        running.kill();
        std::thread::sleep(Duration::from_secs(LEASE_SECONDS + 1));
    }
    apply(&project, "plan.json").expect_success();
    let sent = messages(&broker);
    assert_eq!((sent.len(), logged(&project, "acknowledged")), (3, 3), "{sent:?}");
    for of_key in sent.values() {
        // A message that nobody had acknowledged may be there again, word by word the same.
        let texts: BTreeSet<String> = of_key.iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), 1, "{of_key:?}");
        assert_eq!(of_key[0]["to"]["per_minute"], 900);
    }
    let before = broker.records(TOPIC).len();
    apply(&project, "plan.json").expect_success();
    project.run_ok(&["actions", "deliver", "--by", "cron"]);
    assert_eq!(broker.records(TOPIC).len(), before);
}

#[test]
fn a_broker_that_is_down_gets_its_changes_when_it_is_back() {
    let Some(mut broker) = KafkaBroker::start() else { return };
    broker.create_topic(TOPIC, 1);
    let project = project(&broker);
    plan(&project, "plan.json");
    project.run_ok(&["actions", "approve", "plan.json", "--all", "--by", "Ada"]);
    broker.stop();
    let output = apply(&project, "plan.json");
    assert_eq!(output.code, Some(3), "{output}");
    assert_eq!((logged(&project, "acknowledged"), logged(&project, "failed")), (0, 2), "{output}");
    broker.restart();
    // Not before the time that the log names.
    project.run_ok(&["actions", "deliver", "--by", "cron"]);
    wait_until("the next attempts", Duration::from_secs(200), || {
        std::thread::sleep(Duration::from_secs(10));
        project.run(&["actions", "deliver", "--by", "cron"]);
        logged(&project, "acknowledged") == 3
    });
    let sent = messages(&broker);
    assert_eq!(sent.len(), 3);
    assert!(sent.values().all(|of_key| of_key.len() == 1), "{sent:?}");
}
