/*---
description = "The first 28 days of each partner after go-live as known on each evaluation day, and whether it became paying within 90"
owner = "partner-analytics"
grain = ["day", "partner_id"]
tags = ["internal"]

[columns]
day = { type = "Date32", description = "evaluation day" }
partner_id = { type = "Utf8", description = "live for 28 days or more: the first 28 dates from go-live on are over" }
live_on = { type = "Date32", description = "date of go-live" }
calls = { type = "Int64", unit = "calls", description = "production calls of the 28 dates from go-live on, of any status" }
later_calls = { type = "Int64", unit = "calls", description = "of the second fortnight of them" }
successes = { type = "Int64", unit = "calls", description = "of all 28 dates, as the next two" }
active_days = { type = "Int64", unit = "days", description = "with a success" }
products = { type = "Int64", unit = "products", description = "with a success; NULL where no success names one" }
is_unpaid = { type = "Boolean", description = "no charge before the day" }
became_paying = { type = "Boolean", description = "the first charge came on one of the 90 dates from go-live on; NULL until 118 days after go-live, and for partners that were charged before go-live" }

[[checks]]
unique = ["day", "partner_id"]
[[checks]]
not_null = ["live_on", "calls", "later_calls", "successes", "active_days", "is_unpaid"]
[[checks]]
sql = "SELECT * FROM this WHERE later_calls > calls OR successes > calls OR active_days NOT BETWEEN 1 AND 28 OR products < 1 OR (is_unpaid AND became_paying)"
---*/
WITH
begun AS (
  SELECT day, partner_id, CAST(live_at AS DATE) AS live_on
  FROM scoring_partner
  WHERE CAST(live_at AS DATE) <= day - 28
),
-- The first 28 dates are the same on every evaluation day after them.
beginnings AS (
  SELECT
    b.partner_id,
    sum(u.calls) AS calls,
    COALESCE(sum(u.calls) FILTER (WHERE u.event_date >= b.live_on + 14), 0) AS later_calls,
    sum(u.successes) AS successes,
    count(DISTINCT CASE WHEN u.successes > 0 THEN u.event_date END) AS active_days,
    count(DISTINCT CASE WHEN u.successes > 0 THEN u.product END) AS products
  FROM (SELECT DISTINCT partner_id, live_on FROM begun) AS b
  JOIN usage_day AS u ON u.partner_id = b.partner_id
  WHERE u.environment = 'production'
    AND u.event_date >= b.live_on
    AND u.event_date < b.live_on + 28
  GROUP BY b.partner_id
),
charged AS (
  SELECT partner_id, CAST(charged_at AS DATE) AS charged_on
  FROM first_charge
)
SELECT
  b.day,
  b.partner_id,
  b.live_on,
  f.calls,
  f.later_calls,
  f.successes,
  f.active_days,
  NULLIF(f.products, 0) AS products,
  COALESCE(c.charged_on >= b.day, TRUE) AS is_unpaid,
  CASE
    WHEN c.charged_on < b.live_on THEN NULL
    WHEN b.live_on <= b.day - 118 THEN COALESCE(c.charged_on < b.live_on + 90, FALSE)
  END AS became_paying
FROM begun AS b
JOIN beginnings AS f ON f.partner_id = b.partner_id
LEFT JOIN charged AS c ON c.partner_id = b.partner_id
ORDER BY b.day, b.partner_id
