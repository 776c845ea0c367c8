/*---
description = "Support tickets of each partner: opened in the last 90 days, open now, how fast answered, how many for its traffic"
owner = "partner-analytics"
grain = ["partner_id"]
tags = ["support", "partners"]

[columns]
partner_id = { type = "Utf8", description = "With a ticket opened in the last 90 days or open now" }
opened = { type = "Int64", unit = "tickets", description = "First opened in [as_of − 90 d, as_of)" }
open_now = { type = "Int64", unit = "tickets", description = "Last opened after last resolved, however long ago; a tie is closed" }
median_first_response_hours = { type = "Float64", unit = "hours", description = "From first opened to the first answer, not below 0, over tickets opened in the window and answered" }
tickets_per_10k_calls = { type = "Float64", unit = "tickets", description = "opened for every 10,000 production calls of the same 90 days" }

[[checks]]
unique = ["partner_id"]
[[checks]]
not_null = ["partner_id", "opened", "open_now"]
[[checks]]
sql = "SELECT * FROM this WHERE opened + open_now = 0 OR median_first_response_hours < 0"
---*/
WITH states AS (
    SELECT
        partner_id,
        first_opened >= $as_of - INTERVAL '90 days' AS opened,
        last_opened > last_resolved OR (last_opened IS NOT NULL AND last_resolved IS NULL) AS open_now,
        CASE
            WHEN first_response > first_opened
            THEN (CAST(first_response AS BIGINT) - CAST(first_opened AS BIGINT)) / 3.6e9
            WHEN first_response IS NOT NULL THEN 0.0
        END AS first_response_hours
    FROM tickets
),
loads AS (
    SELECT
        partner_id,
        count(*) FILTER (WHERE opened) AS opened,
        count(*) FILTER (WHERE open_now) AS open_now,
        median(first_response_hours) FILTER (WHERE opened) AS median_first_response_hours
    FROM states
    GROUP BY partner_id
),
usage AS (
    SELECT partner_id, sum(calls) AS calls
    FROM usage_day
    WHERE environment = 'production'
        AND event_date >= CAST($as_of - INTERVAL '90 days' AS DATE)
        AND event_date < CAST($as_of AS DATE)
    GROUP BY partner_id
)
SELECT
    l.partner_id,
    l.opened,
    l.open_now,
    l.median_first_response_hours,
    CAST(l.opened AS DOUBLE) * 10000 / u.calls AS tickets_per_10k_calls
FROM loads AS l
LEFT JOIN usage AS u ON u.partner_id = l.partner_id
WHERE l.opened > 0 OR l.open_now > 0
ORDER BY l.partner_id
