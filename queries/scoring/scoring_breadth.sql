/*---
description = "Products and endpoints that each partner called in production in the 28 days before each evaluation day"
owner = "partner-analytics"
grain = ["day", "partner_id"]
tags = ["internal"]

[columns]
day = { type = "Date32", description = "evaluation day" }
partner_id = { type = "Utf8", description = "with a production call in the 28 days" }
calls = { type = "Int64", unit = "calls", description = "of any status" }
products = { type = "Int64", unit = "products", description = "distinct; NULL where no call names one" }
endpoints = { type = "Int64", unit = "endpoints", description = "distinct pairs of method and endpoint, as in the metric breadth; NULL where no call names an endpoint" }

[[checks]]
unique = ["day", "partner_id"]
[[checks]]
sql = "SELECT * FROM this WHERE calls < 1 OR products < 1 OR endpoints < 1"
---*/
WITH
called AS (
  SELECT day, partner_id, sum(calls) AS calls
  FROM traffic_window
  WHERE age <= 28
  GROUP BY day, partner_id
),
-- A date stands for the days after it up to the next date on which the same thing was used, so that
-- each thing is counted once a day. Calls that arrived late are not taken out, because late_calls
-- does not tell what they called.
product_dates AS (
  SELECT
    partner_id,
    event_date,
    lead(event_date) OVER (PARTITION BY partner_id, product ORDER BY event_date) AS next_date
  FROM usage_day
  WHERE environment = 'production'
    AND product IS NOT NULL
    AND event_date >= (SELECT min(day) - 28 FROM evaluation_day)
  GROUP BY partner_id, product, event_date
),
products AS (
  SELECT w.day, d.partner_id, count(*) AS products
  FROM product_dates AS d
  JOIN evaluation_window AS w ON w.event_date = d.event_date
  WHERE w.age <= 28 AND (d.next_date IS NULL OR w.day <= d.next_date)
  GROUP BY w.day, d.partner_id
),
endpoint_dates AS (
  SELECT
    partner_id,
    event_date,
    lead(event_date) OVER (PARTITION BY partner_id, method, endpoint ORDER BY event_date) AS next_date
  FROM endpoint_usage_day
  WHERE environment = 'production'
    AND endpoint IS NOT NULL
    AND event_date >= (SELECT min(day) - 28 FROM evaluation_day)
  GROUP BY partner_id, method, endpoint, event_date
),
endpoints AS (
  SELECT w.day, d.partner_id, count(*) AS endpoints
  FROM endpoint_dates AS d
  JOIN evaluation_window AS w ON w.event_date = d.event_date
  WHERE w.age <= 28 AND (d.next_date IS NULL OR w.day <= d.next_date)
  GROUP BY w.day, d.partner_id
)
SELECT
  c.day,
  c.partner_id,
  c.calls,
  p.products,
  e.endpoints
FROM called AS c
LEFT JOIN products AS p ON p.day = c.day AND p.partner_id = c.partner_id
LEFT JOIN endpoints AS e ON e.day = c.day AND e.partner_id = c.partner_id
ORDER BY c.day, c.partner_id
