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
  e.day,
  e.partner_id,
  e.event_date,
  e.calls,
  CAST(e.client_errors AS DOUBLE) / e.calls AS client_error_rate,
  e.baseline_rate,
  e.alarm
FROM (SELECT DISTINCT day, partner_id FROM error_alarm_day WHERE alarm) AS a
JOIN error_alarm_day AS e ON e.day = a.day AND e.partner_id = a.partner_id
ORDER BY e.day, e.partner_id, e.event_date
