//! What ends at a target: incidents are closed, and routes are cleared.

use domain::ActionKind;
use domain::format::plain_setting;

use super::super::{Delivery, DeliveryError, Receipt};
use super::TemplateChannel;
use super::definition::Operation;
use super::values::DeliveryValues;

impl TemplateChannel {
    /// Ends what a delivery says is over; `None` where the template writes it like everything else.
    pub(super) async fn end(&self, delivery: &Delivery) -> Result<Option<Receipt>, DeliveryError> {
        if !delivery.resolves {
            return Ok(None);
        }
        let is_notice = delivery.action == ActionKind::Notify;
        match (&self.template.clear, &self.template.resolve) {
            (Some(clear), _) if !is_notice => self.clear(clear, delivery).await.map(Some),
            (_, Some(resolve)) => self.resolve(resolve, delivery).await.map(Some),
            (_, None) if is_notice => Ok(Some(nothing("close", "the template has no [resolve]"))),
            (_, None) => Ok(None),
        }
    }

    /// Closes what was opened for the episode.
    async fn resolve(
        &self,
        resolve: &Operation,
        delivery: &Delivery,
    ) -> Result<Receipt, DeliveryError> {
        if delivery.episode.is_none() {
            return Ok(nothing("close", "the delivery has no episode"));
        }
        let mut values = self.values(&delivery.target, Some(delivery));
        if let Some(find) = &self.template.find {
            let found = self.observe(find, &values).await?;
            if !found.exists {
                return Ok(nothing("close", "the target has nothing of this episode"));
            }
            values.captured = found.captured;
        }
        let answer = self.ended(resolve, &values).await?;
        Ok(Receipt { answer, in_force: None })
    }

    /// Takes away what was set, unless somebody else set another value since, and reads back that it
    /// is gone.
    async fn clear(
        &self,
        clear: &Operation,
        delivery: &Delivery,
    ) -> Result<Receipt, DeliveryError> {
        let template = &self.template;
        let mut values = self.values(&delivery.target, Some(delivery));
        if let Some(read) = &template.read {
            let found = self.observe(read, &values).await?;
            if !found.exists || read.tells_value() && found.setting.is_none() {
                return Ok(nothing("clear", "the target has nothing of it"));
            }
            if delivery.from.is_some() && found.setting.is_some() && found.setting != delivery.from
            {
                let (found, ours) = (found.setting.as_ref(), delivery.from.as_ref());
                return Err(self.permanent(&format!(
                    "the target has {} and not {}: somebody else changed it; take it away there",
                    plain_setting(found),
                    plain_setting(ours)
                )));
            }
            values.captured = found.captured;
        }
        let mut answer = self.ended(clear, &values).await?;
        if let Some(read) = template.verify.as_ref().or(template.read.as_ref()) {
            match self.observe(read, &values).await {
                Ok(found) if found.setting.is_some() => {
                    return Err(DeliveryError::Ambiguous(format!(
                        "channel \"{}\": {answer} took the change, but {} shows what was to go",
                        self.name, read.label
                    )));
                }
                Ok(_) => {}
                Err(error) => answer.push_str(&format!("; not read back: {error}")),
            }
        }
        Ok(Receipt { answer, in_force: None })
    }

    /// Sends the request of an end and returns what was answered.
    async fn ended(
        &self,
        operation: &Operation,
        values: &DeliveryValues<'_>,
    ) -> Result<String, DeliveryError> {
        let answer = self.perform(operation, values, None, self.effect()).await?;
        let shown = self.http.secrets.shorten(&answer.body, values.target.key.as_deref());
        Ok(format!("{}: {} {shown}", operation.label, answer.status).trim().to_owned())
    }
}

fn nothing(verb: &str, why: &str) -> Receipt {
    Receipt { answer: format!("nothing to {verb}: {why}"), in_force: None }
}
