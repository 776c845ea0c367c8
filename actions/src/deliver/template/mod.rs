//! The template channel: an HTTP API that a TOML file describes.
//!
//! - `closing`: what ends at the target
//! - `definition`: the file
//! - `inputs`: what the channel's configuration adds to it
//! - `pattern`: texts with placeholders
//! - `ladder`: targets that know only some quotas
//! - `observation`: what an answer shows
//! - `values`: what placeholders stand for

mod closing;
mod definition;
mod inputs;
mod ladder;
mod observation;
mod pattern;
mod values;

use std::collections::BTreeMap;

use async_trait::async_trait;
use domain::{ActionKind, Setting};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use secrecy::SecretString;
use serde_json::Value;

use super::config::LookupValue;
use super::http::{Answer, Effect, HttpClient, Request, check_url, header_value};
use super::secrets::Secrets;
use super::{Channel, Delivery, DeliveryError, Idempotency, Receipt, ReportMessage, TargetIds};
use definition::Operation;
pub(crate) use definition::Template;
pub(crate) use inputs::TemplateInputs;
use inputs::{check_names, ladder_of};
pub use ladder::Rung;
use ladder::rung_for;
use observation::{Observation, ObservationError, observe, set_at};
use values::{ChannelValues, DeliveryValues};

/// A channel that follows a template.
pub(crate) struct TemplateChannel {
    name: String,
    template: Template,
    http: HttpClient,
    /// The base of all URLs, without a slash at its end.
    base: String,
    parameters: BTreeMap<String, String>,
    lookups: BTreeMap<String, BTreeMap<String, LookupValue>>,
    ladder: Vec<Rung>,
}

impl TemplateChannel {
    /// # Errors
    /// A sentence on what the template needs and the configuration lacks, or the other way round.
    pub(crate) fn new(
        name: &str,
        template: Template,
        inputs: TemplateInputs,
        secrets: Secrets,
    ) -> Result<Self, String> {
        check_names(&template, &inputs, &secrets)?;
        let ladder = ladder_of(&template, &inputs)?;
        let mut parameters = template.parameters.clone();
        parameters.extend(inputs.parameters);
        let values = ChannelValues { secrets: &secrets, parameters: &parameters };
        let base = match (&inputs.url, &template.url) {
            (Some(url), _) => url.clone(),
            (None, Some(pattern)) => pattern.text(&values)?,
            (None, None) => {
                return Err(format!(
                    "url is missing: the base of the API that the template {} is for",
                    template.name
                ));
            }
        };
        let url = check_url(&base)?;
        let http = HttpClient::new(name, &url, inputs.timeout, secrets)?;
        let base = base.trim_end_matches('/').to_owned();
        let (name, lookups) = (name.to_owned(), inputs.lookups);
        Ok(Self { name, template, http, base, parameters, lookups, ladder })
    }

    fn permanent(&self, reason: &str) -> DeliveryError {
        let reason = self.http.secrets.redact(reason);
        DeliveryError::Permanent(format!("channel \"{}\": {reason}", self.name))
    }

    /// Returns what a delivery does at the target. A report is sent again rather than not at all.
    fn effect(&self) -> Effect {
        match self.template.idempotency {
            Idempotency::None => Effect::Message,
            Idempotency::Upsert | Idempotency::Keyed | Idempotency::SearchFirst => Effect::Change,
        }
    }

