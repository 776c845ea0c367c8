/*---
description = "error_trend as of each evaluation day: client errors of the 90 dates before it, what is usual, and the dates on which they stand clearly above it"
owner = "partner-analytics"
grain = ["day", "partner_id", "event_date"]
tags = ["internal"]
keep = true

[columns]
day = { type = "Date32", description = "evaluation day" }
partner_id = { type = "Utf8" }
event_date = { type = "Date32", description = "dates with production calls" }
age = { type = "Int64", unit = "days", description = "from event_date to day, 1 to 90" }
calls = { type = "Int64", unit = "calls" }
client_errors = { type = "Int64", unit = "calls", description = "400 ≤ status < 500, not 429" }
baseline_rate = { type = "Float64", unit = "ratio", description = "as in error_trend" }
alarm = { type = "Boolean", description = "as in error_trend" }

[[checks]]
unique = ["day", "partner_id", "event_date"]
---*/
-- What is usual on a date does not depend on the evaluation day, so it is computed once a date. It
-- looks back 84 dates for its deviation, and each of those 84 for its baseline.
WITH
daily AS (
  SELECT u.partner_id, p.segment, u.event_date, u.calls, u.client_errors
  FROM partners AS p
  JOIN scoring_traffic_day AS u ON u.partner_id = p.partner_id
  WHERE u.event_date >= (SELECT min(day) - 258 FROM evaluation_day)
),
segments AS (
  SELECT segment, event_date, sum(calls) AS calls, sum(client_errors) AS client_errors
  FROM daily
  GROUP BY segment, event_date
),
peers AS (
  SELECT
    segment,
    event_date,
    CAST(trailing_sum(client_errors, event_date, 84) OVER own AS DOUBLE)
      / NULLIF(trailing_sum(calls, event_date, 84) OVER own, 0) AS rate
  FROM segments
  WINDOW own AS (PARTITION BY segment ORDER BY event_date)
),
before AS (
  SELECT
    d.*,
    trailing_sum(d.calls, d.event_date, 84) OVER own AS own_calls,
    trailing_sum(d.client_errors, d.event_date, 84) OVER own AS own_errors,
    s.rate AS segment_rate
  FROM peers AS s
  JOIN daily AS d ON d.event_date = s.event_date AND d.segment IS NOT DISTINCT FROM s.segment
  WINDOW own AS (PARTITION BY d.partner_id ORDER BY d.event_date)
),
baselines AS (
  SELECT *, (own_errors + 100 * segment_rate) / (own_calls + 100) AS baseline
  FROM before
),
shrunk AS (
  SELECT *, (client_errors + 100 * baseline) / (calls + 100) AS rate
  FROM baselines
),
usual AS (
  SELECT
    partner_id,
    event_date,
    calls,
    client_errors,
    baseline,
    greatest(
      1.4826 * trailing_deviation(rate, event_date, 84)
        OVER (PARTITION BY partner_id ORDER BY event_date),
      0.005
    ) AS deviation
  FROM shrunk
),
dated AS (
  SELECT w.day, w.age, u.*
  FROM evaluation_window AS w
  JOIN usual AS u ON u.event_date = w.event_date
  WHERE w.age <= 90
),
known AS (
  SELECT
    u.day,
    u.partner_id,
    u.event_date,
    u.age,
    u.calls - coalesce(l.calls, 0) AS calls,
    u.client_errors - coalesce(l.client_errors, 0) AS client_errors,
    u.baseline,
    u.deviation
  FROM late_calls AS l
  RIGHT JOIN dated AS u
    ON u.day = l.day AND u.partner_id = l.partner_id AND u.event_date = l.event_date
  WHERE u.calls > coalesce(l.calls, 0)
),
summed AS (
  SELECT
    *,
    cusum(((client_errors + 100 * baseline) / (calls + 100) - baseline) / deviation) OVER (
      PARTITION BY day, partner_id ORDER BY event_date ROWS UNBOUNDED PRECEDING
    ) AS c
  FROM known
)
SELECT
  day,
  partner_id,
  event_date,
  age,
  calls,
  client_errors,
  baseline AS baseline_rate,
  coalesce(c >= 5 AND wilson_lower(client_errors, calls) > baseline, FALSE) AS alarm
FROM summed
ORDER BY day, partner_id, event_date
