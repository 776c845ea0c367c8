//! Compiles a program and runs it on one record.

use std::cell::RefCell;

use domain::{Position, closest_name};
use jaq_core::data::{DataT, HasLut};
use jaq_core::load::{self, Arena, File, Loader, lex};
use jaq_core::{Compiler, Ctx, Filter, Lut, Vars, compile};
use jaq_json::{Map, Val};

use super::budget::{Budget, Limit, MAX_STEPS, with_room};
use super::error::MappingError;
use super::functions::{self, LIBRARY};
use super::json::{self, UnreadableJson};
use super::quiet_panic;
use super::{Mapped, MappingContext, MappingFailure, MappingInput};
use crate::decode::{MAX_RECORD_BYTES, RejectReason, Rejection, not_utf8, reject, too_large};

/// The variables of a program, in the order in which [`variables`] gives their values.
const VARIABLES: [&str; 5] = ["$key", "$headers", "$topic", "$position", "$arrival"];

/// How much of an error's message is kept, in bytes.
const MAX_MESSAGE_BYTES: usize = 4096;

/// What a program runs on: jq's values, and the budget of the run.
pub(super) struct Run;

/// The data that all functions of a run see.
pub(super) struct RunData<'a> {
    lut: &'a Lut<Run>,
    budget: &'a Budget,
    pseudonym: &'a dyn Fn(&str) -> String,
    /// What the program said last of why it leaves the record out.
    left_out: &'a RefCell<Option<String>>,
}

impl Clone for RunData<'_> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl RunData<'_> {
    pub(super) fn step(&self) {
        self.budget.step();
    }

    pub(super) fn pseudonym(&self, credential: &str) -> String {
        (self.pseudonym)(credential)
    }

    pub(super) fn note_left_out(&self, why: &str) {
        *self.left_out.borrow_mut() = Some(why.to_owned());
    }
}

impl DataT for Run {
    type V<'a> = Val;
    type Data<'a> = RunData<'a>;
}

impl<'a> HasLut<'a, Run> for RunData<'a> {
    fn lut(&self) -> &'a Lut<Run> {
        self.budget.step();
        self.lut
    }
}

/// A compiled program.
pub(super) struct Program {
    filter: Filter<Run>,
}

impl Program {
    pub(super) fn compile(name: &str, source: &str) -> Result<Self, MappingError> {
        let compiled = quiet_panic::catch(|| with_room(|| compile(source)));
        let broken = || (0, "the program can't be compiled".to_owned());
        let filter = compiled.unwrap_or_else(|_| Err(broken())).map_err(|(offset, message)| {
            let position = Position::at_offset(source, offset);
            MappingError::Program { name: name.to_owned(), position, message }
        })?;
        Ok(Self { filter })
    }

    /// Runs the program on the value of one record.
    pub(super) fn run(
        &self,
        value: &[u8],
        input: MappingInput,
        source: &str,
        context: &MappingContext<'_>,
    ) -> Result<Mapped, Box<MappingFailure>> {
        if value.len() > MAX_RECORD_BYTES {
            return Err(too_large(value).into());
        }
        let text = simdutf8::basic::from_utf8(value).map_err(|_| not_utf8(value))?;
        with_room(|| {
            let input = match input {
                MappingInput::Json => json::parse(text).map_err(unreadable)?,
                MappingInput::Text => Val::from(text.to_owned()),
            };
            // Nothing of a run outlives it.
            match quiet_panic::catch(|| self.outcome(input, context)) {
                Ok(outcome) => outcome.map_err(|error| error.into_failure(source)),
                Err(panic) => Err(failed(match panic.downcast_ref() {
                    Some(Limit::Steps) => format!("the mapping takes more than {MAX_STEPS} steps"),
                    Some(Limit::Recursion) => "the mapping recurses too deeply".to_owned(),
                    None => "the mapping came upon a fault of the jq interpreter".to_owned(),
                })
                .into()),
            }
        })
    }

    /// Takes the program's outputs, of which there may be one.
    fn outcome(&self, input: Val, context: &MappingContext<'_>) -> Result<Mapped, RunError> {
        let (budget, left_out) = (Budget::new(), RefCell::new(None));
        let data = RunData {
            lut: &self.filter.lut,
            budget: &budget,
            pseudonym: context.pseudonym,
            left_out: &left_out,
        };
        let ctx = Ctx::<Run>::new(data, Vars::new(variables(context)));
        let mut outputs = self.filter.id.run((ctx, input)).map(|output| {
            output.map_err(|exception| match exception.get_err() {
                Ok(error) => RunError::Jq(error.into_val()),
                Err(_) => RunError::Event("the mapping leaves a loop that it is not in"),
            })
        });
        let Some(first) = outputs.next() else {
            return Ok(Mapped::Skipped { why: left_out.take() });
        };
        let event = first?;
        if let Some(second) = outputs.next() {
            second?;
            return Err(RunError::Event("the mapping gives more than one event"));
        }
        let mut text = String::new();
        json::write(&event, &mut text).map_err(RunError::Event)?;
        if text.len() > MAX_RECORD_BYTES {
            return Err(RunError::Event("the event is longer than 1 MiB"));
        }
        Ok(Mapped::Event(text))
    }
}

