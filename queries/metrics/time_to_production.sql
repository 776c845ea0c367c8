/*---
description = "How long partners take from registration to their first production success, by Kaplan–Meier, so that those still on the way count for as long as they have been watched"
owner = "partner-analytics"
grain = ["cohort_month"]
tags = ["activation"]

[columns]
cohort_month = { type = "Date32", description = "Month of registration; NULL is all partners" }
partners = { type = "Int64", unit = "partners" }
reached = { type = "Int64", unit = "partners", description = "Live: with a success in production" }
median_seconds = { type = "Float64", unit = "seconds", description = "NULL while fewer than half have got there" }
p90_seconds = { type = "Float64", unit = "seconds", description = "NULL while fewer than 90 % have got there" }
within_1d = { type = "Float64", unit = "ratio", description = "Share live within a day; NULL while nobody has been watched for so long, as for the next three" }
within_7d = { type = "Float64", unit = "ratio" }
within_30d = { type = "Float64", unit = "ratio" }
within_90d = { type = "Float64", unit = "ratio" }

[[checks]]
unique = ["cohort_month"]
[[checks]]
not_null = ["partners", "reached"]
[[checks]]
sql = "SELECT * FROM this WHERE reached > partners OR within_1d > within_7d OR within_7d > within_30d OR within_30d > within_90d"
---*/
WITH waits AS (
    SELECT
        partner_id,
        month_start(registered) AS cohort_month,
        live IS NOT NULL AS is_live,
        -- A partner that was live before registration waited for nothing.
        greatest(CAST(COALESCE(live, $as_of) AS BIGINT) - CAST(registered AS BIGINT), 0) AS waited_us,
        CAST($as_of AS BIGINT) - CAST(registered AS BIGINT) AS watched_us
    FROM partners
    WHERE registered IS NOT NULL
),
cohorts AS (
    SELECT DISTINCT cohort_month FROM waits
    UNION ALL
    SELECT CAST(NULL AS DATE)
),
curves AS (
    SELECT
        c.cohort_month,
        count(w.partner_id) AS partners,
        count(w.partner_id) FILTER (WHERE w.is_live) AS reached,
        kaplan_meier(w.waited_us, w.is_live) AS curve,
        max(w.watched_us) AS watched_us
    FROM cohorts AS c
    LEFT JOIN waits AS w ON c.cohort_month IS NULL OR w.cohort_month = c.cohort_month
    GROUP BY c.cohort_month
)
SELECT
    cohort_month,
    partners,
    reached,
    survival_quantile(curve, 0.5) / 1e6 AS median_seconds,
    survival_quantile(curve, 0.9) / 1e6 AS p90_seconds,
    CASE WHEN watched_us >= 86400000000 THEN 1 - survival_at(curve, 86400000000) END AS within_1d,
    CASE WHEN watched_us >= 604800000000 THEN 1 - survival_at(curve, 604800000000) END AS within_7d,
    CASE WHEN watched_us >= 2592000000000 THEN 1 - survival_at(curve, 2592000000000) END AS within_30d,
    CASE WHEN watched_us >= 7776000000000 THEN 1 - survival_at(curve, 7776000000000) END AS within_90d
FROM curves
ORDER BY cohort_month NULLS LAST
