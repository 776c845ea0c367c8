//! The test cases of the recipes: `mappings/NAME.test.toml`.

use std::collections::BTreeMap;

use domain::parse_instant;
use serde::Deserialize;

use super::recipes::BUILT_IN;
use super::*;

/// The test file of a recipe.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TestFile {
    #[serde(default)]
    secrets: Secrets,
    case: Vec<Case>,
}

/// Texts of the records that no event may hold.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Secrets {
    never: Vec<String>,
}

/// A record, and what becomes of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    given: String,
    key: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default = "topic")]
    topic: String,
    #[serde(default = "position")]
    position: String,
    #[serde(default = "arrival")]
    arrival: String,
    expect: Option<serde_json::Map<String, serde_json::Value>>,
    #[serde(default)]
    skipped: bool,
    /// Why it is skipped, as the recipe says.
    why: Option<String>,
    rejected: Option<String>,
    field: Option<String>,
    /// The sentence of a rejection.
    detail: Option<String>,
}

fn topic() -> String {
    "topic".to_owned()
}

fn position() -> String {
    "topic/0/0".to_owned()
}

fn arrival() -> String {
    "2026-11-01T12:00:00Z".to_owned()
}

impl Case {
    /// Fails with what is otherwise than expected.
    fn check(&self, mapping: &Mapping, secrets: &Secrets) -> Result<(), String> {
        let stream = mapping.stream().ok_or("the recipe names no stream")?;
        let headers: Vec<(String, Option<Vec<u8>>)> = self
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), Some(value.clone().into_bytes())))
            .collect();
        let outcome = Trial::new(stream, Some(mapping.clone())).run(&TrialRecord {
            value: self.given.as_bytes(),
            key: self.key.as_deref().map(str::as_bytes),
            headers: &headers,
            topic: &self.topic,
            position: &self.position,
            arrival: parse_instant(&self.arrival).ok_or("arrival is no instant")?,
        });
        let mapped = outcome.mapped.unwrap_or_default();
        if let Some(secret) = secrets.never.iter().find(|secret| mapped.contains(*secret)) {
            return Err(format!("the event holds {secret:?}: {mapped}"));
        }
        let found = match &outcome.result {
            TrialResult::Accepted(_) => "accepted".to_owned(),
            TrialResult::Skipped { why } => {
                let why = why.as_deref().map(|why| format!(" ({why})"));
                format!("skipped{}", why.unwrap_or_default())
            }
            TrialResult::Rejected { rejection, message } => {
                let message = message.as_deref().map(|message| format!(" ({message})"));
                format!("rejected: {rejection}{}", message.unwrap_or_default())
            }
        };
        match (&self.expect, self.skipped, &self.rejected, outcome.result) {
            (Some(expected), false, None, TrialResult::Accepted(_)) => {
                let event: serde_json::Value =
                    serde_json::from_str(&mapped).map_err(|error| error.to_string())?;
                let expected = serde_json::Value::Object(expected.clone());
                if event == expected {
                    return Ok(());
                }
                Err(format!("the event is {event}\nand not      {expected}"))
            }
            (None, true, None, TrialResult::Skipped { why })
                if self.why.is_none() || self.why == why =>
            {
                Ok(())
            }
            (None, false, Some(reason), TrialResult::Rejected { rejection, .. })
                if rejection.reason.as_str() == reason
                    && rejection.field == self.field.as_deref()
                    && self.detail.as_ref().is_none_or(|detail| *detail == rejection.detail) =>
            {
                Ok(())
            }
            (Some(_), false, None, _) => Err(format!("an event is expected, it is {found}")),
            (None, true, None, _) => Err(format!("skipped is expected, it is {found}: {mapped}")),
            (None, false, Some(reason), _) => {
                Err(format!("{reason} is expected, it is {found}: {mapped}"))
            }
            _ => Err("one of expect, skipped and rejected is due".to_owned()),
        }
    }
}

#[test]
fn recipes_do_what_their_cases_say() {
    let (mut failures, mut cases) = (Vec::new(), 0);
    for Recipe { name, description, source, .. } in recipes() {
        assert!(!description.is_empty(), "{name} has no description");
        let mapping = Mapping::compile(name, source).unwrap_or_else(|error| panic!("{error}"));
        let file = BUILT_IN.get_file(format!("{name}.test.toml"));
        let text = file.and_then(|file| file.contents_utf8());
        let text = text.unwrap_or_else(|| panic!("{name} has no test cases"));
        let file: TestFile =
            toml::from_str(text).unwrap_or_else(|error| panic!("{name}.test.toml: {error}"));
        let kinds = [
            file.case.iter().any(|case| case.expect.is_some()),
            file.case.iter().any(|case| case.rejected.is_some()),
        ];
        assert_eq!(kinds, [true, true], "{name} needs a case with an event and one without");
        let given: String = file.case.iter().map(|case| case.given.as_str()).collect();
        for secret in &file.secrets.never {
            assert!(given.contains(secret), "{name}: no record holds the secret {secret:?}");
        }
        for case in &file.case {
            cases += 1;
            if let Err(what) = case.check(&mapping, &file.secrets) {
                failures.push(format!("{name}: {}: {what}", case.name));
            }
        }
    }
    assert!(cases > 0);
    assert!(failures.is_empty(), "{} of {cases} cases:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_file_of_cases_has_its_recipe() {
    let names: Vec<&str> = recipes().iter().map(|recipe| recipe.name).collect();
    for file in BUILT_IN.files() {
        let name = file.path().to_str().unwrap_or_default();
        let recipe = name.strip_suffix(".test.toml").or(name.strip_suffix(".jq"));
        assert!(recipe.is_some_and(|recipe| names.contains(&recipe)), "{name}");
    }
}
