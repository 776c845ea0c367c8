/*---
description = "Partners live within 30 days of registration, of those that have had 30 days"
owner = "partner-analytics"
grain = ["cohort_month"]
tags = ["leadership", "activation"]

[columns]
cohort_month = { type = "Date32", description = "Month of registration; NULL is all partners" }
partners = { type = "Int64", unit = "partners" }
observed = { type = "Int64", unit = "partners", description = "Registered 30 days ago or earlier" }
activated = { type = "Int64", unit = "partners", description = "Observed, and live at most 30 days after registration" }
activation_rate = { type = "Float64", unit = "ratio", description = "activated / observed" }
ever_activated = { type = "Int64", unit = "partners", description = "Live, however late, among all" }
mature = { type = "Boolean", description = "Every partner of the cohort is observed: the rate will not change" }

[[checks]]
unique = ["cohort_month"]
[[checks]]
not_null = ["partners", "observed", "activated", "ever_activated", "mature"]
[[checks]]
sql = "SELECT * FROM this WHERE observed > partners OR activated > observed OR ever_activated > partners"
---*/
WITH registered AS (
    SELECT
        partner_id,
        month_start(registered) AS cohort_month,
        registered <= $as_of - INTERVAL '30 days' AS observed,
        live IS NOT NULL AND live <= registered + INTERVAL '30 days' AS in_time,
        live IS NOT NULL AS ever
    FROM partners
    WHERE registered IS NOT NULL
),
cohorts AS (
    SELECT DISTINCT cohort_month FROM registered
    UNION ALL
    SELECT CAST(NULL AS DATE)
),
counted AS (
    SELECT
        c.cohort_month,
        count(r.partner_id) AS partners,
        count(r.partner_id) FILTER (WHERE r.observed) AS observed,
        count(r.partner_id) FILTER (WHERE r.observed AND r.in_time) AS activated,
        count(r.partner_id) FILTER (WHERE r.ever) AS ever_activated
    FROM cohorts AS c
    LEFT JOIN registered AS r ON c.cohort_month IS NULL OR r.cohort_month = c.cohort_month
    GROUP BY c.cohort_month
)
SELECT
    cohort_month,
    partners,
    observed,
    activated,
    CAST(activated AS DOUBLE) / NULLIF(observed, 0) AS activation_rate,
    ever_activated,
    observed = partners AS mature
FROM counted
ORDER BY cohort_month NULLS LAST
