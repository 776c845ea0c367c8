/*---
description = "How near each partner's busiest minute of the last 28 days came to its quota, and whether it needs a larger one"
owner = "partner-analytics"
grain = ["partner_id"]
tags = ["reliability", "quota", "partners"]

[columns]
partner_id = { type = "Utf8", description = "With a production call in [as_of − 28 d, as_of)" }
quota_per_minute = { type = "Int64", unit = "calls", description = "NULL when unknown" }
peak_per_minute = { type = "Int64", unit = "calls", description = "Most production calls in one UTC minute; of merged partners the greater of their own" }
utilisation = { type = "Float64", unit = "ratio", description = "peak / quota; NULL when the quota is unknown or 0" }
throttled_rate = { type = "Float64", unit = "ratio", description = "Calls with status 429 / calls" }
needs_upgrade = { type = "Boolean", description = "throttled_rate at least 1 % or utilisation at least 80 %" }

[[checks]]
unique = ["partner_id"]
[[checks]]
not_null = ["partner_id", "peak_per_minute", "throttled_rate", "needs_upgrade"]
---*/
WITH usage AS (
    SELECT partner_id, CAST(sum(throttled) AS DOUBLE) / sum(calls) AS throttled_rate
    FROM usage_day
    WHERE environment = 'production'
        AND event_date >= CAST($as_of - INTERVAL '28 days' AS DATE)
        AND event_date < CAST($as_of AS DATE)
    GROUP BY partner_id
),
peaks AS (
    SELECT partner_id, max(peak) AS peak
    FROM peak_day
    WHERE environment = 'production'
        AND event_date >= CAST($as_of - INTERVAL '28 days' AS DATE)
        AND event_date < CAST($as_of AS DATE)
    GROUP BY partner_id
),
measured AS (
    SELECT
        u.partner_id,
        p.quota_per_minute,
        d.peak AS peak_per_minute,
        CAST(d.peak AS DOUBLE) / NULLIF(p.quota_per_minute, 0) AS utilisation,
        u.throttled_rate
    FROM usage AS u
    LEFT JOIN peaks AS d ON d.partner_id = u.partner_id
    LEFT JOIN partners AS p ON p.partner_id = u.partner_id
)
SELECT
    partner_id,
    quota_per_minute,
    peak_per_minute,
    utilisation,
    throttled_rate,
    throttled_rate >= 0.01 OR COALESCE(utilisation >= 0.8, FALSE) AS needs_upgrade
FROM measured
ORDER BY partner_id
