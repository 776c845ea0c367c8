//! A template as its TOML file defines it, checked.

use std::collections::BTreeMap;
use std::path::Path;

use domain::{ActionKind, toml_error};
use include_dir::{Dir, include_dir};
use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;

use super::super::Idempotency;
use super::super::http::StatusCodes;
use super::ladder::{self, Rung};
use super::pattern::{Body, Pattern, check_name};

/// The templates that Rapport has.
static BUILT_IN: Dir = include_dir!("$CARGO_MANIFEST_DIR/templates");

/// A template.
#[derive(Debug)]
pub(crate) struct Template {
    /// The name in messages.
    pub(super) name: String,
    pub(super) actions: Vec<ActionKind>,
    pub(super) idempotency: Idempotency,
    /// The base of the API, where the channel states none.
    pub(super) url: Option<Pattern>,
    /// The names of the secrets that the channel must have.
    pub(super) secrets: Vec<String>,
    pub(super) parameters: BTreeMap<String, String>,
    pub(super) required_parameters: Vec<String>,
    /// The tables that the channel must have.
    pub(super) lookups: Vec<String>,
    /// `Some` where the target knows only rungs; an empty one is stated by the channel.
    pub(super) quota_ladder: Option<Vec<Rung>>,
    pub(super) headers: Vec<(String, Pattern)>,
    pub(super) codes: StatusCodes,
    pub(super) read: Option<Operation>,
    pub(super) write: Operation,
    /// What is done instead of `write` where `read` finds something.
    pub(super) update: Option<Operation>,
    /// What takes the partner off another rung.
    pub(super) remove: Option<Operation>,
    pub(super) verify: Option<Operation>,
    pub(super) find: Option<Operation>,
    /// What closes the incident of an episode.
    pub(super) resolve: Option<Operation>,
    /// What takes a support route away without another one in its place.
    pub(super) clear: Option<Operation>,
    /// What brings a report to people.
    pub(super) report: Option<Operation>,
}

/// One request of a template, and how its answer is read.
#[derive(Debug)]
pub(super) struct Operation {
    /// The method and the path, as the template has them.
    pub(super) label: String,
    pub(super) method: Method,
    pub(super) path: Pattern,
    pub(super) query: Vec<(String, Pattern)>,
    pub(super) headers: Vec<(String, Pattern)>,
    pub(super) body: Option<Body>,
    /// The values that are set in the JSON that was read, by pointer.
    pub(super) set: Vec<(String, Body)>,
    pub(super) conditions: Vec<(String, Pattern)>,
    pub(super) keys: AnswerKeys,
}

/// How an answer is read: the keys of an operation that hold no placeholders.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AnswerKeys {
    /// Pointers of a list; the first that the answer has counts. Without one, the answer itself is
    /// the element.
    pub(super) list: Vec<String>,
    /// Pointers that must be empty in an element that is meant.
    pub(super) where_empty: Vec<String>,
    /// Why a list that holds only other elements is a reason to stop.
    pub(super) others: Option<String>,
    /// The pointer of the calls a minute.
    pub(super) value: Option<String>,
    /// The pointer of the seconds that the value is for, where it is not a minute.
    pub(super) per_seconds: Option<String>,
    /// The pointer of the name of a rung.
    pub(super) rung: Option<String>,
    pub(super) support: Option<SupportPointers>,
    /// Pointers of what later requests need.
    pub(super) capture: BTreeMap<String, String>,
    /// Codes that say that there is nothing.
    pub(super) absent: Vec<u16>,
    /// Codes that say that nothing is left to do.
    pub(super) done: Vec<u16>,
    /// Pointers that must be empty, each with the sentence that says why.
    pub(super) refuse: BTreeMap<String, String>,
    /// The body is what was read, with `set`.
    pub(super) from_read: bool,
}

/// Where a support route is read.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SupportPointers {
    pub(super) queue: String,
    pub(super) priority: String,
    pub(super) sla_hours: String,
}

