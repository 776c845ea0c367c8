/*---
description = "Production traffic of the last 13 weeks, as the pages draw it"
owner = "partner-analytics"
grain = ["partner_id", "week"]
tags = ["internal"]

[columns]
partner_id = { type = "Utf8" }
week = { type = "Date32", description = "the Monday; the last week may not be over" }
calls = { type = "Int64", unit = "calls" }
successes = { type = "Int64", unit = "calls" }
client_errors = { type = "Int64", unit = "calls" }
server_errors = { type = "Int64", unit = "calls" }
throttled = { type = "Int64", unit = "calls" }

[[checks]]
unique = ["partner_id", "week"]
---*/
SELECT
  partner_id,
  CAST(date_trunc('week', event_date) AS DATE) AS week,
  sum(calls) AS calls,
  sum(successes) AS successes,
  sum(client_errors) AS client_errors,
  sum(server_errors) AS server_errors,
  sum(throttled) AS throttled
FROM production_day
WHERE event_date >= CAST(date_trunc('week', $as_of - INTERVAL '1 day') - INTERVAL '84 days' AS DATE)
GROUP BY partner_id, CAST(date_trunc('week', event_date) AS DATE)
ORDER BY partner_id, week
