/*---
description = "How far the partners of each registration month have come: sandbox, production, revenue"
owner = "partner-analytics"
grain = ["cohort_month"]
tags = ["leadership", "funnel"]

[columns]
cohort_month = { type = "Date32", description = "Month of registration; NULL is all partners" }
registered = { type = "Int64", unit = "partners" }
sandbox = { type = "Int64", unit = "partners", description = "With a success in the sandbox, or further" }
production = { type = "Int64", unit = "partners", description = "Live, or further" }
revenue = { type = "Int64", unit = "partners", description = "With a charge above 0" }
sandbox_rate = { type = "Float64", unit = "ratio", description = "sandbox / registered" }
production_rate = { type = "Float64", unit = "ratio", description = "production / sandbox" }
revenue_rate = { type = "Float64", unit = "ratio", description = "revenue / production" }
overall_rate = { type = "Float64", unit = "ratio", description = "revenue / registered" }

[[checks]]
unique = ["cohort_month"]
[[checks]]
not_null = ["registered", "sandbox", "production", "revenue"]
[[checks]]
sql = "SELECT * FROM this WHERE sandbox > registered OR production > sandbox OR revenue > production"
---*/
WITH charged AS (
    SELECT DISTINCT partner_id
    FROM money_day
    WHERE gross > 0
),
-- A partner that came straight to a later stage has reached the earlier ones too.
reached AS (
    SELECT
        p.partner_id,
        month_start(p.registered) AS cohort_month,
        p.first_sandbox_success IS NOT NULL OR p.live IS NOT NULL OR c.partner_id IS NOT NULL AS sandbox,
        p.live IS NOT NULL OR c.partner_id IS NOT NULL AS production,
        c.partner_id IS NOT NULL AS revenue
    FROM partners AS p
    LEFT JOIN charged AS c ON c.partner_id = p.partner_id
    WHERE p.registered IS NOT NULL
),
cohorts AS (
    SELECT DISTINCT cohort_month FROM reached
    UNION ALL
    SELECT CAST(NULL AS DATE)
),
counted AS (
    SELECT
        c.cohort_month,
        count(r.partner_id) AS registered,
        count(r.partner_id) FILTER (WHERE r.sandbox) AS sandbox,
        count(r.partner_id) FILTER (WHERE r.production) AS production,
        count(r.partner_id) FILTER (WHERE r.revenue) AS revenue
    FROM cohorts AS c
    LEFT JOIN reached AS r ON c.cohort_month IS NULL OR r.cohort_month = c.cohort_month
    GROUP BY c.cohort_month
)
SELECT
    cohort_month,
    registered,
    sandbox,
    production,
    revenue,
    CAST(sandbox AS DOUBLE) / NULLIF(registered, 0) AS sandbox_rate,
    CAST(production AS DOUBLE) / NULLIF(sandbox, 0) AS production_rate,
    CAST(revenue AS DOUBLE) / NULLIF(production, 0) AS revenue_rate,
    CAST(revenue AS DOUBLE) / NULLIF(registered, 0) AS overall_rate
FROM counted
ORDER BY cohort_month NULLS LAST
