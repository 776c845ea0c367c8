/*---
description = "Support tickets beside the traffic of each partner in the 90 days before each evaluation day"
owner = "partner-analytics"
grain = ["day", "partner_id"]
tags = ["internal"]

[columns]
day = { type = "Date32", description = "evaluation day" }
partner_id = { type = "Utf8", description = "live before the day" }
tickets = { type = "Int64", unit = "tickets", description = "first opened in [day − 90 d, day)" }
calls = { type = "Int64", unit = "calls", description = "production calls of the same 90 days" }
has_ticket = { type = "Boolean", description = "a ticket was opened before the day, however long ago" }

[[checks]]
unique = ["day", "partner_id"]
[[checks]]
sql = "SELECT * FROM this WHERE tickets < 0 OR calls < 0 OR (tickets > 0 AND NOT has_ticket)"
---*/
WITH
live AS (
  SELECT e.day, p.partner_id
  FROM evaluation_day AS e
  CROSS JOIN partners AS p
  WHERE CAST(p.live AS DATE) < e.day
),
usage AS (
  SELECT day, partner_id, sum(calls) AS calls
  FROM traffic_window
  WHERE age <= 90
  GROUP BY day, partner_id
),
opened AS (
  SELECT
    e.day,
    t.partner_id,
    count(*) FILTER (WHERE CAST(t.first_opened AS DATE) >= e.day - 90) AS tickets
  FROM evaluation_day AS e
  CROSS JOIN tickets AS t
  WHERE CAST(t.first_opened AS DATE) < e.day
  GROUP BY e.day, t.partner_id
)
SELECT
  p.day,
  p.partner_id,
  COALESCE(o.tickets, 0) AS tickets,
  COALESCE(u.calls, 0) AS calls,
  o.partner_id IS NOT NULL AS has_ticket
FROM live AS p
LEFT JOIN usage AS u ON u.day = p.day AND u.partner_id = p.partner_id
LEFT JOIN opened AS o ON o.day = p.day AND o.partner_id = p.partner_id
ORDER BY p.day, p.partner_id
