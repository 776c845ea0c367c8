/*---
description = "Production calls of each partner on each day before as_of"
owner = "partner-analytics"
grain = ["partner_id", "event_date"]
tags = ["internal"]

[columns]
partner_id = { type = "Utf8" }
event_date = { type = "Date32" }
calls = { type = "Int64", unit = "calls" }
successes = { type = "Int64", unit = "calls" }
client_errors = { type = "Int64", unit = "calls" }
auth_failures = { type = "Int64", unit = "calls", description = "401 and 403, among client_errors" }
server_errors = { type = "Int64", unit = "calls" }
throttled = { type = "Int64", unit = "calls" }

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
  sum(server_errors) AS server_errors,
  sum(throttled) AS throttled
FROM usage_day
WHERE environment = 'production'
GROUP BY partner_id, event_date
ORDER BY partner_id, event_date
