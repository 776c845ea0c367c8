/*---
description = "What each partner is worth as of each evaluation day: its share of the gross of the last complete calendar month with gross, and its rank"
owner = "partner-analytics"
grain = ["day", "partner_id"]
tags = ["internal"]

[columns]
day = { type = "Date32", description = "evaluation day" }
partner_id = { type = "Utf8", description = "with a billing event in the month" }
share = { type = "Float64", unit = "ratio", description = "of the month's gross" }
rank = { type = "Int64", description = "by gross down, ties by partner_id" }

[[checks]]
unique = ["day", "partner_id"]
[[checks]]
unique = ["day", "rank"]
---*/
WITH
-- Without gross a month has no shares.
months AS (
  SELECT e.day, max(m.month) AS month
  FROM evaluation_day AS e
  CROSS JOIN (SELECT DISTINCT month FROM revenue_per_partner WHERE share IS NOT NULL) AS m
  WHERE next_month(m.month) <= e.day
  GROUP BY e.day
)
SELECT m.day, r.partner_id, r.share, r.rank
FROM months AS m
JOIN revenue_per_partner AS r ON r.month = m.month
ORDER BY m.day, r.partner_id
