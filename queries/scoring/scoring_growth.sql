/*---
description = "Production calls of each live partner by week before each evaluation day: the median of the last four, of the eight before, and of the twelve of the baseline"
owner = "partner-analytics"
grain = ["day", "partner_id"]
tags = ["internal"]

[columns]
day = { type = "Date32", description = "evaluation day" }
partner_id = { type = "Utf8", description = "live before day" }
live_weeks = { type = "Int64", unit = "weeks", description = "whole weeks from go-live to day" }
recent_median = { type = "Float64", unit = "calls", description = "the median of the last four weeks. A week with calm dates keeps the others, scaled to seven, and one with more than three is left out" }
before_median = { type = "Float64", unit = "calls", description = "likewise of the eight weeks before, those that begin before go-live left out" }
weeks_recent = { type = "Int64", unit = "weeks", description = "that recent_median is made of" }
weeks_before = { type = "Int64", unit = "weeks", description = "that before_median is made of" }
calls_14d = { type = "Float64", unit = "calls", description = "of the last 14 dates, calm ones left out and the rest scaled to 14; NULL with more than seven calm ones" }
baseline_week_median = { type = "Float64", unit = "calls", description = "likewise of weeks 5 to 16 before day" }
baseline_week_lowest = { type = "Float64", unit = "calls", description = "the least of these weeks" }
former_week_median = { type = "Float64", unit = "calls", description = "likewise of weeks 17 to 28 before day: a baseline that holds a fall itself is lower" }
calm_days = { type = "Int64", unit = "days", description = "calm dates in the last twelve weeks, those before go-live left out" }

[[checks]]
unique = ["day", "partner_id"]
[[checks]]
sql = "SELECT * FROM this WHERE weeks_recent > 4 OR weeks_before > 8 OR calls_14d < 0 OR live_weeks < 0"
---*/
WITH
-- The first whole date is the one after go-live, or its own if that was at midnight.
live AS (
  SELECT
    partner_id,
    CAST(live AS DATE) AS live_on,
    CAST(live - INTERVAL '1 microsecond' AS DATE) + 1 AS first_whole_date
  FROM partners
  WHERE live IS NOT NULL
),
traffic AS (
  SELECT t.day, t.partner_id, (t.age + 6) / 7 AS week, sum(t.calls) AS calls
  FROM calm_partner_day AS c
  RIGHT ANTI JOIN traffic_window AS t
    ON t.partner_id = c.partner_id AND t.event_date = c.event_date
  GROUP BY t.day, t.partner_id, (t.age + 6) / 7
),
calm AS (
  SELECT w.day, c.partner_id, (w.age + 6) / 7 AS week, count(*) AS days
  FROM evaluation_window AS w
  JOIN calm_partner_day AS c ON c.event_date = w.event_date
  GROUP BY w.day, c.partner_id, (w.age + 6) / 7
),
weeks AS (
  SELECT
    e.day,
    l.partner_id,
    l.first_whole_date,
    w.value AS week,
    coalesce(t.calls, 0) AS calls,
    coalesce(c.days, 0) AS calm_days,
    e.day - CAST(7 * w.value AS INT) >= l.first_whole_date AS is_live
  FROM evaluation_day AS e
  CROSS JOIN generate_series(1, 28) AS w
  JOIN live AS l ON l.live_on < e.day
  LEFT JOIN traffic AS t
    ON t.day = e.day AND t.partner_id = l.partner_id AND t.week = w.value
  LEFT JOIN calm AS c
    ON c.day = e.day AND c.partner_id = l.partner_id AND c.week = w.value
),
scaled AS (
  SELECT
    *,
    CASE
      WHEN is_live AND calm_days <= 3 THEN CAST(calls AS DOUBLE) * 7 / (7 - calm_days)
    END AS scaled_calls
  FROM weeks
)
SELECT
  day,
  partner_id,
  CAST((day - first_whole_date) / 7 AS BIGINT) AS live_weeks,
  median(scaled_calls) FILTER (WHERE week <= 4) AS recent_median,
  median(scaled_calls) FILTER (WHERE week BETWEEN 5 AND 12) AS before_median,
  count(scaled_calls) FILTER (WHERE week <= 4) AS weeks_recent,
  count(scaled_calls) FILTER (WHERE week BETWEEN 5 AND 12) AS weeks_before,
  CASE
    WHEN sum(calm_days) FILTER (WHERE week <= 2) <= 7 THEN
      CAST(sum(calls) FILTER (WHERE week <= 2) AS DOUBLE) * 14
        / (14 - sum(calm_days) FILTER (WHERE week <= 2))
  END AS calls_14d,
  median(scaled_calls) FILTER (WHERE week BETWEEN 5 AND 16) AS baseline_week_median,
  min(scaled_calls) FILTER (WHERE week BETWEEN 5 AND 16) AS baseline_week_lowest,
  median(scaled_calls) FILTER (WHERE week >= 17) AS former_week_median,
  sum(calm_days) FILTER (WHERE week <= 12) AS calm_days
FROM scaled
GROUP BY day, partner_id, first_whole_date
ORDER BY day, partner_id