    fn values<'a>(
        &'a self,
        target: &'a TargetIds,
        delivery: Option<&'a Delivery>,
    ) -> DeliveryValues<'a> {
        DeliveryValues {
            channel: ChannelValues { secrets: &self.http.secrets, parameters: &self.parameters },
            lookups: &self.lookups,
            target,
            delivery,
            captured: BTreeMap::new(),
            rung: None,
            other_rung: None,
        }
    }

    /// Sends the request of an operation and returns the answer if the target took it.
    async fn perform(
        &self,
        operation: &Operation,
        values: &DeliveryValues<'_>,
        body: Option<Value>,
        effect: Effect,
    ) -> Result<Answer, DeliveryError> {
        let request =
            self.request(operation, values, body, effect).map_err(|e| self.permanent(&e))?;
        let label = request.label.clone();
        let answer = self.http.send(request).await?;
        let is_expected = |codes: &[u16]| codes.contains(&answer.status);
        if !is_expected(&operation.keys.done) && !is_expected(&operation.keys.absent) {
            let hidden = values.target.key.as_deref();
            self.http.check(&label, &answer, &self.template.codes, hidden)?;
        }
        Ok(answer)
    }

    fn request(
        &self,
        operation: &Operation,
        values: &DeliveryValues<'_>,
        body: Option<Value>,
        effect: Effect,
    ) -> Result<Request, String> {
        let mut url = format!("{}{}", self.base, operation.path.encoded(values)?);
        let mut separator = if url.contains('?') { '&' } else { '?' };
        for (key, pattern) in &operation.query {
            // A parameter that the project leaves empty is left out.
            if pattern.text(values)?.is_empty() {
                continue;
            }
            url = format!("{url}{separator}{key}={}", pattern.encoded(values)?);
            separator = '&';
        }
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        for (name, pattern) in self.template.headers.iter().chain(&operation.headers) {
            let value = header_value(name, &SecretString::from(pattern.text(values)?))?;
            let name = HeaderName::try_from(name.as_str())
                .map_err(|_| format!("\"{name}\" is no name of a header"))?;
            headers.insert(name, value);
        }
        let body = match (body, &operation.body) {
            (Some(body), _) => Some(body),
            (None, Some(body)) => Some(body.json(values)?),
            (None, None) => None,
        };
        if body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        Ok(Request {
            label: operation.label.clone(),
            method: operation.method.clone(),
            url: Url::parse(&url).map_err(|e| format!("{} gives no URL: {e}", operation.label))?,
            headers,
            body: body.map(|body| body.to_string().into_bytes()),
            effect: if operation.method == Method::GET { Effect::Nothing } else { effect },
        })
    }

    /// Asks the target what it has.
    async fn observe(
        &self,
        operation: &Operation,
        values: &DeliveryValues<'_>,
    ) -> Result<Observation, DeliveryError> {
        let answer = self.perform(operation, values, None, Effect::Nothing).await?;
        if operation.keys.absent.contains(&answer.status) {
            return Ok(Observation::default());
        }
        let misfit = |reason: &str| DeliveryError::Retryable {
            message: format!(
                "channel \"{}\": {} was answered with {}, but {reason}",
                self.name, operation.label, answer.status
            ),
            after_seconds: None,
        };
        let body: Value = serde_json::from_slice(&answer.body)
            .map_err(|_| misfit("the answer is not JSON, or not all of it came"))?;
        observe(operation, &body, values, &self.ladder).map_err(|e| match e {
            ObservationError::Misfit(reason) => misfit(&reason),
            ObservationError::Refused(reason) => self.permanent(&reason),
        })
    }

    /// Makes the change, and removes what would stand against it.
    async fn write(
        &self,
        delivery: &Delivery,
        values: &mut DeliveryValues<'_>,
    ) -> Result<String, DeliveryError> {
        let template = &self.template;
        let mut found = Observation::default();
        let writes_what_was_read = template.write.keys.from_read;
        let needs_read = writes_what_was_read
            || template.update.is_some()
            || template.remove.is_some()
            || template.read.as_ref().is_some_and(|read| read.keys.others.is_some());
        if let Some(read) = template.read.as_ref().filter(|_| needs_read) {
            found = self.observe(read, values).await?;
        }
        values.captured = std::mem::take(&mut found.captured);
        let operation = template.update.as_ref().filter(|_| found.exists);
        let operation = operation.unwrap_or(&template.write);
        let body = if operation.keys.from_read {
            if !found.exists {
                let partner = &delivery.partner_id;
                return Err(self.permanent(&format!(
                    "the target does not have what the mapping names for partner {partner}"
                )));
            }
            let mut body = found.element;
            for (pointer, value) in &operation.set {
                let value = value.json(values).map_err(|e| self.permanent(&e))?;
                set_at(&mut body, pointer, &value).map_err(|e| self.permanent(&e))?;
            }
            Some(body)
        } else {
            None
        };
        let mut said = "nothing to write".to_owned();
        if !values.rung.is_some_and(|rung| found.rungs.iter().any(|other| other == rung)) {
            let answer = self.perform(operation, values, body, self.effect()).await?;
            let shown = self.http.secrets.shorten(&answer.body, values.target.key.as_deref());
            said = format!("{}: {} {shown}", operation.label, answer.status).trim().to_owned();
        }
        let Some(remove) = &template.remove else { return Ok(said) };
        for other in &found.rungs {
            if Some(other.as_str()) == values.rung {
                continue;
            }
            let values = DeliveryValues { other_rung: Some(other), ..values.clone() };
            self.perform(remove, &values, None, self.effect()).await?;
            said.push_str(&format!("; taken off {other}"));
        }
        Ok(said)
    }

    /// Reads back what was written.
    async fn verify(
        &self,
        delivery: &Delivery,
        values: &DeliveryValues<'_>,
        receipt: &mut Receipt,
    ) -> Result<(), DeliveryError> {
        let template = &self.template;
        let Some(read) = template.verify.as_ref().or(template.read.as_ref()) else { return Ok(()) };
        let found = match self.observe(read, values).await {
            Ok(found) => found,
            Err(error) => {
                receipt.answer.push_str(&format!("; not read back: {error}"));
                return Ok(());
            }
        };
        let tells_value = read.tells_value();
        if !found.exists || (tells_value && found.setting.is_none()) {
            return Err(DeliveryError::Ambiguous(format!(
                "channel \"{}\": {} took the change, but {} shows nothing of it",
                self.name, receipt.answer, read.label
            )));
        }
        if tells_value {
            receipt.in_force =
                found.setting.filter(|setting| Some(setting) != delivery.to.as_ref());
        }
        Ok(())
    }
}

