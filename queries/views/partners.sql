/*---
description = "One row for every partner that any stream named before as_of, those merged away left out: when it registered, first called, went live, and its attributes as of then; NULL where unknown"
owner = "partner-analytics"
grain = ["partner_id"]
slice = "partner_id"
tags = ["partners"]
keep = true

[columns]
partner_id = { type = "Utf8" }
registered = { type = "Timestamp", description = "the earliest registration, of partners merged into it too" }
first_call = { type = "Timestamp", description = "the earliest success in any environment" }
first_sandbox_success = { type = "Timestamp", description = "the earliest success in sandbox" }
live = { type = "Timestamp", description = "the earliest success in production" }
last_success = { type = "Timestamp", description = "the last success in production" }
last_call_at = { type = "Timestamp", description = "the last call of any status in any environment" }
name = { type = "Utf8", description = "attributes: the latest non-null value of its own events" }
segment = { type = "Utf8" }
plan = { type = "Utf8" }
integration_level = { type = "Int32", description = "1 to 4" }
manager = { type = "Utf8" }
region = { type = "Utf8" }
quota_per_minute = { type = "Int64", unit = "calls" }

[[checks]]
unique = ["partner_id"]
---*/
WITH
usage AS (
  SELECT
    partner_id,
    min(first_success_at) AS first_call,
    min(CASE WHEN environment = 'sandbox' THEN first_success_at END) AS first_sandbox_success,
    min(CASE WHEN environment = 'production' THEN first_success_at END) AS live,
    max(CASE WHEN environment = 'production' THEN last_success_at END) AS last_success,
    max(last_call_at) AS last_call_at
  FROM usage_day
  GROUP BY partner_id
),
registrations AS (
  SELECT coalesce(m.survivor, e.partner_id) AS partner_id, min(e.occurred_at) AS registered
  FROM partner_events e
  LEFT JOIN merge_map m ON m.partner_id = e.partner_id
  WHERE e.type = 'registered' AND e.event_date < $as_of
  GROUP BY coalesce(m.survivor, e.partner_id)
),
-- By the id as sent: what a merged partner was called does not count for the survivor.
attributes AS (
  SELECT
    partner_id,
    last_value(name ORDER BY occurred_at, event_id) FILTER (WHERE name IS NOT NULL) AS name,
    last_value(segment ORDER BY occurred_at, event_id) FILTER (WHERE segment IS NOT NULL) AS segment,
    last_value(plan ORDER BY occurred_at, event_id) FILTER (WHERE plan IS NOT NULL) AS plan,
    last_value(integration_level ORDER BY occurred_at, event_id)
      FILTER (WHERE integration_level IS NOT NULL) AS integration_level,
    last_value(manager ORDER BY occurred_at, event_id) FILTER (WHERE manager IS NOT NULL) AS manager,
    last_value(region ORDER BY occurred_at, event_id) FILTER (WHERE region IS NOT NULL) AS region,
    last_value(quota_per_minute ORDER BY occurred_at, event_id)
      FILTER (WHERE quota_per_minute IS NOT NULL) AS quota_per_minute
  FROM partner_events
  WHERE event_date < $as_of
  GROUP BY partner_id
),
seen AS (
  SELECT partner_id FROM partner_day WHERE event_date < $as_of
  UNION
  SELECT partner_id FROM billing_day WHERE event_date < $as_of
  UNION
  SELECT partner_id FROM partner_events WHERE event_date < $as_of
  UNION
  SELECT partner_id FROM support_events WHERE event_date < $as_of
),
survivors AS (
  SELECT DISTINCT coalesce(m.survivor, s.partner_id) AS partner_id
  FROM seen s
  LEFT JOIN merge_map m ON m.partner_id = s.partner_id
)
SELECT
  s.partner_id,
  r.registered,
  u.first_call,
  u.first_sandbox_success,
  u.live,
  u.last_success,
  u.last_call_at,
  a.name,
  a.segment,
  a.plan,
  a.integration_level,
  a.manager,
  a.region,
  a.quota_per_minute
FROM survivors s
LEFT JOIN registrations r ON r.partner_id = s.partner_id
LEFT JOIN usage u ON u.partner_id = s.partner_id
LEFT JOIN attributes a ON a.partner_id = s.partner_id
ORDER BY s.partner_id