/// Why a run gives no event.
enum RunError {
    /// The value of an error, which may quote the record.
    Jq(Val),
    /// A sentence that quotes nothing.
    Event(&'static str),
}

impl RunError {
    /// Only a message that the program holds as a whole string is shown in the clear.
    fn into_failure(self, source: &str) -> Box<MappingFailure> {
        let value = match self {
            Self::Event(detail) => return failed(detail.to_owned()).into(),
            Self::Jq(value) => value,
        };
        let mut message = match &value {
            Val::TStr(text) => String::from_utf8_lossy(text).into_owned(),
            other => {
                // It ends where an event would be too long.
                let mut text = String::new();
                let _ = json::write(other, &mut text);
                text
            }
        };
        let literal = serde_json::Value::from(message.as_str()).to_string();
        let is_in = |source: &str| source.contains(&literal) || LIBRARY.contains(&literal);
        if matches!(value, Val::TStr(_)) && !message.is_empty() && is_in(source) {
            return failed(format!("the mapping rejects it: {message}")).into();
        }
        message.truncate(message.floor_char_boundary(MAX_MESSAGE_BYTES));
        let detail = "the mapping ends with an error, whose message is sealed with the record";
        let rejection = failed(detail.to_owned());
        Box::new(MappingFailure { rejection, message: Some(message) })
    }
}

fn failed(detail: String) -> Rejection {
    reject(RejectReason::MappingFailed, None, detail)
}

fn unreadable(why: UnreadableJson) -> Rejection {
    match why {
        UnreadableJson::NotJson(detail) => reject(RejectReason::NotJson, None, detail),
        UnreadableJson::TooDeep => failed(format!(
            "the record is nested deeper than the {} levels that a mapping takes",
            json::MAX_DEPTH
        )),
    }
}

impl From<Rejection> for Box<MappingFailure> {
    fn from(rejection: Rejection) -> Self {
        Self::new(MappingFailure { rejection, message: None })
    }
}

/// Returns the values of [`VARIABLES`].
fn variables(context: &MappingContext<'_>) -> [Val; 5] {
    let text = |bytes: &[u8]| Val::from(String::from_utf8_lossy(bytes).into_owned());
    let headers: Map = context
        .headers
        .iter()
        .map(|(name, value)| (Val::from(name.clone()), value.as_deref().map_or(Val::Null, text)))
        .collect();
    let arrival = chrono::DateTime::from_timestamp_micros(context.arrival).unwrap_or_default();
    [
        context.key.map_or(Val::Null, text),
        Val::obj(headers),
        Val::from(context.topic.to_owned()),
        Val::from(context.position.to_owned()),
        Val::from(arrival.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)),
    ]
}

/// Compiles a program. Fails with the byte where something is wrong, and what.
fn compile(source: &str) -> Result<Filter<Run>, (usize, String)> {
    let arena = Arena::default();
    let file = File { code: source, path: () };
    let modules = Loader::new(functions::definitions()).load(&arena, file).map_err(|errors| {
        let errors = errors.into_iter().flat_map(|(_, error)| load_errors(source, error));
        first(errors)
    })?;
    load::import(&modules, |import| Err(import.path.to_string())).map_err(|errors| {
        first(errors.into_iter().flat_map(|(_, error)| load_errors(source, error)))
    })?;
    Compiler::default()
        .with_funs(functions::natives())
        .with_global_vars(VARIABLES)
        .compile(modules)
        .map_err(|errors| {
            let undefined = errors.into_iter().flat_map(|(_, errors)| errors);
            first(undefined.map(|(found, what)| {
                (load::span(source, found).start, undefined_message(found, &what))
            }))
        })
}

/// Returns the first of the errors in the program.
fn first(errors: impl Iterator<Item = (usize, String)>) -> (usize, String) {
    errors.min_by_key(|(offset, _)| *offset).unwrap_or_default()
}

fn load_errors(source: &str, error: load::Error<&str>) -> Vec<(usize, String)> {
    let at = |found: &str| load::span(source, found).start;
    let instead = |found: &str| match found.chars().next() {
        None => "the program ends here".to_owned(),
        Some(_) => format!("here is {:?}", found.chars().take(20).collect::<String>()),
    };
    match error {
        load::Error::Io(files) => {
            let message = "a mapping is one file; it can't import or include another";
            files.into_iter().map(|(path, _)| (at(path), message.to_owned())).collect()
        }
        load::Error::Lex(errors) => errors
            .into_iter()
            .map(|(expected, found)| {
                let (start, open) = match &expected {
                    lex::Expect::Delim(open) => (at(open), format!(" for {open:?}")),
                    _ => (at(found), String::new()),
                };
                let found = &found[..found.ceil_char_boundary(1)];
                let what = expected.as_str();
                (start, format!("{what} expected{open}, but {}", instead(found)))
            })
            .collect(),
        load::Error::Parse(errors) => errors
            .into_iter()
            .map(|(expected, found)| {
                let what = expected.as_str();
                (at(found), format!("{what} expected, but {}", instead(found)))
            })
            .collect(),
    }
}

fn undefined_message(found: &str, what: &compile::Undefined) -> String {
    if let Some(why) = functions::why_forbidden(found) {
        return format!("{found} is not available: {why}");
    }
    let closest = match what {
        compile::Undefined::Var => closest_name(found, VARIABLES).map(str::to_owned),
        compile::Undefined::Filter(_) => closest_name(found, functions::names()).map(str::to_owned),
        _ => None,
    };
    let arguments = match what {
        compile::Undefined::Filter(n @ 1..) => format!(" with {n} arguments"),
        _ => String::new(),
    };
    let what = match what {
        compile::Undefined::Filter(_) => "function",
        other => other.as_str(),
    };
    match closest.filter(|closest| closest != found) {
        Some(closest) => {
            format!("there is no {what} {found}{arguments}; did you mean {closest}?")
        }
        None => format!("there is no {what} {found}{arguments}"),
    }
}
