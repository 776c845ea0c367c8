/*---
description = "Production traffic of the last 13 months, as the pages draw it"
owner = "partner-analytics"
grain = ["partner_id", "month"]
tags = ["internal"]

[columns]
partner_id = { type = "Utf8" }
month = { type = "Date32", description = "the first day; the last month may not be over" }
calls = { type = "Int64", unit = "calls" }
successes = { type = "Int64", unit = "calls" }
client_errors = { type = "Int64", unit = "calls" }
server_errors = { type = "Int64", unit = "calls" }
throttled = { type = "Int64", unit = "calls" }

[[checks]]
unique = ["partner_id", "month"]
---*/
SELECT
  partner_id,
  month_start(event_date) AS month,
  sum(calls) AS calls,
  sum(successes) AS successes,
  sum(client_errors) AS client_errors,
  sum(server_errors) AS server_errors,
  sum(throttled) AS throttled
FROM production_day
WHERE event_date >= CAST(month_start($as_of - INTERVAL '1 day') - INTERVAL '12 months' AS DATE)
GROUP BY partner_id, month_start(event_date)
ORDER BY partner_id, month
