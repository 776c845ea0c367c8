/*---
description = "How long partners take from registration to their first successful call, by Kaplan–Meier, so that those still on the way count for as long as they have been watched"
owner = "partner-analytics"
grain = ["cohort_month"]
tags = ["activation"]

[columns]
cohort_month = { type = "Date32", description = "Month of registration; NULL is all partners" }
partners = { type = "Int64", unit = "partners" }
reached = { type = "Int64", unit = "partners", description = "With a success in any environment" }
median_seconds = { type = "Float64", unit = "seconds", description = "NULL while fewer than half have got there" }
p90_seconds = { type = "Float64", unit = "seconds", description = "NULL while fewer than 90 % have got there" }
within_5m = { type = "Float64", unit = "ratio", description = "Share with a first call within 5 minutes; NULL while nobody has been watched for so long, as for the next four" }
within_30m = { type = "Float64", unit = "ratio" }
within_1d = { type = "Float64", unit = "ratio" }
within_7d = { type = "Float64", unit = "ratio" }
within_30d = { type = "Float64", unit = "ratio" }

[[checks]]
unique = ["cohort_month"]
[[checks]]
not_null = ["partners", "reached"]
[[checks]]
sql = "SELECT * FROM this WHERE reached > partners OR within_5m > within_30m OR within_30m > within_1d OR within_1d > within_7d OR within_7d > within_30d"
---*/
WITH waits AS (
    SELECT
        partner_id,
        month_start(registered) AS cohort_month,
        first_call IS NOT NULL AS called,
        -- A first call before registration waited for nothing.
        greatest(CAST(COALESCE(first_call, $as_of) AS BIGINT) - CAST(registered AS BIGINT), 0) AS waited_us,
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
        count(w.partner_id) FILTER (WHERE w.called) AS reached,
        kaplan_meier(w.waited_us, w.called) AS curve,
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
    CASE WHEN watched_us >= 300000000 THEN 1 - survival_at(curve, 300000000) END AS within_5m,
    CASE WHEN watched_us >= 1800000000 THEN 1 - survival_at(curve, 1800000000) END AS within_30m,
    CASE WHEN watched_us >= 86400000000 THEN 1 - survival_at(curve, 86400000000) END AS within_1d,
    CASE WHEN watched_us >= 604800000000 THEN 1 - survival_at(curve, 604800000000) END AS within_7d,
    CASE WHEN watched_us >= 2592000000000 THEN 1 - survival_at(curve, 2592000000000) END AS within_30d
FROM curves
ORDER BY cohort_month NULLS LAST
