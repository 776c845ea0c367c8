/*---
description = "Production calls of each partner on each date before as_of, added once for all queries of a score"
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
  sum(calls) AS calls,
  sum(successes) AS successes,
  sum(client_errors) AS client_errors,
  sum(auth_failures) AS auth_failures,
  sum(throttled) AS throttled,
  sum(server_errors) AS server_errors
FROM usage_day
WHERE environment = 'production'
GROUP BY partner_id, event_date
ORDER BY partner_id, event_date
