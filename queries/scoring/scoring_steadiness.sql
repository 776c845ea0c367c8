/*---
description = "How regularly each live partner called production in the 28 days before each evaluation day, against the same weekdays of the 84 days before: of all four weeks, and without each one of them. Calm dates are left out"
owner = "partner-analytics"
grain = ["day", "partner_id", "left_out"]
tags = ["internal"]

[columns]
day = { type = "Date32", description = "evaluation day" }
partner_id = { type = "Utf8", description = "live before day" }
left_out = { type = "Int64", description = "0: no week; 1 to 4: the week that is not counted, 1 being the last seven days" }
active_days = { type = "Int64", unit = "days", description = "dates with a success in the weeks that are counted" }
expected_days = { type = "Float64", unit = "days", description = "for each date that is counted, the share of its weekday's dates in the baseline that were active" }
baseline_days = { type = "Int64", unit = "days", description = "dates of the baseline since go-live, calm ones included" }
deviation = { type = "Float64", unit = "ratio", description = "1.4826 · MAD / median of calls divided by the weekday's median calls in the baseline; NULL for fewer than seven dates" }
mean_daily_calls = { type = "Float64", unit = "calls", description = "the median of the dates that deviation is made of" }
days_with_calls = { type = "Int64", unit = "days", description = "dates that deviation is made of: with calls, and on a weekday whose median is above 0" }

[[checks]]
unique = ["day", "partner_id", "left_out"]
[[checks]]
sql = "SELECT * FROM this WHERE active_days > 28 OR expected_days < 0 OR expected_days > 28 OR baseline_days > 84 OR days_with_calls > 28 OR deviation < 0"
---*/
-- Counted back from an evaluation day, a date has a week from 1 to 16 and a weekday from 1 to 7:
-- its age is 7 · (week − 1) + weekday. The baseline is weeks 5 to 16.
WITH
live AS (
  SELECT e.day, p.partner_id, CAST(p.live AS DATE) AS live_on
  FROM evaluation_day AS e
  JOIN partners AS p ON CAST(p.live AS DATE) < e.day
),
-- An anti join, because DataFusion 55 moves `c.partner_id IS NULL` above a right join to the wrong
-- side of it.
not_calm AS (
  SELECT t.day, t.partner_id, t.event_date, t.age, t.calls, t.successes
  FROM calm_partner_day AS c
  RIGHT ANTI JOIN traffic_window AS t
    ON t.partner_id = c.partner_id AND t.event_date = c.event_date
  WHERE t.age <= 112
),
traffic AS (
  SELECT
    t.day,
    t.partner_id,
    t.event_date,
    (t.age + 6) / 7 AS week,
    (t.age + 6) % 7 + 1 AS weekday,
    t.calls,
    t.successes > 0 AS is_active
  FROM live AS l
  JOIN not_calm AS t ON t.day = l.day AND t.partner_id = l.partner_id
  WHERE t.event_date >= l.live_on
),
calm AS (
  SELECT w.day, c.partner_id, (w.age + 6) / 7 AS week, (w.age + 6) % 7 + 1 AS weekday
  FROM evaluation_window AS w
  JOIN calm_partner_day AS c ON c.event_date = w.event_date
  WHERE w.age <= 112
),
calm_baseline AS (
  SELECT day, partner_id, weekday, count(*) AS days
  FROM calm
  WHERE week > 4
  GROUP BY day, partner_id, weekday
),
-- How many dates of the baseline since go-live a weekday has.
weekdays AS (
  SELECT
    l.day,
    l.partner_id,
    w.value AS weekday,
    greatest(CAST(floor((least(l.day - l.live_on, 112) - 21 - w.value) / 7.0) AS BIGINT), 0)
      - coalesce(c.days, 0) AS dates
  FROM generate_series(1, 7) AS w
  CROSS JOIN live AS l
  LEFT JOIN calm_baseline AS c
    ON c.day = l.day AND c.partner_id = l.partner_id AND c.weekday = w.value
),
ranked AS (
  SELECT
    day,
    partner_id,
    weekday,
    calls,
    is_active,
    row_number() OVER (
      PARTITION BY day, partner_id, weekday ORDER BY calls DESC, event_date
    ) AS place
  FROM traffic
  WHERE week > 4
),
-- The median is that of all dates of the weekday: those without calls have the last places.
baseline AS (
  SELECT
    r.day,
    r.partner_id,
    r.weekday,
    CAST(count(*) FILTER (WHERE r.is_active) AS DOUBLE) / w.dates AS active_share,
    CAST(sum(r.calls) FILTER (
      WHERE r.place IN ((w.dates + 1) / 2, w.dates / 2 + 1)
    ) AS DOUBLE) / (2 - w.dates % 2) AS median_calls
  FROM weekdays AS w
  JOIN ranked AS r
    ON r.day = w.day AND r.partner_id = w.partner_id AND r.weekday = w.weekday
  GROUP BY r.day, r.partner_id, r.weekday, w.dates
),
calm_dates AS (
  SELECT c.day, c.partner_id, c.weekday, o.value AS left_out, count(*) AS days
  FROM generate_series(0, 4) AS o
  CROSS JOIN calm AS c
  WHERE c.week <= 4 AND c.week <> o.value
  GROUP BY c.day, c.partner_id, c.weekday, o.value
),
expected AS (
  SELECT
    b.day,
    b.partner_id,
    o.value AS left_out,
    checked_sum(CAST(
      b.active_share * (CASE o.value WHEN 0 THEN 4 ELSE 3 END - coalesce(c.days, 0))
      AS DECIMAL(38, 15)
    )) AS days
  FROM generate_series(0, 4) AS o
  CROSS JOIN baseline AS b
  LEFT JOIN calm_dates AS c
    ON c.day = b.day
    AND c.partner_id = b.partner_id
    AND c.weekday = b.weekday
    AND c.left_out = o.value
  GROUP BY b.day, b.partner_id, o.value
),
observed AS (
  SELECT
    t.day,
    t.partner_id,
    t.week,
    t.is_active,
    CAST(CASE WHEN b.median_calls > 0 THEN t.calls END AS DOUBLE) AS calls,
    CASE WHEN b.median_calls > 0 THEN t.calls / b.median_calls END AS ratio
  FROM baseline AS b
  RIGHT JOIN traffic AS t
    ON t.day = b.day AND t.partner_id = b.partner_id AND t.weekday = b.weekday
  WHERE t.week <= 4
),
measured AS (
  SELECT
    t.day,
    t.partner_id,
    o.value AS left_out,
    count(*) FILTER (WHERE t.is_active) AS active_days,
    count(t.ratio) AS days_with_calls,
    median(t.calls) AS mean_daily_calls,
    median(t.ratio) AS median_ratio,
    median_deviation(t.ratio) AS deviation
  FROM generate_series(0, 4) AS o
  CROSS JOIN observed AS t
  WHERE t.week <> o.value
  GROUP BY t.day, t.partner_id, o.value
)
SELECT
  l.day,
  l.partner_id,
  o.value AS left_out,
  coalesce(m.active_days, 0) AS active_days,
  coalesce(CAST(e.days AS DOUBLE), 0) AS expected_days,
  CAST(greatest(least(l.day - l.live_on, 112) - 28, 0) AS BIGINT) AS baseline_days,
  CASE WHEN m.days_with_calls >= 7 THEN 1.4826 * m.deviation / m.median_ratio END AS deviation,
  m.mean_daily_calls,
  coalesce(m.days_with_calls, 0) AS days_with_calls
FROM generate_series(0, 4) AS o
CROSS JOIN live AS l
LEFT JOIN measured AS m
  ON m.day = l.day AND m.partner_id = l.partner_id AND m.left_out = o.value
LEFT JOIN expected AS e
  ON e.day = l.day AND e.partner_id = l.partner_id AND e.left_out = o.value
ORDER BY l.day, l.partner_id, o.value
