/*---
description = "production_day, added once for all queries of a score"
owner = "partner-analytics"
grain = ["partner_id", "event_date"]
tags = ["internal"]
keep = true

[columns]
partner_id = { type = "Utf8" }
event_date = { type = "Date32" }
calls = { type = "Int64", unit = "calls" }
successes = { type = "Int64", unit = "calls", description = "200 ≤ status < 400" }
client_errors = { type = "Int64", unit = "calls", description = "400 ≤ status < 500, not 429" }
auth_failures = { type = "Int64", unit = "calls", description = "401 and 403, among client_errors" }
throttled = { type = "Int64", unit = "calls", description = "429" }
server_errors = { type = "Int64", unit = "calls", description = "status ≥ 500" }

[[checks]]
unique = ["partner_id", "event_date"]
---*/
SELECT
  partner_id,
  event_date,
  calls,
  successes,
  client_errors,
  auth_failures,
  throttled,
  server_errors
FROM production_day
ORDER BY partner_id, event_date
