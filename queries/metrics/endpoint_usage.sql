/*---
description = "Production calls of each endpoint in a month: from how many partners, how well, how fast"
owner = "partner-analytics"
grain = ["month", "product", "method", "endpoint"]
tags = ["products", "reliability"]

[columns]
month = { type = "Date32", description = "Months with production calls" }
product = { type = "Utf8", description = "NULL is calls without one, as for the next two" }
method = { type = "Utf8" }
endpoint = { type = "Utf8", description = "Route template" }
partners = { type = "Int64", unit = "partners", description = "With a production call of the endpoint, of any status" }
calls = { type = "Int64", unit = "calls" }
share = { type = "Float64", unit = "ratio", description = "calls / all production calls of the month, those without an endpoint too" }
success_rate = { type = "Float64", unit = "ratio", description = "Status 200 to 399; all rates are over calls" }
throttled_rate = { type = "Float64", unit = "ratio", description = "Status 429" }
server_error_rate = { type = "Float64", unit = "ratio", description = "Status 500 and above" }
mean_latency_ms = { type = "Float64", unit = "ms", description = "Over calls with a latency; NULL without any" }

[[checks]]
unique = ["month", "product", "method", "endpoint"]
[[checks]]
not_null = ["month", "partners", "calls", "share", "success_rate", "throttled_rate", "server_error_rate"]
[[checks]]
sql = "SELECT * FROM this WHERE partners > calls OR share > 1 OR success_rate > 1 OR mean_latency_ms < 0"
---*/
WITH usage AS (
    SELECT
        month_start(event_date) AS month,
        product,
        method,
        endpoint,
        count(DISTINCT partner_id) AS partners,
        sum(calls) AS calls,
        sum(successes) AS successes,
        sum(throttled) AS throttled,
        sum(server_errors) AS server_errors,
        checked_sum(latency_us_sum) AS latency_us_sum,
        sum(latency_count) AS latency_count
    FROM endpoint_usage_day
    WHERE environment = 'production'
    GROUP BY month_start(event_date), product, method, endpoint
)
SELECT
    month,
    product,
    method,
    endpoint,
    partners,
    calls,
    CAST(calls AS DOUBLE) / sum(calls) OVER (PARTITION BY month) AS share,
    CAST(successes AS DOUBLE) / calls AS success_rate,
    CAST(throttled AS DOUBLE) / calls AS throttled_rate,
    CAST(server_errors AS DOUBLE) / calls AS server_error_rate,
    CAST(latency_us_sum AS DOUBLE) / NULLIF(latency_count, 0) / 1000 AS mean_latency_ms
FROM usage
ORDER BY month, product NULLS LAST, method NULLS LAST, endpoint NULLS LAST
