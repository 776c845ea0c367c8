//! What a channel's configuration adds to its template, checked against it.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::closest_name;

use super::super::config::LookupValue;
use super::super::secrets::Secrets;
use super::definition::Template;
use super::ladder::{self, Rung};

/// What a channel's configuration adds to its template.
#[derive(Debug, Default)]
pub(crate) struct TemplateInputs {
    pub(crate) url: Option<String>,
    pub(crate) parameters: BTreeMap<String, String>,
    pub(crate) lookups: BTreeMap<String, BTreeMap<String, LookupValue>>,
    pub(crate) quota_ladder: Vec<Rung>,
    pub(crate) timeout: Duration,
}

/// Returns the quota ladder, which is empty where the target takes every quota.
///
/// # Errors
/// A sentence on a ladder that is missing, not needed, or none.
pub(super) fn ladder_of(template: &Template, inputs: &TemplateInputs) -> Result<Vec<Rung>, String> {
    let (name, given) = (&template.name, &inputs.quota_ladder);
    let ladder = match &template.quota_ladder {
        None if given.is_empty() => return Ok(Vec::new()),
        None => {
            return Err(format!(
                "quota_ladder: the template {name} takes every quota; leave it out"
            ));
        }
        Some(own) if given.is_empty() => own,
        Some(_) => given,
    };
    if ladder.is_empty() {
        return Err(format!(
            "quota_ladder is missing: the template {name} knows only rungs; write quota_ladder = \
             [{{ name = \"…\", per_minute = … }}, …]"
        ));
    }
    ladder::check(ladder)?;
    Ok(ladder.clone())
}

/// Fails where template and configuration do not name the same secrets, parameters and tables.
pub(super) fn check_names(
    template: &Template,
    inputs: &TemplateInputs,
    secrets: &Secrets,
) -> Result<(), String> {
    let name = &template.name;
    let unknown = |key: &str, given: &str, known: Vec<&str>| {
        let meant = closest_name(given, known)
            .map_or_else(String::new, |other| format!("; did you mean \"{other}\"?"));
        format!("{key}: the template {name} has no \"{given}\"{meant}")
    };
    for secret in &template.secrets {
        if secrets.get(secret).is_none() {
            return Err(format!(
                "secrets: the template {name} needs {secret}; write secrets = {{ {secret} = \
                 \"env:NAME\" }}"
            ));
        }
    }
    if let Some(given) = secrets.names().find(|given| !template.secrets.iter().any(|s| s == given))
    {
        let known = template.secrets.iter().map(String::as_str).collect();
        return Err(unknown("secrets", given, known));
    }
    for parameter in &template.required_parameters {
        if inputs.parameters.get(parameter).is_none_or(String::is_empty) {
            return Err(format!("parameters: the template {name} needs {parameter}"));
        }
    }
    let known = || template.parameters.keys().chain(&template.required_parameters);
    if let Some(given) = inputs.parameters.keys().find(|given| !known().any(|k| k == *given)) {
        return Err(unknown("parameters", given, known().map(String::as_str).collect()));
    }
    for table in &template.lookups {
        if !inputs.lookups.contains_key(table) {
            return Err(format!(
                "lookups: the template {name} needs {table}; write lookups.{table} = {{ … = … }}"
            ));
        }
    }
    match inputs.lookups.keys().find(|given| !template.lookups.contains(given)) {
        Some(given) => {
            Err(unknown("lookups", given, template.lookups.iter().map(String::as_str).collect()))
        }
        None => Ok(()),
    }
}
