/*---
description = "On which dates how many partners of a segment begin and cease to count as active in the last 28 days, and how many of those that count are active on the date"
owner = "partner-analytics"
grain = ["segment", "event_date"]
tags = ["internal"]
keep = true

[columns]
segment = { type = "Utf8", description = "NULL for the whole portfolio" }
event_date = { type = "Date32", description = "dates with a change or an active partner" }
entered = { type = "Int64", unit = "partners", description = "whose first success in production after 28 dates without one was on the date before, less those whose last one was 29 dates before" }
active = { type = "Int64", unit = "partners", description = "with a success in production on the date and on one of the 28 dates before" }

[[checks]]
unique = ["segment", "event_date"]
---*/
WITH
successful AS (
  SELECT partner_id, event_date
  FROM scoring_traffic_day
  WHERE successes > 0
),
preceded AS (
  SELECT
    partner_id,
    event_date,
    lag(event_date) OVER (PARTITION BY partner_id ORDER BY event_date) AS previous
  FROM successful
),
-- The last success before a gap of more than 28 days is told by the success after it.
days AS (
  SELECT
    p.segment,
    s.event_date,
    coalesce(s.previous >= s.event_date - 28, FALSE) AS is_counted,
    CASE WHEN s.previous < s.event_date - 28 THEN s.previous END AS before_gap,
    count(*) AS partners
  FROM partners AS p
  JOIN preceded AS s ON s.partner_id = p.partner_id
  GROUP BY
    p.segment,
    s.event_date,
    coalesce(s.previous >= s.event_date - 28, FALSE),
    CASE WHEN s.previous < s.event_date - 28 THEN s.previous END
),
changes AS (
  SELECT
    d.segment,
    CASE k.value
      WHEN 1 THEN d.event_date
      WHEN 2 THEN d.event_date + 1
      ELSE d.before_gap + 29
    END AS event_date,
    CASE k.value WHEN 1 THEN 0 WHEN 2 THEN d.partners ELSE -d.partners END AS entered,
    CASE k.value WHEN 1 THEN d.partners ELSE 0 END AS active
  FROM generate_series(1, 3) AS k
  CROSS JOIN days AS d
  WHERE (k.value = 1 AND d.is_counted)
    OR (k.value = 2 AND NOT d.is_counted)
    OR (k.value = 3 AND d.before_gap IS NOT NULL)
  UNION ALL
  SELECT segment, CAST(last_success AS DATE) + 29 AS event_date, -1 AS entered, 0 AS active
  FROM partners
  WHERE last_success IS NOT NULL
),
groups AS (
  SELECT
    CASE g.value WHEN 1 THEN c.segment END AS segment,
    c.event_date,
    c.entered,
    c.active
  FROM generate_series(0, 1) AS g
  CROSS JOIN changes AS c
  WHERE g.value = 0 OR c.segment IS NOT NULL
)
SELECT segment, event_date, sum(entered) AS entered, sum(active) AS active
FROM groups
GROUP BY segment, event_date
ORDER BY segment, event_date
