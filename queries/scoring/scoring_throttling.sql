/*---
description = "Throttled calls of each partner in the 28 days before each evaluation day: of all four weeks, and without each one of them"
owner = "partner-analytics"
grain = ["day", "partner_id", "left_out"]
tags = ["internal"]

[columns]
day = { type = "Date32", description = "evaluation day" }
partner_id = { type = "Utf8", description = "with a production call in the weeks that are counted" }
left_out = { type = "Int64", description = "0: no week; 1 to 4: the week that is not counted, 1 being the last seven days" }
throttled = { type = "Int64", unit = "calls", description = "429" }
calls = { type = "Int64", unit = "calls" }

[[checks]]
unique = ["day", "partner_id", "left_out"]
[[checks]]
sql = "SELECT * FROM this WHERE throttled > calls OR calls <= 0"
---*/
WITH weekly AS (
  SELECT
    day,
    partner_id,
    (age + 6) / 7 AS week,
    sum(throttled) AS throttled,
    sum(calls) AS calls
  FROM traffic_window
  WHERE age <= 28
  GROUP BY day, partner_id, (age + 6) / 7
)
SELECT
  w.day,
  w.partner_id,
  o.value AS left_out,
  sum(w.throttled) AS throttled,
  sum(w.calls) AS calls
FROM generate_series(0, 4) AS o
CROSS JOIN weekly AS w
WHERE w.week <> o.value
GROUP BY w.day, w.partner_id, o.value
ORDER BY w.day, w.partner_id, o.value
