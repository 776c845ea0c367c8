/*---
description = "What a partner was billed on a day, in the currencies it was billed in; rates are applied when it is read"
owner = "partner-analytics"
grain = ["event_date", "partner_id", "product", "kind", "currency"]
tags = ["revenue"]
reads = { billing_events = "same" }

[columns]
event_date = { type = "Date32" }
partner_id = { type = "Utf8", description = "as sent; merges are applied when it is read" }
product = { type = "Utf8" }
kind = { type = "Utf8", description = "usage, subscription, commission, credit, refund, payment_failed or payment_succeeded" }
currency = { type = "Utf8", description = "ISO 4217" }
events = { type = "Int64", unit = "events" }
amount_minor = { type = "Decimal(38, 0)", unit = "minor units of the currency", description = "positive for credits and refunds too; of payments what was due" }
units = { type = "Decimal(38, 0)", unit = "units" }

[[checks]]
unique = ["event_date", "partner_id", "product", "kind", "currency"]
---*/
SELECT
  event_date,
  partner_id,
  product,
  kind,
  currency,
  count(*) AS events,
  checked_sum(amount_minor) AS amount_minor,
  checked_sum(units) AS units
FROM billing_events
GROUP BY event_date, partner_id, product, kind, currency
ORDER BY event_date, partner_id, product, kind, currency
