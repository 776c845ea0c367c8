/*---
description = "What each live partner may be ready for as of each evaluation day: a larger quota, a product taken up"
owner = "partner-analytics"
grain = ["day", "partner_id"]
tags = ["internal"]

[columns]
day = { type = "Date32", description = "evaluation day" }
partner_id = { type = "Utf8", description = "live before the day" }
utilisation = { type = "Float64", unit = "ratio", description = "peak minute of the 28 days before the day / quota on the day; NULL without calls, or where the quota is unknown or 0" }
new_product = { type = "Utf8", description = "first succeeded in production in the 28 days before the day, after another product, by a partner live longer than 56 days; of several the earliest" }

[[checks]]
unique = ["day", "partner_id"]
---*/
WITH
live AS (
  SELECT
    day,
    partner_id,
    quota_per_minute,
    CAST(CAST(day AS INT) - CAST(CAST(live_at AS DATE) AS INT) AS BIGINT) AS days_live
  FROM scoring_partner
  WHERE CAST(live_at AS DATE) < day
),
peaks AS (
  SELECT w.day, p.partner_id, max(p.peak) AS peak
  FROM peak_day AS p
  JOIN evaluation_window AS w ON w.event_date = p.event_date
  WHERE p.environment = 'production'
    AND p.event_date >= (SELECT min(day) - 28 FROM evaluation_day)
    AND w.age <= 28
  GROUP BY w.day, p.partner_id
),
products AS (
  SELECT partner_id, product, min(event_date) AS first_on
  FROM usage_day
  WHERE environment = 'production' AND successes > 0 AND product IS NOT NULL
  GROUP BY partner_id, product
),
-- The first product of a partner is no new one.
added AS (
  SELECT p.partner_id, p.product, p.first_on
  FROM products AS p
  JOIN (SELECT partner_id, min(first_on) AS first_on FROM products GROUP BY partner_id) AS f
    ON f.partner_id = p.partner_id
  WHERE p.first_on > f.first_on
),
taken_up AS (
  SELECT l.day, l.partner_id, first_value(a.product ORDER BY a.first_on, a.product) AS product
  FROM live AS l
  JOIN added AS a ON a.partner_id = l.partner_id
  WHERE l.days_live > 56 AND a.first_on >= l.day - 28 AND a.first_on < l.day
  GROUP BY l.day, l.partner_id
)
SELECT
  l.day,
  l.partner_id,
  CAST(k.peak AS DOUBLE) / NULLIF(l.quota_per_minute, 0) AS utilisation,
  t.product AS new_product
FROM live AS l
LEFT JOIN peaks AS k ON k.day = l.day AND k.partner_id = l.partner_id
LEFT JOIN taken_up AS t ON t.day = l.day AND t.partner_id = l.partner_id
ORDER BY l.day, l.partner_id
