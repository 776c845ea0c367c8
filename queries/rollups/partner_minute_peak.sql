/*---
description = "The most calls a partner made in one UTC minute of a day"
owner = "partner-analytics"
grain = ["event_date", "partner_id", "environment"]
tags = ["traffic", "quota"]
reads = { api_calls = "same" }

[columns]
event_date = { type = "Date32" }
partner_id = { type = "Utf8", description = "as sent; of merged partners the greater peak counts" }
environment = { type = "Utf8" }
peak = { type = "Int64", unit = "calls", description = "calls of any status in the fullest UTC minute" }

[[checks]]
unique = ["event_date", "partner_id", "environment"]
---*/
SELECT event_date, partner_id, environment, max(calls) AS peak
FROM (
  SELECT event_date, partner_id, environment, count(*) AS calls
  FROM api_calls
  GROUP BY event_date, partner_id, environment, date_trunc('minute', occurred_at)
) AS minutes
GROUP BY event_date, partner_id, environment
ORDER BY event_date, partner_id, environment