/// The file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TemplateFile {
    actions: Vec<ActionKind>,
    idempotency: Idempotency,
    url: Option<String>,
    #[serde(default)]
    secrets: Vec<String>,
    #[serde(default)]
    parameters: BTreeMap<String, String>,
    #[serde(default)]
    required_parameters: Vec<String>,
    #[serde(default)]
    lookups: Vec<String>,
    quota_ladder: Option<Vec<Rung>>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    codes: StatusCodes,
    read: Option<OperationFile>,
    write: OperationFile,
    update: Option<OperationFile>,
    remove: Option<OperationFile>,
    verify: Option<OperationFile>,
    find: Option<OperationFile>,
    resolve: Option<OperationFile>,
    clear: Option<OperationFile>,
    report: Option<OperationFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OperationFile {
    method: String,
    path: String,
    #[serde(default)]
    query: BTreeMap<String, String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<Value>,
    #[serde(default)]
    set: BTreeMap<String, Value>,
    /// Pointers with what an element that is meant has there.
    #[serde(default, rename = "where")]
    conditions: BTreeMap<String, String>,
    #[serde(default)]
    answer: AnswerKeys,
}

impl Template {
    /// Returns a template that Rapport has, or reads one of the project's own, whose path ends
    /// with `.toml`.
    ///
    /// # Errors
    /// A sentence that names the file and what is wrong in it.
    pub(crate) fn find(name: &str, folder: &Path) -> Result<Self, String> {
        if name.ends_with(".toml") {
            let path = folder.join(name);
            let text = std::fs::read_to_string(&path)
                .map_err(|e| format!("the template {} can't be read: {e}", path.display()))?;
            return Self::parse(name, &text);
        }
        let Some(text) = BUILT_IN.get_file(format!("{name}.toml")).and_then(|f| f.contents_utf8())
        else {
            let names = Self::names();
            let meant = domain::closest_name(name, names.iter().map(String::as_str))
                .map_or_else(String::new, |other| format!(" Did you mean \"{other}\"?"));
            return Err(format!(
                "there is no template \"{name}\".{meant} There are {}; the path of one of your own \
                 ends with .toml",
                names.join(", ")
            ));
        };
        Self::parse(name, text)
    }

    /// Returns the names of the templates that Rapport has.
    pub(crate) fn names() -> Vec<String> {
        let names = BUILT_IN.files().filter_map(|file| {
            let name = file.path().to_str()?.strip_suffix(".toml")?;
            (!name.ends_with(".exchange")).then(|| name.to_owned())
        });
        let mut names: Vec<String> = names.collect();
        names.sort_unstable();
        names
    }

    /// # Errors
    /// A sentence with the position.
    pub(super) fn parse(name: &str, text: &str) -> Result<Self, String> {
        let file: TemplateFile = toml::from_str(text).map_err(|e| {
            let (position, what) = toml_error(text, e.span(), e.message());
            format!("the template {name}:{position}: {what}")
        })?;
        let in_template = |reason: String| format!("the template {name}: {reason}");
        let template = Self {
            name: name.to_owned(),
            actions: file.actions,
            idempotency: file.idempotency,
            url: file.url.as_deref().map(Pattern::parse).transpose().map_err(in_template)?,
            secrets: file.secrets,
            parameters: file.parameters,
            required_parameters: file.required_parameters,
            lookups: file.lookups,
            quota_ladder: file.quota_ladder,
            headers: patterns(file.headers).map_err(in_template)?,
            codes: file.codes,
            read: file.read.map(Operation::parse).transpose().map_err(in_template)?,
            write: Operation::parse(file.write).map_err(in_template)?,
            update: file.update.map(Operation::parse).transpose().map_err(in_template)?,
            remove: file.remove.map(Operation::parse).transpose().map_err(in_template)?,
            verify: file.verify.map(Operation::parse).transpose().map_err(in_template)?,
            find: file.find.map(Operation::parse).transpose().map_err(in_template)?,
            resolve: file.resolve.map(Operation::parse).transpose().map_err(in_template)?,
            clear: file.clear.map(Operation::parse).transpose().map_err(in_template)?,
            report: file.report.map(Operation::parse).transpose().map_err(in_template)?,
        };
        template.check().map_err(in_template)?;
        Ok(template)
    }

