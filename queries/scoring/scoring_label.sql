/*---
description = "What became of each live partner after each evaluation day, up to as_of: the labels of the backtest. Merges before as_of are applied; a partner that was merged away on the day or later has a row of its own calls"
owner = "partner-analytics"
grain = ["day", "partner_id"]
tags = ["internal"]

[columns]
day = { type = "Date32", description = "evaluation day" }
partner_id = { type = "Utf8", description = "live before the day" }
was_active = { type = "Boolean", description = "a production success in the 28 days before the day that had arrived by it" }
next_success_date = { type = "Date32", description = "first date with a production success, from the day on; NULL without any before as_of" }
last_success_in_label = { type = "Date32", description = "last date with a production success in the label window; NULL without any" }
cadence = { type = "Float64", unit = "days", description = "as in scoring_activity; NULL where unknown" }
observed_until = { type = "Date32", description = "the date of as_of, which is not observed any more" }
label_days = { type = "Int64", unit = "days", description = "length of the label window, which begins on the day: 28, or twice the cadence where that is longer, rounded up" }
left = { type = "Boolean", description = "no production success in the label window; NULL until it is over" }
excluded = { type = "Utf8", description = "why the label says nothing of the partner's own will: merged, offboarded or suspended in the label window or since before it, or paused on a day of it" }
size = { type = "Utf8", description = "third by calls of the 28 days before the day among the active partners: small, medium or large; NULL for others" }
plan = { type = "Utf8", description = "on the day" }
region = { type = "Utf8", description = "on the day" }
last_success_ever = { type = "Date32", description = "last date with a production success before as_of" }

[[checks]]
unique = ["day", "partner_id"]
[[checks]]
not_null = ["was_active", "observed_until", "label_days", "last_success_ever"]
[[checks]]
sql = "SELECT * FROM this WHERE label_days < 28 OR next_success_date < day OR last_success_in_label < next_success_date OR (\"left\" AND last_success_in_label IS NOT NULL)"
---*/
WITH
-- usage_day gives the calls of a partner that was merged away to the one that stands for it now.
-- Both are needed here, for on the evaluation day it may still have stood for itself.
merged AS (
  SELECT e.partner_id, max(e.event_date) AS merged_on
  FROM partner_events AS e
  JOIN merge_map AS m ON m.partner_id = e.partner_id
  WHERE e.type = 'merged'
    AND e.merged_into IS NOT NULL
    AND e.merged_into <> e.partner_id
    AND e.event_date < $as_of
  GROUP BY e.partner_id
),
daily AS (
  SELECT partner_id, event_date, sum(calls) AS calls, sum(successes) AS successes
  FROM usage_day
  WHERE environment = 'production'
  GROUP BY partner_id, event_date
  UNION ALL
  SELECT d.partner_id, d.event_date, sum(d.calls) AS calls, sum(d.successes) AS successes
  FROM partner_day AS d
  JOIN merged AS m ON m.partner_id = d.partner_id
  WHERE d.environment = 'production' AND d.event_date < $as_of
  GROUP BY d.partner_id, d.event_date
),
successes AS (
  SELECT partner_id, event_date
  FROM daily
  WHERE successes > 0
),
lives AS (
  SELECT partner_id, min(event_date) AS live_on, max(event_date) AS last_on
  FROM successes
  GROUP BY partner_id
),
subjects AS (
  SELECT *, day + CAST(label_days AS INT) AS ends_on
  FROM (
    SELECT
      e.day,
      l.partner_id,
      l.last_on,
      m.merged_on,
      a.cadence,
      CAST(ceil(greatest(2 * COALESCE(a.cadence, 1), 28)) AS BIGINT) AS label_days
    FROM evaluation_day AS e
    JOIN lives AS l ON l.live_on < e.day
    LEFT JOIN merged AS m ON m.partner_id = l.partner_id
    LEFT JOIN scoring_activity AS a ON a.day = e.day AND a.partner_id = l.partner_id
    WHERE m.merged_on IS NULL OR m.merged_on >= e.day
  ) AS live
),
recent AS (
  SELECT
    w.day,
    u.partner_id,
    sum(u.calls - COALESCE(l.calls, 0)) AS calls,
    count(*) FILTER (WHERE u.successes > COALESCE(l.successes, 0)) AS active_days
  FROM daily AS u
  JOIN evaluation_window AS w ON w.event_date = u.event_date
  LEFT JOIN late_calls AS l
    ON l.day = w.day AND l.partner_id = u.partner_id AND l.event_date = u.event_date
  WHERE w.age <= 28
  GROUP BY w.day, u.partner_id
),
sizes AS (
  SELECT
    r.day,
    r.partner_id,
    ntile(3) OVER (PARTITION BY r.day ORDER BY r.calls, r.partner_id) AS third
  FROM recent AS r
  JOIN subjects AS s ON s.day = r.day AND s.partner_id = r.partner_id
  WHERE r.active_days > 0
),
-- Both ends of each label window among the partner's successes, before those of the same date.
timeline AS (
  SELECT partner_id, event_date AS at, CAST(NULL AS DATE) AS day, 'success' AS kind, event_date AS success_on
  FROM successes
  UNION ALL
  SELECT partner_id, day AS at, day, 'begin' AS kind, CAST(NULL AS DATE) AS success_on
  FROM subjects
  UNION ALL
  SELECT partner_id, ends_on AS at, day, 'end' AS kind, CAST(NULL AS DATE) AS success_on
  FROM subjects
),
around AS (
  SELECT
    partner_id,
    day,
    kind,
    max(success_on) OVER (PARTITION BY partner_id ORDER BY at, kind) AS last_before,
    min(success_on) OVER (PARTITION BY partner_id ORDER BY at DESC, kind DESC) AS first_after
  FROM timeline
),
windows AS (
  SELECT
    day,
    partner_id,
    max(first_after) FILTER (WHERE kind = 'begin') AS next_success_date,
    max(last_before) FILTER (WHERE kind = 'end' AND last_before >= day) AS last_success_in_label
  FROM around
  WHERE kind <> 'success'
  GROUP BY day, partner_id
),
states AS (
  SELECT
    s.day,
    s.partner_id,
    last_value(e.type ORDER BY e.occurred_at, e.event_id) FILTER (WHERE e.event_date < s.day) AS before,
    first_value(e.type ORDER BY e.occurred_at, e.event_id)
      FILTER (WHERE e.event_date >= s.day AND e.type <> 'reinstated') AS during
  FROM subjects AS s
  JOIN partner_events AS e ON e.partner_id = s.partner_id
  WHERE e.type IN ('suspended', 'offboarded', 'reinstated')
    AND e.event_date < s.ends_on
    AND e.event_date < $as_of
  GROUP BY s.day, s.partner_id
),
paused AS (
  SELECT DISTINCT s.day, s.partner_id
  FROM annotation AS a
  LEFT JOIN merge_map AS m ON m.partner_id = a.partner_id
  JOIN subjects AS s ON s.partner_id = COALESCE(m.survivor, a.partner_id)
  WHERE a.first_day < s.ends_on AND a.last_day >= s.day AND a.calm IS DISTINCT FROM false
),
attributes AS (
  SELECT
    e.day,
    p.partner_id,
    last_value(p.plan ORDER BY p.occurred_at, p.event_id) FILTER (WHERE p.plan IS NOT NULL) AS plan,
    last_value(p.region ORDER BY p.occurred_at, p.event_id) FILTER (WHERE p.region IS NOT NULL) AS region
  FROM evaluation_day AS e
  JOIN partner_events AS p ON p.event_date < e.day
  WHERE p.plan IS NOT NULL OR p.region IS NOT NULL
  GROUP BY e.day, p.partner_id
)
SELECT
  s.day,
  s.partner_id,
  COALESCE(r.active_days, 0) > 0 AS was_active,
  w.next_success_date,
  w.last_success_in_label,
  s.cadence,
  CAST($as_of AS DATE) AS observed_until,
  s.label_days,
  CASE WHEN s.ends_on <= CAST($as_of AS DATE) THEN w.last_success_in_label IS NULL END AS "left",
  CASE
    WHEN s.merged_on < s.ends_on THEN 'merged'
    WHEN t.before <> 'reinstated' THEN t.before
    WHEN t.during IS NOT NULL THEN t.during
    WHEN p.partner_id IS NOT NULL THEN 'paused'
  END AS excluded,
  CASE z.third WHEN 1 THEN 'small' WHEN 2 THEN 'medium' WHEN 3 THEN 'large' END AS size,
  b.plan,
  b.region,
  s.last_on AS last_success_ever
FROM subjects AS s
LEFT JOIN recent AS r ON r.day = s.day AND r.partner_id = s.partner_id
LEFT JOIN sizes AS z ON z.day = s.day AND z.partner_id = s.partner_id
LEFT JOIN windows AS w ON w.day = s.day AND w.partner_id = s.partner_id
LEFT JOIN states AS t ON t.day = s.day AND t.partner_id = s.partner_id
LEFT JOIN paused AS p ON p.day = s.day AND p.partner_id = s.partner_id
LEFT JOIN attributes AS b ON b.day = s.day AND b.partner_id = s.partner_id
ORDER BY s.day, s.partner_id
