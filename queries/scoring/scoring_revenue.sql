/*---
description = "Monthly gross of each charged partner before each evaluation day, its failed payments, and its calls in the same months"
owner = "partner-analytics"
grain = ["day", "partner_id"]
tags = ["internal"]

[columns]
day = { type = "Date32", description = "evaluation day" }
partner_id = { type = "Utf8", description = "charged before the day" }
months_since_first_charge = { type = "Int64", unit = "months", description = "complete calendar months before the day, from the one after the month of the first charge" }
recent_mean = { type = "Float64", unit = "reporting_currency", description = "mean monthly gross of the last 3 complete months; NULL with fewer since the first charge" }
before_mean = { type = "Float64", unit = "reporting_currency", description = "of the 3 months before those; NULL with fewer than 6 since the first charge" }
last_month_gross = { type = "Float64", unit = "reporting_currency", description = "of the last complete month" }
median_before = { type = "Float64", unit = "reporting_currency", description = "median gross of the 3 months before the last complete one; NULL with fewer than 4 since the first charge" }
payment_failed = { type = "Boolean", description = "a payment failed more than 7 days before the day, and none succeeded within 7 days; after 90 days only if none has succeeded since" }
last_month_calls = { type = "Int64", unit = "calls", description = "production calls of the last complete month" }
median_calls_before = { type = "Float64", unit = "calls", description = "as median_before" }

[[checks]]
unique = ["day", "partner_id"]
[[checks]]
not_null = ["months_since_first_charge", "last_month_gross", "payment_failed", "last_month_calls"]
---*/
WITH
-- The six complete months before each evaluation day; 1 is the last of them.
months AS (
  SELECT day, month, months_apart(month, day) AS age
  FROM (
    SELECT
      day,
      unnest(month_series(month_start(day) - INTERVAL '6 months', month_start(day) - INTERVAL '1 day')) AS month
    FROM evaluation_day
  ) AS series
),
billed AS (
  SELECT month_start(event_date) AS month, partner_id, checked_sum(gross) AS gross
  FROM money_day
  WHERE event_date >= (SELECT month_start(min(day)) - INTERVAL '6 months' FROM evaluation_day)
  GROUP BY month_start(event_date), partner_id
),
money AS (
  SELECT
    m.day,
    b.partner_id,
    CAST(checked_sum(b.gross) FILTER (WHERE m.age <= 3) AS DOUBLE) AS recent,
    CAST(checked_sum(b.gross) FILTER (WHERE m.age > 3) AS DOUBLE) AS before,
    CAST(checked_sum(b.gross) FILTER (WHERE m.age = 1) AS DOUBLE) AS first,
    CAST(checked_sum(b.gross) FILTER (WHERE m.age = 2) AS DOUBLE) AS second,
    CAST(checked_sum(b.gross) FILTER (WHERE m.age = 3) AS DOUBLE) AS third,
    CAST(checked_sum(b.gross) FILTER (WHERE m.age = 4) AS DOUBLE) AS fourth
  FROM months AS m
  JOIN billed AS b ON b.month = m.month
  GROUP BY m.day, b.partner_id
),
called AS (
  SELECT month_start(event_date) AS month, partner_id, sum(calls) AS calls
  FROM usage_day
  WHERE environment = 'production'
    AND event_date >= (SELECT month_start(min(day)) - INTERVAL '6 months' FROM evaluation_day)
  GROUP BY month_start(event_date), partner_id
),
-- A month's calls, less those that had not arrived by the day.
arrived AS (
  SELECT m.day, c.partner_id, m.age, c.calls
  FROM months AS m
  JOIN called AS c ON c.month = m.month
  UNION ALL
  SELECT day, partner_id, months_apart(event_date, day) AS age, -calls AS calls
  FROM late_calls
),
usage AS (
  SELECT
    day,
    partner_id,
    sum(calls) FILTER (WHERE age = 1) AS first,
    sum(calls) FILTER (WHERE age = 2) AS second,
    sum(calls) FILTER (WHERE age = 3) AS third,
    sum(calls) FILTER (WHERE age = 4) AS fourth
  FROM arrived
  GROUP BY day, partner_id
),
-- The next success after each payment; one of the same instant follows a failure.
attempts AS (
  SELECT
    partner_id,
    kind,
    occurred_at,
    min(CASE WHEN kind = 'payment_succeeded' THEN occurred_at END) OVER (
      PARTITION BY partner_id ORDER BY occurred_at DESC, kind DESC
    ) AS succeeded_at
  FROM payments
  WHERE kind IN ('payment_failed', 'payment_succeeded')
),
-- What follows a failure within 7 days is known before the day.
failures AS (
  SELECT DISTINCT e.day, a.partner_id
  FROM evaluation_day AS e
  CROSS JOIN attempts AS a
  WHERE a.kind = 'payment_failed'
    AND (a.succeeded_at IS NULL OR a.succeeded_at > a.occurred_at + INTERVAL '7 days')
    AND CAST(a.occurred_at AS DATE) < e.day - 7
    AND (
      CAST(a.occurred_at AS DATE) >= e.day - 90
      OR a.succeeded_at IS NULL
      OR CAST(a.succeeded_at AS DATE) >= e.day
    )
),
charged AS (
  SELECT
    e.day,
    c.partner_id,
    greatest(months_apart(next_month(c.charged_at), e.day), 0) AS months
  FROM evaluation_day AS e
  CROSS JOIN first_charge AS c
  WHERE CAST(c.charged_at AS DATE) < e.day
),
-- A month without a row is one of nothing.
filled AS (
  SELECT
    c.day,
    c.partner_id,
    c.months,
    COALESCE(m.recent, 0) AS recent,
    COALESCE(m.before, 0) AS before,
    COALESCE(m.first, 0) AS gross_1,
    COALESCE(m.second, 0) AS gross_2,
    COALESCE(m.third, 0) AS gross_3,
    COALESCE(m.fourth, 0) AS gross_4,
    COALESCE(u.first, 0) AS calls_1,
    COALESCE(u.second, 0) AS calls_2,
    COALESCE(u.third, 0) AS calls_3,
    COALESCE(u.fourth, 0) AS calls_4,
    f.partner_id IS NOT NULL AS payment_failed
  FROM charged AS c
  LEFT JOIN money AS m ON m.day = c.day AND m.partner_id = c.partner_id
  LEFT JOIN usage AS u ON u.day = c.day AND u.partner_id = c.partner_id
  LEFT JOIN failures AS f ON f.day = c.day AND f.partner_id = c.partner_id
)
SELECT
  day,
  partner_id,
  months AS months_since_first_charge,
  CASE WHEN months >= 3 THEN recent / 3 END AS recent_mean,
  CASE WHEN months >= 6 THEN before / 3 END AS before_mean,
  gross_1 AS last_month_gross,
  CASE
    WHEN months >= 4
    THEN greatest(least(gross_2, gross_3), least(greatest(gross_2, gross_3), gross_4))
  END AS median_before,
  payment_failed,
  calls_1 AS last_month_calls,
  CASE
    WHEN months >= 4
    THEN CAST(greatest(least(calls_2, calls_3), least(greatest(calls_2, calls_3), calls_4)) AS DOUBLE)
  END AS median_calls_before
FROM filled
ORDER BY day, partner_id
