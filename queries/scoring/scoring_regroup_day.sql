/*---
description = "The dates whose events change what the views hold of earlier days: a merge, or another segment of a partner that had production calls before. Evaluation days up to such a date, and later ones, belong into separate runs"
owner = "partner-analytics"
grain = ["event_date"]
tags = ["internal"]

[columns]
event_date = { type = "Date32" }

[[checks]]
unique = ["event_date"]
---*/
WITH
segments AS (
  SELECT
    partner_id,
    event_date,
    segment,
    lag(segment) OVER (PARTITION BY partner_id ORDER BY occurred_at, event_id) AS previous
  FROM partner_events
  WHERE segment IS NOT NULL AND event_date < $as_of
),
-- Calls of a partner merged away count too: the survivor then has them.
first_calls AS (
  SELECT partner_id, min(event_date) AS event_date
  FROM usage_day
  WHERE environment = 'production'
  GROUP BY partner_id
)
SELECT event_date
FROM partner_events
WHERE type = 'merged' AND event_date < $as_of
UNION
SELECT s.event_date
FROM segments AS s
JOIN first_calls AS f ON f.partner_id = s.partner_id AND f.event_date < s.event_date
WHERE s.previous IS DISTINCT FROM s.segment
ORDER BY event_date
