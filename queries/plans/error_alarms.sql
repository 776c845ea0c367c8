/*---
description = "Partners whose client errors stand far above the usual on the last days with calls, and for how many of them in a row"
owner = "partner-analytics"
grain = ["partner_id"]
tags = ["internal"]

[columns]
partner_id = { type = "Utf8", description = "whose alarm stands on its last day with calls, within the seven days before as_of" }
since = { type = "Date32", description = "the first day of the alarm" }
days_in_a_row = { type = "Int64", unit = "days", description = "days with calls" }
client_error_rate = { type = "Float64", unit = "ratio", description = "of the last day" }
baseline_rate = { type = "Float64", unit = "ratio", description = "what was usual before it" }

[[checks]]
unique = ["partner_id"]
---*/
WITH numbered AS (
  SELECT
    partner_id,
    event_date,
    alarm,
    client_error_rate,
    baseline_rate,
    row_number() OVER (PARTITION BY partner_id ORDER BY event_date DESC) AS place
  FROM error_trend
),
-- The newest day without an alarm ends the row of days.
calm AS (
  SELECT partner_id, min(place) AS place
  FROM numbered
  WHERE NOT alarm
  GROUP BY partner_id
),
last_day AS (
  SELECT partner_id, client_error_rate, baseline_rate
  FROM numbered
  WHERE place = 1 AND event_date >= CAST($as_of - INTERVAL '7 days' AS DATE)
)
SELECT
  n.partner_id,
  min(n.event_date) AS since,
  count(*) AS days_in_a_row,
  max(l.client_error_rate) AS client_error_rate,
  max(l.baseline_rate) AS baseline_rate
FROM numbered AS n
JOIN last_day AS l ON l.partner_id = n.partner_id
LEFT JOIN calm AS c ON c.partner_id = n.partner_id
WHERE n.place < coalesce(c.place, n.place + 1)
GROUP BY n.partner_id
ORDER BY n.partner_id
