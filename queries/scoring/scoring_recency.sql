/*---
description = "How long ago each partner called before each evaluation day, and how much: the two baselines that a score must beat"
owner = "partner-analytics"
grain = ["day", "partner_id"]
tags = ["internal"]

[columns]
day = { type = "Date32", description = "evaluation day" }
partner_id = { type = "Utf8", description = "with production calls in the 196 dates before day" }
days_since_last_call = { type = "Int64", unit = "days", description = "from the last date with a production call to day; 1 is the date before" }
calls_a_day = { type = "Float64", unit = "calls", description = "production calls a day of the last 28 dates" }

[[checks]]
unique = ["day", "partner_id"]
[[checks]]
sql = "SELECT * FROM this WHERE days_since_last_call < 1 OR calls_a_day < 0"
---*/
SELECT
  day,
  partner_id,
  min(age) AS days_since_last_call,
  COALESCE(CAST(sum(calls) FILTER (WHERE age <= 28) AS DOUBLE), 0) / 28 AS calls_a_day
FROM traffic_window
GROUP BY day, partner_id
ORDER BY day, partner_id
