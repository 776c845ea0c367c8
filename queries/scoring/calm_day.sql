/*---
description = "The share of a segment's partners that were active on each date, beside the usual share of that weekday: a date far below it is calm, and no partner's fault"
owner = "partner-analytics"
grain = ["segment", "event_date"]
tags = ["internal"]
keep = true

[columns]
segment = { type = "Utf8", description = "NULL for the whole portfolio" }
event_date = { type = "Date32", description = "every date from the first success in production to the one before as_of" }
partners = { type = "Int64", unit = "partners", description = "with a success in production in the 28 days before" }
active = { type = "Int64", unit = "partners", description = "of these, with one on the date" }
usual = { type = "Float64", unit = "ratio", description = "the median of active / partners on the same weekday of the 12 weeks before; dates within the first 28 days of the lake do not count" }
is_calm = { type = "Boolean", description = "at least 20 partners, and a share below 0.8 · usual and below usual by three standard errors" }

[[checks]]
unique = ["segment", "event_date"]
[[checks]]
sql = "SELECT * FROM this WHERE active > partners OR partners < 0 OR usual < 0 OR usual > 1"
---*/
WITH
-- Five years at most: a lake may hold a single event of long ago.
bounds AS (
  SELECT greatest(min(event_date) - 1, CAST($as_of AS DATE) - 1830) AS first_date
  FROM segment_activity
),
activity AS (
  SELECT
    a.segment,
    greatest(a.event_date, b.first_date) AS event_date,
    sum(a.entered) AS entered,
    sum(CASE WHEN a.event_date >= b.first_date THEN a.active ELSE 0 END) AS active
  FROM bounds AS b
  CROSS JOIN segment_activity AS a
  GROUP BY a.segment, greatest(a.event_date, b.first_date)
),
dates AS (
  SELECT unnest(range(first_date, CAST($as_of AS DATE), INTERVAL '1 day')) AS event_date
  FROM bounds
),
counts AS (
  SELECT
    g.segment,
    d.event_date,
    coalesce(c.active, 0) AS active,
    sum(coalesce(c.entered, 0)) OVER (
      PARTITION BY g.segment ORDER BY d.event_date
    ) AS partners
  FROM (SELECT DISTINCT segment FROM activity) AS g
  CROSS JOIN dates AS d
  LEFT JOIN activity AS c
    ON c.event_date = d.event_date AND c.segment IS NOT DISTINCT FROM g.segment
),
shares AS (
  SELECT
    c.*,
    CASE
      WHEN c.event_date >= b.first_date + 28 THEN CAST(c.active AS DOUBLE) / NULLIF(c.partners, 0)
    END AS share
  FROM bounds AS b
  CROSS JOIN counts AS c
),
usual AS (
  SELECT s.segment, s.event_date + CAST(7 * k.value AS INT) AS event_date, median(s.share) AS usual
  FROM generate_series(1, 12) AS k
  CROSS JOIN shares AS s
  GROUP BY s.segment, s.event_date + CAST(7 * k.value AS INT)
)
SELECT
  s.segment,
  s.event_date,
  s.partners,
  s.active,
  u.usual,
  coalesce(
    s.partners >= 20
      AND s.share < 0.8 * u.usual
      AND s.share < u.usual - 3 * sqrt(u.usual * (1 - u.usual) / s.partners),
    FALSE
  ) AS is_calm
FROM shares AS s
LEFT JOIN usual AS u
  ON u.event_date = s.event_date AND u.segment IS NOT DISTINCT FROM s.segment
ORDER BY s.segment, s.event_date
