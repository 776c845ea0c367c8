/*---
description = "Production calls of the 14 days before each evaluation day that had not arrived by its midnight, with merges: the rows of late_calls. Calls from files count by when they occurred and are in no row"
owner = "partner-analytics"
grain = ["day", "partner_id", "event_date"]
tags = ["internal"]

[columns]
day = { type = "Date32", description = "evaluation day" }
partner_id = { type = "Utf8" }
event_date = { type = "Date32" }
calls = { type = "Int64", unit = "calls" }
successes = { type = "Int64", unit = "calls", description = "200 ≤ status < 400" }
client_errors = { type = "Int64", unit = "calls", description = "400 ≤ status < 500, not 429" }
auth_failures = { type = "Int64", unit = "calls", description = "401 and 403, among client_errors" }
throttled = { type = "Int64", unit = "calls", description = "429" }
server_errors = { type = "Int64", unit = "calls", description = "status ≥ 500" }

[[checks]]
unique = ["day", "partner_id", "event_date"]
---*/
WITH
-- A topic of Kafka has no colon in its name; that of a file begins with `file:`.
arrived AS (
  SELECT event_date, partner_id, status, CAST(arrival AS DATE) AS arrived_on
  FROM api_calls
  WHERE environment = 'production'
    AND topic NOT LIKE 'file:%'
    AND event_date >= (SELECT min(day) - 14 FROM evaluation_day)
    AND event_date < $as_of
    AND CAST(arrival AS DATE) > event_date
)
SELECT
  w.day,
  COALESCE(m.survivor, a.partner_id) AS partner_id,
  a.event_date,
  count(*) AS calls,
  count(*) FILTER (WHERE a.status >= 200 AND a.status < 400) AS successes,
  count(*) FILTER (WHERE a.status >= 400 AND a.status < 500 AND a.status <> 429) AS client_errors,
  count(*) FILTER (WHERE a.status = 401 OR a.status = 403) AS auth_failures,
  count(*) FILTER (WHERE a.status = 429) AS throttled,
  count(*) FILTER (WHERE a.status >= 500) AS server_errors
FROM arrived AS a
JOIN evaluation_window AS w ON w.event_date = a.event_date
LEFT JOIN merge_map AS m ON m.partner_id = a.partner_id
WHERE w.age <= 14 AND a.arrived_on >= w.day
GROUP BY w.day, COALESCE(m.survivor, a.partner_id), a.event_date
ORDER BY w.day, COALESCE(m.survivor, a.partner_id), a.event_date
