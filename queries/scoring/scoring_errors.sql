/*---
description = "Alarm dates of error_trend and client errors of each partner in the 28 days before each evaluation day: of all four weeks, and without each one of them"
owner = "partner-analytics"
grain = ["day", "partner_id", "left_out"]
tags = ["internal"]

[columns]
day = { type = "Date32", description = "evaluation day" }
partner_id = { type = "Utf8", description = "with a production call in the weeks that are counted" }
left_out = { type = "Int64", description = "0: no week; 1 to 4: the week that is not counted, 1 being the last seven days" }
alarm_days = { type = "Int64", unit = "days" }
measured_days = { type = "Int64", unit = "days", description = "dates with calls and a baseline" }
calls = { type = "Int64", unit = "calls" }
client_errors = { type = "Int64", unit = "calls", description = "400 ≤ status < 500, not 429" }

[[checks]]
unique = ["day", "partner_id", "left_out"]
[[checks]]
sql = "SELECT * FROM this WHERE alarm_days > measured_days OR measured_days > 28 OR client_errors > calls OR calls < 1"
---*/
WITH weekly AS (
  SELECT
    day,
    partner_id,
    (age + 6) / 7 AS week,
    count(*) FILTER (WHERE alarm) AS alarm_days,
    count(baseline_rate) AS measured_days,
    sum(calls) AS calls,
    sum(client_errors) AS client_errors
  FROM error_alarm_day
  WHERE age <= 28
  GROUP BY day, partner_id, (age + 6) / 7
)
SELECT
  w.day,
  w.partner_id,
  o.value AS left_out,
  sum(w.alarm_days) AS alarm_days,
  sum(w.measured_days) AS measured_days,
  sum(w.calls) AS calls,
  sum(w.client_errors) AS client_errors
FROM generate_series(0, 4) AS o
CROSS JOIN weekly AS w
WHERE w.week <> o.value
GROUP BY w.day, w.partner_id, o.value
ORDER BY w.day, w.partner_id, o.value
