/*---
description = "Partners whose usage of the 28 days before as_of has a day that is probably missing: nobody called on it, or a partner did not that had called on each of the seven days before, or on this weekday in each of the four weeks before"
owner = "partner-analytics"
grain = ["partner_id"]
tags = ["internal"]

[columns]
partner_id = { type = "Utf8", description = "with a production call in the 28 days before as_of" }
missing_on = { type = "Date32", description = "the newest such day" }
is_platform = { type = "Boolean", description = "nobody called on that day" }

[[checks]]
unique = ["partner_id"]
---*/
WITH
calls AS (
  SELECT event_date, partner_id
  FROM usage_day
  WHERE environment = 'production'
    AND event_date >= CAST($as_of - INTERVAL '56 days' AS DATE)
    AND event_date < CAST($as_of AS DATE)
  GROUP BY event_date, partner_id
),
window_dates AS (
  SELECT CAST($as_of AS DATE) - CAST(back.value AS INT) AS event_date
  FROM generate_series(1, 28) AS back
),
first_date AS (SELECT min(event_date) AS event_date FROM calls),
silent_dates AS (
  SELECT w.event_date
  FROM window_dates AS w
  CROSS JOIN first_date AS f
  WHERE w.event_date > f.event_date
    AND w.event_date NOT IN (SELECT event_date FROM calls)
),
callers AS (
  SELECT partner_id
  FROM calls
  WHERE event_date >= CAST($as_of - INTERVAL '28 days' AS DATE)
  GROUP BY partner_id
),
candidates AS (
  SELECT c.partner_id, w.event_date
  FROM callers AS c
  CROSS JOIN window_dates AS w
),
own_gaps AS (
  SELECT d.partner_id, d.event_date
  FROM candidates AS d
  JOIN calls AS c
    ON c.partner_id = d.partner_id
    AND c.event_date >= d.event_date - 7
    AND c.event_date <= d.event_date
  GROUP BY d.partner_id, d.event_date
  HAVING count(*) = 7 AND max(c.event_date) < d.event_date
),
-- Who rests on weekends calls on no seven days in a row.
weekday_gaps AS (
  SELECT d.partner_id, d.event_date
  FROM candidates AS d
  JOIN calls AS c
    ON c.partner_id = d.partner_id
    AND c.event_date >= d.event_date - 28
    AND c.event_date <= d.event_date
    AND (d.event_date - c.event_date) % 7 = 0
  GROUP BY d.partner_id, d.event_date
  HAVING count(*) = 4 AND max(c.event_date) < d.event_date
),
gaps AS (
  SELECT partner_id, event_date, false AS is_platform FROM own_gaps
  UNION ALL
  SELECT partner_id, event_date, false AS is_platform FROM weekday_gaps
  UNION ALL
  SELECT c.partner_id, s.event_date, true AS is_platform
  FROM callers AS c
  CROSS JOIN silent_dates AS s
),
-- A day on which nobody called is the platform's gap, also where the partner has one of its own.
gap_dates AS (
  SELECT partner_id, event_date, bool_or(is_platform) AS is_platform
  FROM gaps
  GROUP BY partner_id, event_date
),
newest AS (
  SELECT partner_id, max(event_date) AS event_date
  FROM gap_dates
  GROUP BY partner_id
)
SELECT g.partner_id, g.event_date AS missing_on, g.is_platform
FROM gap_dates AS g
JOIN newest AS n ON n.partner_id = g.partner_id AND n.event_date = g.event_date
ORDER BY g.partner_id
