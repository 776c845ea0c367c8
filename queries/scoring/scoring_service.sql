/*---
description = "Server errors and slow calls of each partner whose plan promises something, in the 28 days before each evaluation day: of all four weeks, and without each one of them"
owner = "partner-analytics"
grain = ["day", "partner_id", "left_out"]
tags = ["internal"]

[columns]
day = { type = "Date32", description = "evaluation day" }
partner_id = { type = "Utf8", description = "whose plan on the day has a target. Without a production call in the weeks that are counted it has a row of nothing for 0, and none for the others" }
left_out = { type = "Int64", description = "0: no week; 1 to 4: the week that is not counted, 1 being the last seven days" }
target = { type = "Float64", unit = "ratio", description = "availability that the plan promises; NULL where it promises a latency only" }
latency_target_ms = { type = "Float64", unit = "ms", description = "NULL where the plan promises none" }
calls = { type = "Int64", unit = "calls" }
server_errors = { type = "Int64", unit = "calls", description = "status ≥ 500" }
latency_calls = { type = "Int64", unit = "calls", description = "that carry a latency, those that arrived late too; 0 without a latency target" }
slow_calls = { type = "Int64", unit = "calls", description = "slower than the target, by buckets of the histogram: calls in the target's own bucket, which is 1/64 wide, do not count" }

[[checks]]
unique = ["day", "partner_id", "left_out"]
[[checks]]
sql = "SELECT * FROM this WHERE server_errors > calls OR slow_calls > latency_calls OR (target IS NULL AND latency_target_ms IS NULL)"
---*/
WITH
targets AS (
  SELECT
    plan,
    max(target) AS target,
    max(latency_target_ms) AS latency_target_ms,
    latency_histogram(CAST(round(latency_target_ms * 1000) AS BIGINT))[1]['bucket'] AS bucket
  FROM sla
  WHERE target IS NOT NULL OR latency_target_ms IS NOT NULL
  GROUP BY plan
),
-- The plan on each evaluation day. The day begins at midnight, so that dates say what is before it.
promised AS (
  SELECT e.day, p.partner_id, t.target, t.latency_target_ms, t.bucket
  FROM evaluation_day AS e
  CROSS JOIN plan_history AS p
  JOIN targets AS t ON t.plan = p.plan
  WHERE CAST(p.since AS DATE) < e.day
    AND (p.until IS NULL OR CAST(p.until AS DATE) >= e.day)
),
-- The histograms are read once for each target of a partner, however many days are evaluated.
compared AS (
  SELECT DISTINCT partner_id, bucket
  FROM promised
  WHERE bucket IS NOT NULL
),
buckets AS (
  SELECT l.event_date, l.partner_id, c.bucket AS target_bucket, unnest(l.buckets) AS counted
  FROM latency_day AS l
  JOIN compared AS c ON c.partner_id = l.partner_id
  WHERE l.environment = 'production'
    AND l.event_date >= (SELECT min(day) - 28 FROM evaluation_day)
),
latency AS (
  SELECT
    event_date,
    partner_id,
    target_bucket,
    sum(counted['count']) AS calls,
    COALESCE(sum(counted['count']) FILTER (WHERE counted['bucket'] > target_bucket), 0) AS slow_calls
  FROM buckets
  GROUP BY event_date, partner_id, target_bucket
),
weekly AS (
  SELECT
    t.day,
    t.partner_id,
    (t.age + 6) / 7 AS week,
    max(p.target) AS target,
    max(p.latency_target_ms) AS latency_target_ms,
    sum(t.calls) AS calls,
    sum(t.server_errors) AS server_errors,
    COALESCE(sum(l.calls), 0) AS latency_calls,
    COALESCE(sum(l.slow_calls), 0) AS slow_calls
  FROM traffic_window AS t
  JOIN promised AS p ON p.day = t.day AND p.partner_id = t.partner_id
  LEFT JOIN latency AS l
    ON l.event_date = t.event_date AND l.partner_id = t.partner_id AND l.target_bucket = p.bucket
  WHERE t.age <= 28
  GROUP BY t.day, t.partner_id, (t.age + 6) / 7
),
counted AS (
  SELECT
    w.day,
    w.partner_id,
    o.value AS left_out,
    max(w.target) AS target,
    max(w.latency_target_ms) AS latency_target_ms,
    sum(w.calls) AS calls,
    sum(w.server_errors) AS server_errors,
    sum(w.latency_calls) AS latency_calls,
    sum(w.slow_calls) AS slow_calls
  FROM generate_series(0, 4) AS o
  CROSS JOIN weekly AS w
  WHERE w.week <> o.value
  GROUP BY w.day, w.partner_id, o.value
),
-- A promise holds for those who do not call as well, but not for those who were merged away.
silent AS (
  SELECT
    p.day,
    p.partner_id,
    0 AS left_out,
    max(p.target) AS target,
    max(p.latency_target_ms) AS latency_target_ms,
    0 AS calls,
    0 AS server_errors,
    0 AS latency_calls,
    0 AS slow_calls
  FROM promised AS p
  JOIN partners AS s ON s.partner_id = p.partner_id
  LEFT JOIN weekly AS w ON w.day = p.day AND w.partner_id = p.partner_id
  WHERE w.partner_id IS NULL
  GROUP BY p.day, p.partner_id
)
SELECT
  day,
  partner_id,
  left_out,
  target,
  latency_target_ms,
  calls,
  server_errors,
  latency_calls,
  slow_calls
FROM (
  SELECT * FROM counted
  UNION ALL
  SELECT * FROM silent
) AS partner_weeks
ORDER BY day, partner_id, left_out
