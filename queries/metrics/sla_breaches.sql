/*---
description = "Availability and latency of each partner in a month beside what its plan promised then"
owner = "partner-analytics"
grain = ["month", "partner_id"]
tags = ["reliability", "partners"]

[columns]
month = { type = "Date32", description = "Months with production calls of the partner" }
partner_id = { type = "Utf8", description = "Whose plan has a target, breached or not: its plan at the month's end, or as of as_of where that is earlier" }
target = { type = "Float64", unit = "ratio", description = "Availability that the plan promises; NULL where it promises a latency only" }
availability = { type = "Float64", unit = "ratio", description = "1 − server errors / calls" }
latency_target_ms = { type = "Float64", unit = "ms", description = "p99 that the plan promises; NULL where it promises none" }
p99_ms = { type = "Float64", unit = "ms", description = "Nearest rank over calls with a latency, within 1 %" }
breached = { type = "Boolean", description = "availability < target or p99_ms > latency_target_ms; an unknown side does not breach" }

[[checks]]
unique = ["month", "partner_id"]
[[checks]]
not_null = ["month", "partner_id", "availability", "breached"]
[[checks]]
sql = "SELECT * FROM this WHERE availability < 0 OR availability > 1 OR (target IS NULL AND latency_target_ms IS NULL)"
---*/
WITH usage AS (
    SELECT
        month_start(event_date) AS month,
        least(next_month(event_date), CAST($as_of AS DATE)) AS ends_on,
        partner_id,
        sum(calls) AS calls,
        sum(server_errors) AS server_errors
    FROM usage_day
    WHERE environment = 'production'
    GROUP BY
        month_start(event_date),
        least(next_month(event_date), CAST($as_of AS DATE)),
        partner_id
),
-- WHERE would copy every histogram that it lets through.
latency AS (
    SELECT
        month_start(event_date) AS month,
        partner_id,
        merge_histograms(buckets) FILTER (WHERE environment = 'production') AS buckets
    FROM latency_day
    GROUP BY month_start(event_date), partner_id
),
-- The end is a midnight, so that dates say what is before it.
promised AS (
    SELECT
        u.month,
        u.partner_id,
        s.target,
        CAST(u.calls - u.server_errors AS DOUBLE) / u.calls AS availability,
        s.latency_target_ms
    FROM usage AS u
    JOIN plan_history AS p
        ON p.partner_id = u.partner_id
        AND CAST(p.since AS DATE) < u.ends_on
        AND (p.until IS NULL OR CAST(p.until AS DATE) >= u.ends_on)
    JOIN sla AS s ON s.plan = p.plan
    WHERE s.target IS NOT NULL OR s.latency_target_ms IS NOT NULL
),
measured AS (
    SELECT p.*, histogram_percentile(l.buckets, 0.99) / 1000 AS p99_ms
    FROM promised AS p
    LEFT JOIN latency AS l ON l.month = p.month AND l.partner_id = p.partner_id
)
SELECT
    month,
    partner_id,
    target,
    availability,
    latency_target_ms,
    p99_ms,
    COALESCE(availability < target, FALSE) OR COALESCE(p99_ms > latency_target_ms, FALSE) AS breached
FROM measured
ORDER BY month, partner_id