    fn operations(&self) -> impl Iterator<Item = &Operation> {
        let Self { read, update, remove, verify, find, resolve, clear, report, .. } = self;
        let optional = [read, update, remove, verify, find, resolve, clear, report];
        optional.into_iter().flatten().chain([&self.write])
    }

    fn check(&self) -> Result<(), String> {
        if self.actions.is_empty() {
            return Err("actions is empty; name at least one".to_owned());
        }
        if self.idempotency == Idempotency::SearchFirst && self.find.is_none() {
            return Err("idempotency = \"search_first\" needs [find]".to_owned());
        }
        let needs_read = [&self.update, &self.remove].iter().any(|operation| operation.is_some())
            || self.operations().any(|operation| operation.keys.from_read);
        if needs_read && self.read.is_none() {
            return Err("[update], [remove] and from_read need [read]".to_owned());
        }
        ladder::check(self.quota_ladder.as_deref().unwrap_or_default())?;
        let captured = self.operations().flat_map(|operation| operation.keys.capture.keys());
        let parameters = self.parameters.keys().chain(&self.required_parameters);
        let names: Vec<String> = (self.secrets.iter().map(|name| format!("secret.{name}")))
            .chain(parameters.map(|name| format!("parameter.{name}")))
            .chain(captured.map(|name| format!("captured.{name}")))
            .collect();
        let of_template = self.url.iter().chain(self.headers.iter().map(|(_, pattern)| pattern));
        for pattern in of_template.chain(self.operations().flat_map(Operation::patterns)) {
            pattern.names().try_for_each(|name| check_name(name, &names))?;
            if let Some(table) = pattern.lookups().find(|t| !self.lookups.iter().any(|o| o == t)) {
                return Err(format!("lookup:{table} needs \"{table}\" in lookups"));
            }
        }
        Ok(())
    }
}

impl Operation {
    fn parse(file: OperationFile) -> Result<Self, String> {
        let method = match file.method.as_str() {
            "GET" => Method::GET,
            "POST" => Method::POST,
            "PUT" => Method::PUT,
            "PATCH" => Method::PATCH,
            "DELETE" => Method::DELETE,
            other => {
                return Err(format!(
                    "there is no method {other}; there are GET, POST, PUT, PATCH and DELETE"
                ));
            }
        };
        if !file.path.is_empty() && !file.path.starts_with('/') {
            return Err(format!("the path \"{}\" begins with /", file.path));
        }
        if file.path.contains(['?', '#']) {
            return Err(format!("the path \"{}\" has no ?; write query = {{ … }}", file.path));
        }
        if file.set.keys().chain(file.conditions.keys()).any(|pointer| !pointer.starts_with('/')) {
            return Err("a JSON pointer begins with /".to_owned());
        }
        let set = file.set.iter().map(|(at, value)| Ok((at.clone(), Body::parse(value)?)));
        Ok(Self {
            label: format!("{method} {}", file.path).trim().to_owned(),
            method,
            path: Pattern::parse(&file.path)?,
            query: patterns(file.query)?,
            headers: patterns(file.headers)?,
            body: file.body.as_ref().map(Body::parse).transpose()?,
            set: set.collect::<Result<_, String>>()?,
            conditions: patterns(file.conditions)?,
            keys: file.answer,
        })
    }

    fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        let pairs = self.query.iter().chain(&self.headers).chain(&self.conditions);
        let bodies = self.body.iter().chain(self.set.iter().map(|(_, body)| body));
        [&self.path].into_iter().chain(pairs.map(|(_, p)| p)).chain(bodies.flat_map(Body::patterns))
    }
}

fn patterns(texts: BTreeMap<String, String>) -> Result<Vec<(String, Pattern)>, String> {
    texts.into_iter().map(|(key, text)| Ok((key, Pattern::parse(&text)?))).collect()
}
