/*---
description = "What each kind of billing event came to in a month, and its share of gross"
owner = "partner-analytics"
grain = ["month", "kind"]
tags = ["revenue"]

[columns]
month = { type = "Date32", description = "Months with a billing event; payments that came or failed are none" }
kind = { type = "Utf8", description = "usage, subscription, commission, credit or refund, where the month has such an event" }
amount = { type = "Decimal", unit = "reporting_currency", description = "Positive for credits and refunds too" }
partners = { type = "Int64", unit = "partners", description = "With such an event, of any amount" }
share = { type = "Float64", unit = "ratio", description = "amount / the month's gross; NULL for credit and refund, and where gross is 0" }

[[checks]]
unique = ["month", "kind"]
[[checks]]
not_null = ["month", "kind", "amount", "partners"]
[[checks]]
sql = "SELECT * FROM this WHERE amount < 0 OR partners < 1 OR share > 1 OR (kind IN ('credit', 'refund') AND share IS NOT NULL)"
---*/
WITH by_kind AS (
    SELECT
        month_start(event_date) AS month,
        kind,
        checked_sum(amount) AS amount,
        checked_sum(gross) AS gross,
        count(DISTINCT partner_id) AS partners
    FROM money_day
    GROUP BY month_start(event_date), kind
)
SELECT
    month,
    kind,
    amount,
    partners,
    CASE
        WHEN kind IN ('usage', 'subscription', 'commission')
        THEN CAST(gross AS DOUBLE)
            / NULLIF(CAST(checked_sum(gross) OVER (PARTITION BY month) AS DOUBLE), 0)
    END AS share
FROM by_kind
ORDER BY month, kind
