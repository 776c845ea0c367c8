/*---
description = "Production calls and how many of them succeed, by month and product"
owner = "data-engineering"
grain = ["month", "product"]
tags = ["traffic"]

[columns]
month = { type = "Date32" }
product = { type = "Utf8", description = "NULL for calls that name none" }
calls = { type = "Int64", unit = "calls" }
success_rate = { type = "Float64", unit = "ratio", description = "Status 200 to 399; over calls" }

[[checks]]
unique = ["month", "product"]
[[checks]]
not_null = ["month", "calls", "success_rate"]
[[checks]]
sql = "SELECT * FROM this WHERE success_rate > 1"
---*/
SELECT
    month_start(event_date) AS month,
    product,
    sum(calls) AS calls,
    CAST(sum(successes) AS DOUBLE) / sum(calls) AS success_rate
FROM usage_day
WHERE environment = 'production'
GROUP BY month_start(event_date), product
ORDER BY month, product
