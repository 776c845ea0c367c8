/*---
description = "Which API versions partners called in a month, and how long each has left"
owner = "partner-analytics"
grain = ["month", "api_version"]
tags = ["products", "versions"]

[columns]
month = { type = "Date32", description = "Months with production calls" }
api_version = { type = "Utf8", description = "NULL is calls without a version" }
partners = { type = "Int64", unit = "partners", description = "With a production call of the version, of any status" }
calls = { type = "Int64", unit = "calls" }
share = { type = "Float64", unit = "ratio", description = "calls / all production calls of the month, those without a version too" }
sunset_on = { type = "Date32", description = "From the configuration; NULL where none is set" }
days_to_sunset = { type = "Int64", unit = "days", description = "From the date of as_of; negative once past" }

[[checks]]
unique = ["month", "api_version"]
[[checks]]
not_null = ["month", "partners", "calls", "share"]
[[checks]]
sql = "SELECT * FROM this WHERE partners > calls OR share > 1"
---*/
WITH usage AS (
    SELECT
        month_start(event_date) AS month,
        api_version,
        count(DISTINCT partner_id) AS partners,
        sum(calls) AS calls
    FROM usage_day
    WHERE environment = 'production'
    GROUP BY month_start(event_date), api_version
)
SELECT
    u.month,
    u.api_version,
    u.partners,
    u.calls,
    CAST(u.calls AS DOUBLE) / sum(u.calls) OVER (PARTITION BY u.month) AS share,
    s.sunset_on,
    CAST(CAST(s.sunset_on AS INT) - CAST(CAST($as_of AS DATE) AS INT) AS BIGINT) AS days_to_sunset
FROM usage AS u
LEFT JOIN sunsets AS s ON s.api_version = u.api_version
ORDER BY u.month, u.api_version NULLS LAST
