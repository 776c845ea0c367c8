/*---
description = "Production calls that stay in a backtest although they had not arrived by its evaluation day: those that occurred more than 14 days before it. Calls from files count by when they occurred"
owner = "partner-analytics"
grain = ["day"]
tags = ["internal"]

[columns]
day = { type = "Date32", description = "evaluation day; none without such calls" }
calls = { type = "Int64", unit = "calls" }
partners = { type = "Int64", unit = "partners", description = "that made them" }

[[checks]]
unique = ["day"]
---*/
WITH
-- A topic of Kafka has no colon in its name; that of a file begins with `file:`.
arrived AS (
  SELECT event_date, partner_id, CAST(arrival AS DATE) AS arrived_on
  FROM api_calls
  WHERE environment = 'production'
    AND topic NOT LIKE 'file:%'
    AND event_date < (SELECT max(day) - 14 FROM evaluation_day)
    AND CAST(arrival AS DATE) > event_date + 14
)
SELECT e.day, count(*) AS calls, count(DISTINCT a.partner_id) AS partners
FROM evaluation_day AS e
JOIN arrived AS a ON a.event_date < e.day - 14 AND a.arrived_on >= e.day
GROUP BY e.day
ORDER BY e.day
