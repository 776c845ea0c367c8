/*---
description = "Partners that were live and have had no production success for more than 28 days"
owner = "partner-analytics"
grain = ["partner_id"]
tags = ["growth", "partners"]

[columns]
partner_id = { type = "Utf8" }
live_at = { type = "Timestamp", description = "The earliest success in production" }
last_success_at = { type = "Timestamp", description = "The last success in production, earlier than as_of − 28 d" }
churned_at = { type = "Timestamp", description = "last_success_at + 28 d: churned from the instant after it" }
lifetime_days = { type = "Int64", unit = "days", description = "Whole days of 24 h from live_at to last_success_at" }
gross_last_90d = { type = "Decimal", unit = "reporting_currency", description = "Gross of the 90 UTC dates that end with that of last_success_at" }

[[checks]]
unique = ["partner_id"]
[[checks]]
not_null = ["partner_id", "live_at", "last_success_at", "churned_at", "lifetime_days", "gross_last_90d"]
[[checks]]
sql = "SELECT * FROM this WHERE lifetime_days < 0 OR gross_last_90d < 0"
---*/
WITH churned AS (
    SELECT
        partner_id,
        live AS live_at,
        last_success AS last_success_at,
        CAST(last_success AS DATE) AS last_date
    FROM partners
    WHERE last_success < $as_of - INTERVAL '28 days'
),
charged AS (
    SELECT c.partner_id, checked_sum(m.gross) AS gross
    FROM churned AS c
    JOIN money_day AS m ON m.partner_id = c.partner_id
    WHERE m.event_date > c.last_date - INTERVAL '90 days'
        AND m.event_date <= c.last_date
    GROUP BY c.partner_id
)
SELECT
    c.partner_id,
    c.live_at,
    c.last_success_at,
    c.last_success_at + INTERVAL '28 days' AS churned_at,
    (CAST(c.last_success_at AS BIGINT) - CAST(c.live_at AS BIGINT)) / 86400000000 AS lifetime_days,
    CAST(COALESCE(g.gross, 0) AS DECIMAL(38, 12)) AS gross_last_90d
FROM churned AS c
LEFT JOIN charged AS g ON g.partner_id = c.partner_id
ORDER BY c.partner_id
