/*---
description = "Production traffic of the last 90 days, as the pages draw it"
owner = "partner-analytics"
grain = ["partner_id", "event_date"]
tags = ["internal"]

[columns]
partner_id = { type = "Utf8" }
event_date = { type = "Date32" }
calls = { type = "Int64", unit = "calls" }
successes = { type = "Int64", unit = "calls" }
client_errors = { type = "Int64", unit = "calls" }
server_errors = { type = "Int64", unit = "calls" }
throttled = { type = "Int64", unit = "calls" }

[[checks]]
unique = ["partner_id", "event_date"]
---*/
SELECT
  partner_id,
  event_date,
  calls,
  successes,
  client_errors,
  server_errors,
  throttled
FROM production_day
WHERE event_date >= CAST($as_of - INTERVAL '90 days' AS DATE)
ORDER BY partner_id, event_date
