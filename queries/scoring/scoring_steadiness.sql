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
-- its age is 7 · (week − 1) + weekday. The baseline of a weekday is its dates in weeks 5 to 16: the
-- twelve dates, a week apart, up to one that is 28 + weekday days before the evaluation day. Days
-- that follow each other share most of these, so the baseline is made once for each such last date.
WITH
live_partners AS (
  SELECT partner_id, CAST(live AS DATE) AS live_on
  FROM partners
  WHERE live IS NOT NULL
),
live AS (
  SELECT e.day, p.partner_id, p.live_on
  FROM evaluation_day AS e
  JOIN live_partners AS p ON p.live_on < e.day
),
last_dates AS (
  SELECT DISTINCT e.day - CAST(28 + w.value AS INT) AS last_date
  FROM evaluation_day AS e
  CROSS JOIN generate_series(1, 7) AS w
),
baseline_dates AS (
  SELECT l.last_date, l.last_date - CAST(7 * k.value AS INT) AS event_date
  FROM last_dates AS l
  CROSS JOIN generate_series(0, 11) AS k
  GROUP BY l.last_date, l.last_date - CAST(7 * k.value AS INT)
),
-- Calls that arrived late are of the last 14 dates, so they are none of these.
daily AS (
  SELECT
    u.partner_id,
    u.event_date,
    l.live_on,
    u.calls,
    u.successes > 0 AS is_active
  FROM live_partners AS l
  JOIN scoring_traffic_day AS u ON u.partner_id = l.partner_id
  WHERE u.event_date >= l.live_on
    AND u.event_date >= (SELECT min(event_date) FROM baseline_dates)
    AND u.event_date <= (SELECT max(event_date) FROM baseline_dates)
),
not_calm_daily AS (
  SELECT d.partner_id, d.event_date, d.live_on, d.calls, d.is_active
  FROM calm_partner_day AS c
  RIGHT ANTI JOIN daily AS d ON d.partner_id = c.partner_id AND d.event_date = c.event_date
),
calm_baseline AS (
  SELECT b.last_date, c.partner_id, count(*) AS days
  FROM baseline_dates AS b
  JOIN calm_partner_day AS c ON c.event_date = b.event_date
  GROUP BY b.last_date, c.partner_id
),
-- Of the dates of the baseline since go-live, those with calls; `dates` counts the others too.
ranked AS (
  SELECT
    b.last_date,
    d.partner_id,
    d.calls,
    d.is_active,
    least(CAST(floor((b.last_date - d.live_on) / 7.0) AS BIGINT) + 1, 12) - coalesce(c.days, 0)
      AS dates,
    row_number() OVER (
      PARTITION BY b.last_date, d.partner_id ORDER BY d.calls DESC, d.event_date
    ) AS place
  FROM baseline_dates AS b
  JOIN not_calm_daily AS d ON d.event_date = b.event_date
  LEFT JOIN calm_baseline AS c ON c.last_date = b.last_date AND c.partner_id = d.partner_id
),
-- The median is that of all dates of the weekday: those without calls have the last places.
of_last_dates AS (
  SELECT
    last_date,
    partner_id,
    CAST(count(*) FILTER (WHERE is_active) AS DOUBLE) / dates AS active_share,
    CAST(sum(calls) FILTER (WHERE place IN ((dates + 1) / 2, dates / 2 + 1)) AS DOUBLE)
      / (2 - dates % 2) AS median_calls
  FROM ranked
  GROUP BY last_date, partner_id, dates
),
baseline AS (
  SELECT e.day, b.partner_id, w.value AS weekday, b.active_share, b.median_calls
  FROM evaluation_day AS e
  CROSS JOIN generate_series(1, 7) AS w
  JOIN of_last_dates AS b ON b.last_date = e.day - CAST(28 + w.value AS INT)
),
traffic AS (
  SELECT
    t.day,
    t.partner_id,
    (t.age + 6) / 7 AS week,
    (t.age + 6) % 7 + 1 AS weekday,
    t.calls,
    t.successes > 0 AS is_active
  FROM live AS l
  JOIN (
    SELECT t.day, t.partner_id, t.event_date, t.age, t.calls, t.successes
    FROM calm_partner_day AS c
    RIGHT ANTI JOIN traffic_window AS t
      ON t.partner_id = c.partner_id AND t.event_date = c.event_date
    WHERE t.age <= 28
  ) AS t ON t.day = l.day AND t.partner_id = l.partner_id
  WHERE t.event_date >= l.live_on
),
calm AS (
  SELECT w.day, c.partner_id, (w.age + 6) / 7 AS week, (w.age + 6) % 7 + 1 AS weekday
  FROM evaluation_window AS w
  JOIN calm_partner_day AS c ON c.event_date = w.event_date
  WHERE w.age <= 28
),
calm_dates AS (
  SELECT c.day, c.partner_id, c.weekday, o.value AS left_out, count(*) AS days
  FROM generate_series(0, 4) AS o
  CROSS JOIN calm AS c
  WHERE c.week <> o.value
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
