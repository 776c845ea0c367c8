/*---
description = "Gross and net revenue of each of the last 28 days, as the pages draw it"
owner = "partner-analytics"
grain = ["day"]
tags = ["internal"]

[columns]
day = { type = "Date32", description = "days with a billing event" }
gross = { type = "Decimal", unit = "reporting_currency" }
net = { type = "Decimal", unit = "reporting_currency", description = "gross − credits − refunds" }

[[checks]]
unique = ["day"]
---*/
WITH billed AS (
  SELECT
    event_date AS day,
    checked_sum(gross) AS gross,
    checked_sum(amount) FILTER (WHERE kind IN ('credit', 'refund')) AS given_back
  FROM money_day
  WHERE event_date >= CAST($as_of - INTERVAL '28 days' AS DATE)
  GROUP BY event_date
)
SELECT day, gross, gross - given_back AS net
FROM billed
ORDER BY day