#[async_trait]
impl Channel for TemplateChannel {
    fn name(&self) -> &str {
        &self.name
    }

    fn idempotency(&self) -> Idempotency {
        self.template.idempotency
    }

    fn can_read(&self) -> bool {
        self.template.read.as_ref().is_some_and(Operation::tells_value)
    }

    async fn read(&self, target: &TargetIds) -> Result<Option<Setting>, DeliveryError> {
        let Some(read) = self.template.read.as_ref().filter(|read| read.tells_value()) else {
            return Ok(None);
        };
        Ok(self.observe(read, &self.values(target, None)).await?.setting)
    }

    async fn find(&self, delivery: &Delivery) -> Result<Option<Receipt>, DeliveryError> {
        // What was opened is there, which does not say that it was closed.
        let find = self.template.find.as_ref().filter(|_| !delivery.resolves);
        let Some(find) = find else { return Ok(None) };
        let found = self.observe(find, &self.values(&delivery.target, Some(delivery))).await?;
        let answer = format!("{}: it is there already", find.label);
        Ok(found.exists.then_some(Receipt { answer, in_force: None }))
    }

    /// Writes the change and reads it back. A template with `[find]` is asked first whether it has
    /// the delivery already.
    async fn send(&self, delivery: &Delivery) -> Result<Receipt, DeliveryError> {
        let template = &self.template;
        if !template.actions.contains(&delivery.action) {
            return Err(self.permanent(&format!(
                "the template {} can't do {}",
                template.name, delivery.action
            )));
        }
        if let Some(receipt) = self.end(delivery).await? {
            return Ok(receipt);
        }
        if let Some(receipt) = self.find(delivery).await? {
            return Ok(receipt);
        }
        let mut values = self.values(&delivery.target, Some(delivery));
        let mut receipt = Receipt { answer: String::new(), in_force: None };
        if let (Some(Setting::Quota { per_minute }), false) = (&delivery.to, self.ladder.is_empty())
        {
            let from = match &delivery.from {
                Some(Setting::Quota { per_minute }) => Some(*per_minute),
                _ => None,
            };
            let rung = rung_for(&self.ladder, from, *per_minute).map_err(|e| self.permanent(&e))?;
            values.rung = Some(&rung.name);
            let setting = Setting::Quota { per_minute: rung.per_minute };
            receipt.in_force = (rung.per_minute != *per_minute).then_some(setting);
        }
        receipt.answer = self.write(delivery, &mut values).await?;
        self.verify(delivery, &values, &mut receipt).await?;
        Ok(receipt)
    }

    fn carries_reports(&self) -> bool {
        self.template.report.is_some()
    }

    async fn send_report(&self, report: &ReportMessage) -> Result<Receipt, DeliveryError> {
        let Some(operation) = &self.template.report else {
            let name = &self.template.name;
            return Err(self.permanent(&format!("the template {name} has no [report]")));
        };
        let notice = as_notice(report);
        let values = self.values(&notice.target, Some(&notice));
        let answer = self.perform(operation, &values, None, Effect::Change).await?;
        let shown = self.http.secrets.shorten(&answer.body, None);
        let answer = format!("{}: {} {shown}", operation.label, answer.status).trim().to_owned();
        Ok(Receipt { answer, in_force: None })
    }
}

/// Returns a report as a notice about no partner, which the placeholders of a template can name.
fn as_notice(report: &ReportMessage) -> Delivery {
    Delivery {
        key: report.key.clone(),
        action: ActionKind::Notify,
        partner_id: String::new(),
        name: None,
        target: TargetIds::default(),
        from: None,
        to: None,
        summary: report.subject.clone(),
        details: report.text.clone(),
        episode: None,
        resolves: false,
        created_at: report.created_at,
    }
}

impl Operation {
    /// Whether its answer shows a value in force.
    fn tells_value(&self) -> bool {
        let keys = &self.keys;
        keys.value.is_some() || keys.rung.is_some() || keys.support.is_some()
    }
}
