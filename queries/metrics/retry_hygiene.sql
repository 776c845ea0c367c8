/*---
description = "Partners whose production calls were throttled in the last 28 days, and how often they called again within a second instead of backing off"
owner = "partner-analytics"
grain = ["partner_id"]
tags = ["reliability", "quota", "partners"]

[columns]
partner_id = { type = "Utf8", description = "With a throttled production call in [as_of − 28 d, as_of)" }
throttled = { type = "Int64", unit = "calls", description = "Status 429" }
retried_1s = { type = "Int64", unit = "calls", description = "Throttled calls whose next call of the same date came at most 1 s later; of merged partners each one's calls follow its own" }
retried_rate = { type = "Float64", unit = "ratio", description = "retried_1s / throttled" }

[[checks]]
unique = ["partner_id"]
[[checks]]
not_null = ["partner_id", "throttled", "retried_1s", "retried_rate"]
[[checks]]
sql = "SELECT * FROM this WHERE throttled < 1 OR retried_1s > throttled"
---*/
WITH retries AS (
    SELECT partner_id, sum(throttled) AS throttled, sum(retried_1s) AS retried_1s
    FROM throttled_day
    WHERE environment = 'production'
        AND event_date >= CAST($as_of - INTERVAL '28 days' AS DATE)
        AND event_date < CAST($as_of AS DATE)
    GROUP BY partner_id
)
SELECT
    partner_id,
    throttled,
    retried_1s,
    CAST(retried_1s AS DOUBLE) / throttled AS retried_rate
FROM retries
WHERE throttled > 0
ORDER BY partner_id
