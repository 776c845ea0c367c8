/*---
description = "Calls of API versions that end, of each partner in the 28 days before each evaluation day: of all four weeks, and without each one of them"
owner = "partner-analytics"
grain = ["day", "partner_id", "left_out"]
tags = ["internal"]

[columns]
day = { type = "Date32", description = "evaluation day" }
partner_id = { type = "Utf8", description = "with a production call in the weeks that are counted" }
left_out = { type = "Int64", description = "0: no week; 1 to 4: the week that is not counted, 1 being the last seven days" }
calls = { type = "Int64", unit = "calls", description = "with or without a version" }
versioned_calls = { type = "Int64", unit = "calls", description = "with a version" }
exposure = { type = "Float64", unit = "calls", description = "calls of each version × how far its last year has passed on the day, from 0 to 1; 0 for a version without an end" }

[[checks]]
unique = ["day", "partner_id", "left_out"]
[[checks]]
sql = "SELECT * FROM this WHERE versioned_calls > calls OR exposure > versioned_calls OR exposure < 0"
---*/
WITH
-- The days of its last year that a version has behind it. They are whole, so that the sum below
-- does not depend on the order of rows.
passed AS (
  SELECT
    e.day,
    s.api_version,
    greatest(0, least(365, 365 - CAST(CAST(s.sunset_on AS INT) - CAST(e.day AS INT) AS BIGINT))) AS days
  FROM evaluation_day AS e
  CROSS JOIN sunsets AS s
),
-- Calls that arrived late are not taken out, because late_calls does not tell their versions.
daily AS (
  SELECT event_date, partner_id, api_version, sum(calls) AS calls
  FROM usage_day
  WHERE environment = 'production'
    AND event_date >= (SELECT min(day) - 28 FROM evaluation_day)
  GROUP BY event_date, partner_id, api_version
),
weekly AS (
  SELECT
    w.day,
    u.partner_id,
    (w.age + 6) / 7 AS week,
    sum(u.calls) AS calls,
    COALESCE(sum(u.calls) FILTER (WHERE u.api_version IS NOT NULL), 0) AS versioned_calls,
    sum(u.calls * COALESCE(p.days, 0)) AS call_days
  FROM daily AS u
  JOIN evaluation_window AS w ON w.event_date = u.event_date
  LEFT JOIN passed AS p ON p.day = w.day AND p.api_version = u.api_version
  WHERE w.age <= 28
  GROUP BY w.day, u.partner_id, (w.age + 6) / 7
)
SELECT
  w.day,
  w.partner_id,
  o.value AS left_out,
  sum(w.calls) AS calls,
  sum(w.versioned_calls) AS versioned_calls,
  CAST(sum(w.call_days) AS DOUBLE) / 365 AS exposure
FROM generate_series(0, 4) AS o
CROSS JOIN weekly AS w
WHERE w.week <> o.value
GROUP BY w.day, w.partner_id, o.value
ORDER BY w.day, w.partner_id, o.value
