/*---
description = "Gross and net revenue of the last 13 weeks, as the pages draw it"
owner = "partner-analytics"
grain = ["week"]
tags = ["internal"]

[columns]
week = { type = "Date32", description = "the Monday of a week with a billing event; the last week may not be over" }
gross = { type = "Decimal", unit = "reporting_currency" }
net = { type = "Decimal", unit = "reporting_currency", description = "gross − credits − refunds" }

[[checks]]
unique = ["week"]
---*/
WITH billed AS (
  SELECT
    CAST(date_trunc('week', event_date) AS DATE) AS week,
    checked_sum(gross) AS gross,
    checked_sum(amount) FILTER (WHERE kind IN ('credit', 'refund')) AS given_back
  FROM money_day
  WHERE event_date >= CAST(date_trunc('week', $as_of - INTERVAL '1 day') - INTERVAL '84 days' AS DATE)
  GROUP BY CAST(date_trunc('week', event_date) AS DATE)
)
SELECT week, gross, gross - given_back AS net
FROM billed
ORDER BY week
