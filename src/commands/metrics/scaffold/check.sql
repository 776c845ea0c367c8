/*---
description = "Partners with more successes than calls on a day: there must be none"
owner = "data-engineering"
grain = ["event_date", "partner_id"]
tags = ["traffic"]

[columns]
event_date = { type = "Date32" }
partner_id = { type = "Utf8" }
calls = { type = "Int64", unit = "calls" }
successes = { type = "Int64", unit = "calls" }
---*/
SELECT event_date, partner_id, sum(calls) AS calls, sum(successes) AS successes
FROM usage_day
GROUP BY event_date, partner_id
HAVING sum(successes) > sum(calls)
ORDER BY event_date, partner_id
