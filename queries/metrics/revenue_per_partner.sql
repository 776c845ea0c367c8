/*---
description = "What each partner brought in a month, its share and its rank"
owner = "partner-analytics"
grain = ["month", "partner_id"]
tags = ["revenue", "partners"]

[columns]
month = { type = "Date32" }
partner_id = { type = "Utf8" }
gross = { type = "Decimal", unit = "reporting_currency", description = "usage + subscription + commission" }
credits = { type = "Decimal", unit = "reporting_currency" }
refunds = { type = "Decimal", unit = "reporting_currency" }
net = { type = "Decimal", unit = "reporting_currency", description = "gross − credits − refunds" }
share = { type = "Float64", unit = "ratio", description = "gross / the month's gross; NULL if that is 0" }
rank = { type = "Int64", description = "By gross down, ties by partner_id; a row number" }

[[checks]]
unique = ["month", "partner_id"]
[[checks]]
unique = ["month", "rank"]
[[checks]]
not_null = ["month", "partner_id", "gross", "credits", "refunds", "net", "rank"]
---*/
WITH billed AS (
    SELECT
        month_start(event_date) AS month,
        partner_id,
        checked_sum(gross) AS gross,
        checked_sum(amount) FILTER (WHERE kind = 'credit') AS credits,
        checked_sum(amount) FILTER (WHERE kind = 'refund') AS refunds
    FROM money_day
    GROUP BY month_start(event_date), partner_id
)
SELECT
    month,
    partner_id,
    gross,
    credits,
    refunds,
    gross - credits - refunds AS net,
    CAST(gross AS DOUBLE)
        / NULLIF(CAST(checked_sum(gross) OVER (PARTITION BY month) AS DOUBLE), 0) AS share,
    CAST(row_number() OVER (PARTITION BY month ORDER BY gross DESC, partner_id) AS BIGINT) AS rank
FROM billed
ORDER BY month, partner_id
