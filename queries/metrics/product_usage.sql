/*---
description = "Production calls of each product in a month: from how many partners, how well, how fast"
owner = "partner-analytics"
grain = ["month", "product"]
tags = ["products", "reliability"]

[columns]
month = { type = "Date32", description = "Months with production calls" }
product = { type = "Utf8", description = "NULL is calls without a product" }
partners = { type = "Int64", unit = "partners", description = "With a production call of the product, of any status" }
calls = { type = "Int64", unit = "calls" }
success_rate = { type = "Float64", unit = "ratio", description = "Calls with status 200 to 399 / calls" }
p95_ms = { type = "Float64", unit = "ms", description = "Nearest rank over calls with a latency, within 1 %" }

[[checks]]
unique = ["month", "product"]
[[checks]]
not_null = ["month", "partners", "calls", "success_rate"]
[[checks]]
sql = "SELECT * FROM this WHERE partners > calls OR success_rate > 1"
---*/
WITH usage AS (
    SELECT
        month_start(event_date) AS month,
        product,
        count(DISTINCT partner_id) AS partners,
        sum(calls) AS calls,
        sum(successes) AS successes
    FROM usage_day
    WHERE environment = 'production'
    GROUP BY month_start(event_date), product
),
-- WHERE would copy every histogram that it lets through.
latency AS (
    SELECT
        month_start(event_date) AS month,
        product,
        merge_histograms(buckets) FILTER (WHERE environment = 'production') AS buckets
    FROM latency_day
    GROUP BY month_start(event_date), product
)
SELECT
    u.month,
    u.product,
    u.partners,
    u.calls,
    CAST(u.successes AS DOUBLE) / u.calls AS success_rate,
    histogram_percentile(l.buckets, 0.95) / 1000 AS p95_ms
FROM usage AS u
LEFT JOIN latency AS l ON l.month = u.month AND l.product IS NOT DISTINCT FROM u.product
ORDER BY u.month, u.product NULLS LAST
