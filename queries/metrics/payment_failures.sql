/*---
description = "Partners whose payments failed in the last 90 days, and whether one has come since"
owner = "partner-analytics"
grain = ["partner_id"]
tags = ["revenue", "partners"]

[columns]
partner_id = { type = "Utf8", description = "With a failed payment in the last 90 days" }
failed = { type = "Int64", unit = "payments", description = "Failed in [as_of − 90 d, as_of)" }
last_failed_at = { type = "Timestamp" }
open = { type = "Boolean", description = "No payment, of any invoice, has come at or after the last that failed" }

[[checks]]
unique = ["partner_id"]
[[checks]]
not_null = ["partner_id", "failed", "last_failed_at", "open"]
[[checks]]
sql = "SELECT * FROM this WHERE failed < 1"
---*/
WITH paid AS (
    SELECT
        partner_id,
        count(*) FILTER (
            WHERE kind = 'payment_failed' AND occurred_at >= $as_of - INTERVAL '90 days'
        ) AS failed,
        max(occurred_at) FILTER (WHERE kind = 'payment_failed') AS last_failed_at,
        max(occurred_at) FILTER (WHERE kind = 'payment_succeeded') AS last_paid_at
    FROM payments
    GROUP BY partner_id
)
SELECT
    partner_id,
    failed,
    last_failed_at,
    last_paid_at IS NULL OR last_paid_at < last_failed_at AS open
FROM paid
WHERE failed > 0
ORDER BY partner_id
