/*---
description = "Every partner that any stream named before each evaluation day, with its attributes and its first and last calls as of that day; partners merged away are left out"
owner = "partner-analytics"
grain = ["day", "partner_id"]
tags = ["internal"]
keep = true

[columns]
day = { type = "Date32", description = "evaluation day" }
partner_id = { type = "Utf8" }
segment = { type = "Utf8" }
plan = { type = "Utf8" }
quota_per_minute = { type = "Int64", unit = "calls" }
registered_at = { type = "Timestamp" }
first_call_at = { type = "Timestamp", description = "the earliest success in any environment" }
live_at = { type = "Timestamp", description = "the earliest success in production" }
last_call_at = { type = "Timestamp", description = "the last call of any status in any environment" }
last_success_date = { type = "Date32", description = "the last date with a success in production" }

[[checks]]
unique = ["day", "partner_id"]
[[checks]]
not_null = ["day", "partner_id"]
---*/
WITH
seen AS (
  SELECT partner_id, min(event_date) AS event_date FROM partner_day GROUP BY partner_id
  UNION ALL
  SELECT partner_id, min(event_date) AS event_date FROM billing_day GROUP BY partner_id
  UNION ALL
  SELECT partner_id, min(event_date) AS event_date FROM partner_events GROUP BY partner_id
  UNION ALL
  SELECT partner_id, min(event_date) AS event_date FROM support_events GROUP BY partner_id
),
first_seen AS (
  SELECT coalesce(m.survivor, s.partner_id) AS partner_id, min(s.event_date) AS event_date
  FROM seen AS s
  LEFT JOIN merge_map AS m ON m.partner_id = s.partner_id
  GROUP BY coalesce(m.survivor, s.partner_id)
),
-- By the id as sent: what a merged partner was called does not count for the survivor.
attributes AS (
  SELECT
    e.day,
    p.partner_id,
    last_value(p.segment ORDER BY p.occurred_at, p.event_id)
      FILTER (WHERE p.segment IS NOT NULL) AS segment,
    last_value(p.plan ORDER BY p.occurred_at, p.event_id)
      FILTER (WHERE p.plan IS NOT NULL) AS plan,
    last_value(p.quota_per_minute ORDER BY p.occurred_at, p.event_id)
      FILTER (WHERE p.quota_per_minute IS NOT NULL) AS quota_per_minute
  FROM evaluation_day AS e
  JOIN partner_events AS p ON p.event_date < e.day
  WHERE p.segment IS NOT NULL OR p.plan IS NOT NULL OR p.quota_per_minute IS NOT NULL
  GROUP BY e.day, p.partner_id
),
-- Of the calls before the first evaluation day only the last one can be the answer.
last_calls AS (
  SELECT partner_id, max(event_date) AS event_date, max(last_call_at) AS last_call_at
  FROM usage_day
  GROUP BY
    partner_id,
    CASE WHEN event_date >= (SELECT min(day) FROM evaluation_day) THEN event_date END
),
last_call AS (
  SELECT e.day, l.partner_id, max(l.last_call_at) AS last_call_at
  FROM evaluation_day AS e
  JOIN last_calls AS l ON l.event_date < e.day
  GROUP BY e.day, l.partner_id
)
SELECT
  e.day,
  f.partner_id,
  a.segment,
  a.plan,
  a.quota_per_minute,
  CASE WHEN CAST(p.registered AS DATE) < e.day THEN p.registered END AS registered_at,
  CASE WHEN CAST(p.first_call AS DATE) < e.day THEN p.first_call END AS first_call_at,
  CASE WHEN CAST(p.live AS DATE) < e.day THEN p.live END AS live_at,
  c.last_call_at,
  s.event_date AS last_success_date
FROM evaluation_day AS e
JOIN first_seen AS f ON f.event_date < e.day
JOIN partners AS p ON p.partner_id = f.partner_id
LEFT JOIN attributes AS a ON a.day = e.day AND a.partner_id = f.partner_id
LEFT JOIN last_call AS c ON c.day = e.day AND c.partner_id = f.partner_id
LEFT JOIN last_success AS s ON s.day = e.day AND s.partner_id = f.partner_id
ORDER BY e.day, f.partner_id
