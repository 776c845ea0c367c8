/*---
description = "Production calls of each partner on each of the 196 dates before an evaluation day, without the calls that had not arrived by that day"
owner = "partner-analytics"
grain = ["day", "partner_id", "event_date"]
tags = ["internal"]

[columns]
day = { type = "Date32", description = "evaluation day" }
partner_id = { type = "Utf8" }
event_date = { type = "Date32", description = "dates with calls" }
age = { type = "Int64", unit = "days", description = "from event_date to day, 1 to 196" }
calls = { type = "Int64", unit = "calls" }
successes = { type = "Int64", unit = "calls", description = "200 ≤ status < 400" }
client_errors = { type = "Int64", unit = "calls", description = "400 ≤ status < 500, not 429" }
auth_failures = { type = "Int64", unit = "calls", description = "401 and 403, among client_errors" }
throttled = { type = "Int64", unit = "calls", description = "429" }
server_errors = { type = "Int64", unit = "calls", description = "status ≥ 500" }

[[checks]]
unique = ["day", "partner_id", "event_date"]
[[checks]]
sql = "SELECT * FROM this WHERE calls < 1 OR successes < 0 OR client_errors < 0 OR auth_failures < 0 OR throttled < 0 OR server_errors < 0"
---*/
-- A join builds its table of the side that is named first, so the smaller one comes first.
WITH dated AS (
  SELECT w.day, w.age, d.*
  FROM evaluation_window AS w
  JOIN scoring_traffic_day AS d ON d.event_date = w.event_date
)
SELECT
  d.day,
  d.partner_id,
  d.event_date,
  d.age,
  d.calls - coalesce(l.calls, 0) AS calls,
  d.successes - coalesce(l.successes, 0) AS successes,
  d.client_errors - coalesce(l.client_errors, 0) AS client_errors,
  d.auth_failures - coalesce(l.auth_failures, 0) AS auth_failures,
  d.throttled - coalesce(l.throttled, 0) AS throttled,
  d.server_errors - coalesce(l.server_errors, 0) AS server_errors
FROM late_calls AS l
RIGHT JOIN dated AS d
  ON d.day = l.day AND d.partner_id = l.partner_id AND d.event_date = l.event_date
WHERE d.calls > coalesce(l.calls, 0)
ORDER BY d.day, d.partner_id, d.event_date
