//! The shipped policy, and errors that name their line.

use crate::policy::{DEFAULT_POLICY, Policy};

#[test]
fn the_default_parses() {
    let policy = Policy::parse(DEFAULT_POLICY).expect("the shipped policy");
    assert_eq!(policy.rules.len(), 9);
    let g = &policy.guardrails;
    assert_eq!((g.max_raise, g.max_cut, g.headroom, g.reach), (0.5, 0.1, 1.2, 0.05));
    assert_eq!((g.cooldown_days, g.grant_days, g.stale_hours), (7, 30, 36));
    let lines: Vec<&str> = DEFAULT_POLICY.lines().collect();
    for rule in &policy.rules {
        assert_eq!(lines[rule.line - 1], "[[rules]]", "{}", rule.name);
    }
}

#[test]
fn the_digest_is_that_of_what_a_policy_says() {
    let digest = |text: &str| Policy::parse(text).expect("a policy").digest;
    let whole = digest(DEFAULT_POLICY);
    assert_eq!(whole.len(), 64);
    let name = "name = \"Throttled 1 % or more of calls";
    assert!(DEFAULT_POLICY.contains(name));
    let renamed = DEFAULT_POLICY.replacen(name, "name = \"It hits its quota", 1);
    assert_eq!(digest(&renamed), whole);
    assert_eq!(digest(&format!("# Another comment.\n{DEFAULT_POLICY}")), whole);
    let bolder = DEFAULT_POLICY.replacen("max_raise = 0.5", "max_raise = 0.4", 1);
    assert_ne!(digest(&bolder), whole);
}

#[test]
fn an_error_names_line_and_rule() {
    #[track_caller]
    fn check(from: &str, to: &str, parts: &[&str]) {
        assert!(DEFAULT_POLICY.contains(from), "{from}");
        let error = Policy::parse(&DEFAULT_POLICY.replacen(from, to, 1));
        let error = error.expect_err(to).to_string();
        for part in parts {
            assert!(error.contains(part), "{error:?} lacks {part:?}");
        }
    }
    let line = |text: &str| {
        let at = DEFAULT_POLICY.lines().position(|l| l.starts_with(text)).expect("a line");
        format!("{}:", at + 1)
    };
    check("version = \"1\"", "version = \" \"", &[&line("version"), "a name"]);
    check("max_cut = 0.1", "max_cut = 1.1", &[&line("max_cut"), "max_cut = 1.1 must be 0 to 1"]);
    check("headroom = 1.2", "headroom = 0.9", &[&line("headroom"), "1 or more"]);
    check("max_cut = 0.1\n", "", &["missing field `max_cut`"]);
    check(
        "max_cut = 0.1",
        "max_cutt = 0.1",
        &["unknown field `max_cutt`; did you mean `max_cut`?", &line("max_cut")],
    );
    check("when = \"true\"", "when = \" \"", &["\"Nothing to do\" has an empty condition"]);
    check("\nnone = true", "\nnone = false", &["\"Nothing to do\" needs exactly one of"]);
    check("\nnone = true", "\nnone = true\napprove_production = true", &["exactly one of"]);
    check("name = \"At risk\"", "name = \"Nothing to do\"", &["is there twice"]);
    check("who = \"manager\"", "who = \" \"", &["notifies nobody"]);
    check("priority = 1", "priority = 0", &["priority and sla_hours of 1 or more"]);
    check("queue = \"onboarding\", ", "", &["missing field `queue`"]);
    check("for = \"quota\"\nwhen", "for = \"support\"\nwhen", &["must be for = \"quota\""]);
    check("for = \"access\"\nwhen", "for = \"quota\"\nwhen", &["must be for = \"access\""]);
    check("id = \"stuck\"", "id = \"at-risk\"", &["has the id \"at-risk\" of another"]);
    check("id = \"stuck\"", "id = \"Stuck!\"", &["needs an id of lower-case letters"]);
    check("about = \"on watch\"", "about = \" \"", &["what the notice is about"]);
    check("step = 0.5 }\n\n", "ladder = [9, 3] }\n\n", &["a ladder of quotas"]);
    check(
        "\nfor = \"support\"",
        "\nfor = \"suport\"",
        &["unknown variant `suport`; did you mean `support`?"],
    );
    check("step = 0.5 }\n\n", "step = 0.0 }\n\n", &["has a step that is 0"]);
    check("step = 0.5 }\n\n", "step = 0.5, per_minute = 9 }\n\n", &["exactly one of"]);
    check("contract = 300", "contract = 9_000", &["the plan \"growth\" needs"]);
}
