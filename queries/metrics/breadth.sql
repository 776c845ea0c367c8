/*---
description = "How much of the platform each partner used in production in the last 28 days: products, endpoints, API versions and credentials"
owner = "partner-analytics"
grain = ["partner_id"]
tags = ["products", "partners"]

[columns]
partner_id = { type = "Utf8", description = "With a production call in [as_of − 28 d, as_of), of any status" }
products = { type = "Int64", unit = "products", description = "Distinct; calls without one add none, as for the others" }
endpoints = { type = "Int64", unit = "endpoints", description = "Distinct pairs of method and endpoint; an endpoint called without a method is one more pair" }
versions = { type = "Int64", unit = "versions", description = "Distinct API versions" }
credentials = { type = "Int64", unit = "credentials", description = "Distinct" }

[[checks]]
unique = ["partner_id"]
[[checks]]
not_null = ["partner_id", "products", "endpoints", "versions", "credentials"]
---*/
WITH usage AS (
    SELECT
        partner_id,
        count(DISTINCT product) AS products,
        count(DISTINCT api_version) AS versions
    FROM usage_day
    WHERE environment = 'production'
        AND event_date >= CAST($as_of - INTERVAL '28 days' AS DATE)
        AND event_date < CAST($as_of AS DATE)
    GROUP BY partner_id
),
called AS (
    SELECT DISTINCT partner_id, method, endpoint
    FROM endpoint_usage_day
    WHERE environment = 'production'
        AND endpoint IS NOT NULL
        AND event_date >= CAST($as_of - INTERVAL '28 days' AS DATE)
        AND event_date < CAST($as_of AS DATE)
),
endpoints AS (
    SELECT partner_id, count(*) AS endpoints
    FROM called
    GROUP BY partner_id
),
credentials AS (
    SELECT partner_id, count(DISTINCT credential_id) AS credentials
    FROM credential_usage_day
    WHERE environment = 'production'
        AND event_date >= CAST($as_of - INTERVAL '28 days' AS DATE)
        AND event_date < CAST($as_of AS DATE)
    GROUP BY partner_id
)
SELECT
    u.partner_id,
    u.products,
    COALESCE(e.endpoints, 0) AS endpoints,
    u.versions,
    COALESCE(c.credentials, 0) AS credentials
FROM usage AS u
LEFT JOIN endpoints AS e ON e.partner_id = u.partner_id
LEFT JOIN credentials AS c ON c.partner_id = u.partner_id
ORDER BY u.partner_id
