/*---
description = "The 90 dates before each evaluation day of the partners for which error_trend has an alarm there: what incidents are told from"
owner = "partner-analytics"
grain = ["day", "partner_id", "event_date"]
tags = ["internal"]

[columns]
day = { type = "Date32", description = "evaluation day" }
partner_id = { type = "Utf8", description = "with an alarm on at least one of the dates" }
event_date = { type = "Date32", description = "every date with production calls" }
calls = { type = "Int64", unit = "calls" }
client_error_rate = { type = "Float64", unit = "ratio", description = "status 400 to 499 without 429" }
baseline_rate = { type = "Float64", unit = "ratio", description = "as in error_trend" }
alarm = { type = "Boolean", description = "as in error_trend" }

[[checks]]
unique = ["day", "partner_id", "event_date"]
---*/
SELECT
  day,
  partner_id,
  event_date,
  calls,
  CAST(client_errors AS DOUBLE) / calls AS client_error_rate,
  baseline_rate,
  alarm
FROM (
  SELECT *, bool_or(alarm) OVER (PARTITION BY day, partner_id) AS has_alarm
  FROM error_alarm_day
) AS e
WHERE has_alarm
ORDER BY day, partner_id, event_date
