/*---
description = "How often each partner is active in production as of each evaluation day, how long it has been silent, and its calls of the last three dates"
owner = "partner-analytics"
grain = ["day", "partner_id"]
tags = ["internal"]
keep = true

[columns]
day = { type = "Date32", description = "evaluation day" }
partner_id = { type = "Utf8", description = "live before day, or with production calls in the last three dates" }
cadence = { type = "Float64", unit = "days", description = "the median gap between active dates of the 180 that end with the last active one; NULL with fewer than two" }
longest_gap_180 = { type = "Int64", unit = "days", description = "the longest gap between active dates of the 180 before day; NULL with fewer than two" }
silent_days = { type = "Int64", unit = "days", description = "whole dates since the last active one; NULL for a partner that is not live" }
silent_calm_days = { type = "Int64", unit = "days", description = "of these, the calm ones" }
churn_calm_days = { type = "Int64", unit = "days", description = "those of silent_calm_days that put off churn: calm dates before which fewer than 28 other silent dates lie, or three cadences of them" }
active_days_baseline = { type = "Int64", unit = "days", description = "active dates from 112 to 29 days before day" }
calls_3d = { type = "Int64", unit = "calls", description = "of the last three dates, as all that follows" }
successes_3d = { type = "Int64", unit = "calls" }
auth_failures_3d = { type = "Int64", unit = "calls" }
client_errors_3d = { type = "Int64", unit = "calls" }
server_errors_3d = { type = "Int64", unit = "calls" }
throttled_3d = { type = "Int64", unit = "calls" }
status_3d = { type = "Int64", description = "the most frequent status of 400 and above, of several the lowest" }

[[checks]]
unique = ["day", "partner_id"]
[[checks]]
sql = "SELECT * FROM this WHERE cadence < 1 OR longest_gap_180 < 1 OR silent_days < 0 OR silent_calm_days > silent_days OR churn_calm_days > silent_calm_days OR active_days_baseline > 84"
---*/
WITH
dates AS (
  SELECT t.day, t.partner_id, s.event_date, s.successes
  FROM last_success AS t
  JOIN scoring_traffic_day AS s
    ON s.partner_id = t.partner_id
    AND s.event_date > t.event_date - 180
    AND s.event_date <= t.event_date
  WHERE s.successes > 0
),
-- A date is active if one of its successes had arrived by the evaluation day.
active AS (
  SELECT
    d.day,
    d.partner_id,
    d.event_date,
    lag(d.event_date) OVER (PARTITION BY d.day, d.partner_id ORDER BY d.event_date) AS previous
  FROM late_calls AS l
  RIGHT JOIN dates AS d
    ON d.day = l.day AND d.partner_id = l.partner_id AND d.event_date = l.event_date
  WHERE d.successes > coalesce(l.successes, 0)
),
rhythm AS (
  SELECT
    day,
    partner_id,
    day - max(event_date) - 1 AS silent_days,
    median(CAST(event_date - previous AS DOUBLE)) AS cadence,
    max(event_date - previous) FILTER (WHERE previous >= day - 180) AS longest_gap_180,
    count(*) FILTER (
      WHERE event_date >= day - 112 AND event_date < day - 28
    ) AS active_days_baseline
  FROM active
  GROUP BY day, partner_id
),
silent_calm_dates AS (
  SELECT
    t.day,
    t.partner_id,
    c.event_date - t.event_date
      - row_number() OVER (PARTITION BY t.day, t.partner_id ORDER BY c.event_date)
      AS other_silent_days
  FROM last_success AS t
  JOIN calm_partner_day AS c
    ON c.partner_id = t.partner_id AND c.event_date > t.event_date AND c.event_date < t.day
),
silent_calm AS (
  SELECT
    d.day,
    d.partner_id,
    count(*) AS days,
    count(*) FILTER (
      WHERE d.other_silent_days < greatest(28, ceil(3 * coalesce(r.cadence, 1)))
    ) AS churn_days
  FROM silent_calm_dates AS d
  JOIN rhythm AS r ON r.day = d.day AND r.partner_id = d.partner_id
  GROUP BY d.day, d.partner_id
),
last_dates AS (
  SELECT
    day,
    partner_id,
    sum(calls) AS calls,
    sum(successes) AS successes,
    sum(auth_failures) AS auth_failures,
    sum(client_errors) AS client_errors,
    sum(server_errors) AS server_errors,
    sum(throttled) AS throttled
  FROM traffic_window
  WHERE age <= 3
  GROUP BY day, partner_id
),
failures AS (
  SELECT
    w.day,
    coalesce(m.survivor, e.partner_id) AS partner_id,
    e.status,
    sum(e.calls) AS calls
  FROM evaluation_window AS w
  JOIN error_detail AS e ON e.event_date = w.event_date
  LEFT JOIN merge_map AS m ON m.partner_id = e.partner_id
  WHERE e.environment = 'production'
    AND w.age <= 3
    AND e.event_date >= (SELECT min(day) - 3 FROM evaluation_day)
  GROUP BY w.day, coalesce(m.survivor, e.partner_id), e.status
),
ranked_failures AS (
  SELECT
    day,
    partner_id,
    status,
    row_number() OVER (PARTITION BY day, partner_id ORDER BY calls DESC, status) AS place
  FROM failures
)
SELECT
  coalesce(r.day, d.day) AS day,
  coalesce(r.partner_id, d.partner_id) AS partner_id,
  r.cadence,
  CAST(r.longest_gap_180 AS BIGINT) AS longest_gap_180,
  CAST(r.silent_days AS BIGINT) AS silent_days,
  CASE WHEN r.day IS NOT NULL THEN coalesce(c.days, 0) END AS silent_calm_days,
  CASE WHEN r.day IS NOT NULL THEN coalesce(c.churn_days, 0) END AS churn_calm_days,
  coalesce(r.active_days_baseline, 0) AS active_days_baseline,
  coalesce(d.calls, 0) AS calls_3d,
  coalesce(d.successes, 0) AS successes_3d,
  coalesce(d.auth_failures, 0) AS auth_failures_3d,
  coalesce(d.client_errors, 0) AS client_errors_3d,
  coalesce(d.server_errors, 0) AS server_errors_3d,
  coalesce(d.throttled, 0) AS throttled_3d,
  CAST(f.status AS BIGINT) AS status_3d
FROM rhythm AS r
FULL JOIN last_dates AS d ON d.day = r.day AND d.partner_id = r.partner_id
LEFT JOIN silent_calm AS c ON c.day = r.day AND c.partner_id = r.partner_id
LEFT JOIN ranked_failures AS f
  ON f.day = d.day AND f.partner_id = d.partner_id AND f.place = 1
ORDER BY 1, 2
