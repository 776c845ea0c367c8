/*---
description = "How regularly each live partner used its opportunities before each evaluation day: recency and frequency for the beta-geometric/beta-Bernoulli model"
owner = "partner-analytics"
grain = ["day", "partner_id"]
tags = ["internal"]

[columns]
day = { type = "Date32", description = "evaluation day" }
partner_id = { type = "Utf8", description = "live before the day" }
length = { type = "Int64", unit = "days", description = "of an opportunity: the cadence rounded up, 7 at least. They are counted forward from the date of go-live" }
x = { type = "Int64", unit = "opportunities", description = "with a production success" }
t_x = { type = "Int64", unit = "opportunities", description = "the number of the last one with a success, counted from 1; 0 without any" }
n = { type = "Int64", unit = "opportunities", description = "complete ones before the day, without the one of go-live and those that were inactive and at least half calm" }
fit_x = { type = "Int64", unit = "opportunities", description = "as x, of the first 52" }
fit_t_x = { type = "Int64", unit = "opportunities", description = "as t_x, of the first 52" }
fit_n = { type = "Int64", unit = "opportunities", description = "as n, of the first 52" }

[[checks]]
unique = ["day", "partner_id"]
[[checks]]
sql = "SELECT * FROM this WHERE x > t_x OR t_x > n OR fit_x > fit_t_x OR fit_t_x > fit_n OR fit_n > 52 OR (t_x > 0 AND x = 0) OR length < 7"
---*/
WITH
lives AS (
  SELECT
    e.day,
    p.partner_id,
    CAST(p.live AS DATE) AS live_on,
    greatest(CAST(ceil(COALESCE(a.cadence, 1)) AS BIGINT), 7) AS length
  FROM evaluation_day AS e
  CROSS JOIN partners AS p
  LEFT JOIN scoring_activity AS a ON a.day = e.day AND a.partner_id = p.partner_id
  WHERE CAST(p.live AS DATE) < e.day
),
-- Opportunity 0 contains go-live. The complete ones after it have the numbers 1 to `complete`.
spans AS (
  SELECT
    day,
    partner_id,
    live_on,
    length,
    greatest((CAST(day AS INT) - CAST(live_on AS INT)) / length - 1, 0) AS complete
  FROM lives
),
-- Opportunities depend on the length, not on the evaluation day, so they are made once for both.
lengths AS (
  SELECT DISTINCT partner_id, live_on, length
  FROM spans
),
daily AS (
  SELECT partner_id, event_date, successes
  FROM scoring_traffic_day
  WHERE successes > 0
),
dates AS (
  SELECT partner_id, event_date, 1 AS active, 0 AS calm
  FROM daily
  UNION ALL
  SELECT partner_id, event_date, 0 AS active, 1 AS calm
  FROM calm_partner_day
),
opportunities AS (
  SELECT
    l.partner_id,
    l.length,
    (CAST(d.event_date AS INT) - CAST(l.live_on AS INT)) / l.length AS number,
    sum(d.active) AS dates,
    2 * sum(d.calm) >= l.length AS is_calm
  FROM dates AS d
  JOIN lengths AS l ON l.partner_id = d.partner_id
  WHERE d.event_date >= l.live_on
  GROUP BY l.partner_id, l.length, (CAST(d.event_date AS INT) - CAST(l.live_on AS INT)) / l.length
),
-- Dates whose every success arrived late.
unknown AS (
  SELECT
    s.day,
    s.partner_id,
    (CAST(l.event_date AS INT) - CAST(s.live_on AS INT)) / s.length AS number,
    count(*) AS dates
  FROM late_calls AS l
  JOIN daily AS d ON d.partner_id = l.partner_id AND d.event_date = l.event_date
  JOIN spans AS s ON s.day = l.day AND s.partner_id = l.partner_id
  WHERE l.successes >= d.successes
  GROUP BY s.day, s.partner_id, (CAST(l.event_date AS INT) - CAST(s.live_on AS INT)) / s.length
),
known AS (
  SELECT
    s.day,
    s.partner_id,
    o.number,
    o.dates > COALESCE(u.dates, 0) AS is_active,
    o.is_calm
  FROM spans AS s
  JOIN opportunities AS o ON o.partner_id = s.partner_id AND o.length = s.length
  LEFT JOIN unknown AS u
    ON u.day = s.day AND u.partner_id = s.partner_id AND u.number = o.number
  WHERE o.number >= 1 AND o.number <= s.complete
),
-- Those left out make the numbers of later ones smaller.
numbered AS (
  SELECT
    day,
    partner_id,
    is_active,
    number - count(*) FILTER (WHERE NOT is_active)
      OVER (PARTITION BY day, partner_id ORDER BY number ROWS UNBOUNDED PRECEDING) AS t
  FROM known
  WHERE is_active OR is_calm
),
counted AS (
  SELECT
    day,
    partner_id,
    count(*) FILTER (WHERE is_active) AS x,
    max(t) FILTER (WHERE is_active) AS t_x,
    count(*) FILTER (WHERE NOT is_active) AS left_out,
    count(*) FILTER (WHERE is_active AND t <= 52) AS fit_x,
    max(t) FILTER (WHERE is_active AND t <= 52) AS fit_t_x
  FROM numbered
  GROUP BY day, partner_id
)
SELECT
  s.day,
  s.partner_id,
  s.length,
  COALESCE(c.x, 0) AS x,
  COALESCE(c.t_x, 0) AS t_x,
  s.complete - COALESCE(c.left_out, 0) AS n,
  COALESCE(c.fit_x, 0) AS fit_x,
  COALESCE(c.fit_t_x, 0) AS fit_t_x,
  least(s.complete - COALESCE(c.left_out, 0), 52) AS fit_n
FROM spans AS s
LEFT JOIN counted AS c ON c.day = s.day AND c.partner_id = s.partner_id
ORDER BY s.day, s.partner_id
