/*---
description = "What each partner used of a product in a month beside what was billed for it"
owner = "partner-analytics"
grain = ["month", "partner_id", "product"]
tags = ["revenue", "products", "partners"]

[columns]
month = { type = "Date32" }
partner_id = { type = "Utf8" }
product = { type = "Utf8", description = "NULL is what came without a product" }
metered = { type = "Int64", unit = "calls", description = "Successes in production" }
billed = { type = "Decimal(38, 0)", unit = "units", description = "Units of usage events; one that does not say how many counts none" }
difference = { type = "Decimal(38, 0)", unit = "units", description = "billed − metered: negative where usage was not billed" }
difference_rate = { type = "Float64", unit = "ratio", description = "difference / metered; NULL where nothing was metered" }

[[checks]]
unique = ["month", "partner_id", "product"]
[[checks]]
not_null = ["month", "partner_id", "metered", "billed", "difference"]
[[checks]]
sql = "SELECT * FROM this WHERE metered < 0 OR billed < 0 OR (metered = 0 AND billed = 0)"
---*/
WITH sides AS (
    SELECT
        month_start(event_date) AS month,
        partner_id,
        product,
        successes AS metered,
        CAST(0 AS DECIMAL(38, 0)) AS billed
    FROM usage_day
    WHERE environment = 'production'
    UNION ALL
    SELECT month_start(event_date), partner_id, product, 0, units
    FROM units_day
),
summed AS (
    SELECT
        month,
        partner_id,
        product,
        sum(metered) AS metered,
        checked_sum(billed) AS billed
    FROM sides
    GROUP BY month, partner_id, product
)
SELECT
    month,
    partner_id,
    product,
    metered,
    billed,
    billed - metered AS difference,
    CAST(billed - metered AS DOUBLE) / NULLIF(metered, 0) AS difference_rate
FROM summed
WHERE metered > 0 OR billed > 0
ORDER BY month, partner_id, product NULLS LAST
