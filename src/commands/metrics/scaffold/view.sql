/*---
description = "Production calls of each partner on each day, of all products and versions"
owner = "data-engineering"
grain = ["event_date", "partner_id"]
tags = ["traffic"]

[columns]
event_date = { type = "Date32" }
partner_id = { type = "Utf8" }
calls = { type = "Int64", unit = "calls" }
successes = { type = "Int64", unit = "calls", description = "Status 200 to 399" }

[[checks]]
unique = ["event_date", "partner_id"]
---*/
SELECT event_date, partner_id, sum(calls) AS calls, sum(successes) AS successes
FROM usage_day
WHERE environment = 'production'
GROUP BY event_date, partner_id
