/*---
description = "What each product brought in a month, and from how many partners"
owner = "partner-analytics"
grain = ["month", "product"]
tags = ["revenue", "products"]

[columns]
month = { type = "Date32", description = "Months with a billing event" }
product = { type = "Utf8", description = "NULL is what was billed without a product" }
gross = { type = "Decimal", unit = "reporting_currency", description = "usage + subscription + commission" }
net = { type = "Decimal", unit = "reporting_currency", description = "gross − credits − refunds" }
paying_partners = { type = "Int64", unit = "partners", description = "With gross above 0 for the product" }
gross_per_partner = { type = "Float64", unit = "reporting_currency", description = "gross / paying_partners" }

[[checks]]
unique = ["month", "product"]
[[checks]]
not_null = ["month", "gross", "net", "paying_partners"]
[[checks]]
sql = "SELECT * FROM this WHERE net > gross OR (gross > 0) <> (paying_partners > 0)"
---*/
WITH billed AS (
    SELECT
        month_start(event_date) AS month,
        product,
        partner_id,
        checked_sum(gross) AS gross,
        checked_sum(amount) FILTER (WHERE kind IN ('credit', 'refund')) AS given_back
    FROM money_day
    GROUP BY month_start(event_date), product, partner_id
),
by_product AS (
    SELECT
        month,
        product,
        checked_sum(gross) AS gross,
        checked_sum(gross - given_back) AS net,
        count(*) FILTER (WHERE gross > 0) AS paying_partners
    FROM billed
    GROUP BY month, product
)
SELECT
    month,
    product,
    gross,
    net,
    paying_partners,
    CAST(gross AS DOUBLE) / NULLIF(paying_partners, 0) AS gross_per_partner
FROM by_product
ORDER BY month, product NULLS LAST
