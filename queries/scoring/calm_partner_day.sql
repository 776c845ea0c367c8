/*---
description = "The dates that the scores of a partner leave out: calm in its segment, or covered by an annotation of the platform or of the partner that says so. Where fewer than 20 partners of the segment count on a date, and for a partner without a segment, the whole portfolio decides"
owner = "partner-analytics"
grain = ["partner_id", "event_date"]
tags = ["internal"]
keep = true

[columns]
partner_id = { type = "Utf8" }
event_date = { type = "Date32", description = "from the partner's go-live on" }

[[checks]]
unique = ["partner_id", "event_date"]
---*/
WITH
live AS (
  SELECT partner_id, segment, CAST(live AS DATE) AS live_on
  FROM partners
  WHERE live IS NOT NULL
),
segments AS (
  SELECT DISTINCT segment FROM live
),
-- Calm dates of each segment; without a segment, of the portfolio.
of_segments AS (
  SELECT s.segment, c.event_date
  FROM segments AS s
  JOIN calm_day AS c ON c.segment = s.segment
  WHERE c.is_calm
  UNION ALL
  SELECT s.segment, a.event_date
  FROM segments AS s
  CROSS JOIN calm_day AS a
  LEFT JOIN calm_day AS c ON c.segment = s.segment AND c.event_date = a.event_date
  WHERE a.segment IS NULL AND a.is_calm AND coalesce(c.partners, 0) < 20
),
annotated AS (
  SELECT
    partner_id,
    unnest(range(
      first_day,
      least(last_day + 1, CAST($as_of AS DATE)),
      INTERVAL '1 day'
    )) AS event_date
  FROM annotation
  WHERE calm IS DISTINCT FROM false
),
annotated_partners AS (
  SELECT coalesce(m.survivor, a.partner_id) AS partner_id, a.event_date
  FROM annotated AS a
  LEFT JOIN merge_map AS m ON m.partner_id = a.partner_id
  WHERE a.partner_id IS NOT NULL
)
SELECT l.partner_id, o.event_date
FROM of_segments AS o
JOIN live AS l ON l.segment IS NOT DISTINCT FROM o.segment
WHERE o.event_date >= l.live_on
UNION
SELECT l.partner_id, a.event_date
FROM annotated_partners AS a
JOIN live AS l ON l.partner_id = a.partner_id
WHERE a.event_date >= l.live_on
UNION
SELECT l.partner_id, a.event_date
FROM annotated AS a
CROSS JOIN live AS l
WHERE a.partner_id IS NULL AND a.event_date >= l.live_on
ORDER BY partner_id, event_date
