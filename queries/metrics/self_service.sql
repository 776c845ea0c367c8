/*---
description = "Partners that went live without a support ticket, and how long the way took"
owner = "partner-analytics"
grain = ["cohort_month"]
tags = ["activation", "support"]

[columns]
cohort_month = { type = "Date32", description = "Month of go-live; NULL is all partners" }
live = { type = "Int64", unit = "partners" }
touchless = { type = "Int64", unit = "partners", description = "No ticket opened before go-live" }
touchless_rate = { type = "Float64", unit = "ratio", description = "touchless / live" }
tickets_before_live = { type = "Int64", unit = "tickets", description = "First opened before go-live, of all these partners" }
median_days_to_live = { type = "Int64", unit = "days", description = "From registration to go-live in whole days, 0 where go-live came first; nearest rank over the partners that registered, NULL without any" }

[[checks]]
unique = ["cohort_month"]
[[checks]]
not_null = ["live", "touchless", "tickets_before_live"]
[[checks]]
sql = "SELECT * FROM this WHERE touchless > live OR median_days_to_live < 0 OR tickets_before_live < live - touchless"
---*/
WITH early AS (
    SELECT p.partner_id, count(*) AS tickets
    FROM partners AS p
    JOIN tickets AS t ON t.partner_id = p.partner_id
    WHERE t.first_opened < p.live
    GROUP BY p.partner_id
),
arrived AS (
    SELECT
        p.partner_id,
        month_start(p.live) AS cohort_month,
        COALESCE(e.tickets, 0) AS tickets,
        greatest(CAST(p.live AS BIGINT) - CAST(p.registered AS BIGINT), 0) / 86400000000 AS days,
        p.registered IS NOT NULL AS registered
    FROM partners AS p
    LEFT JOIN early AS e ON e.partner_id = p.partner_id
    WHERE p.live IS NOT NULL
),
cohorts AS (
    SELECT DISTINCT cohort_month FROM arrived
    UNION ALL
    SELECT CAST(NULL AS DATE)
),
counted AS (
    SELECT
        c.cohort_month,
        count(a.partner_id) AS live,
        count(a.partner_id) FILTER (WHERE a.tickets = 0) AS touchless,
        COALESCE(sum(a.tickets), 0) AS tickets_before_live,
        -- Without a censoring the quantile of the curve is the nearest rank.
        survival_quantile(kaplan_meier(a.days, TRUE) FILTER (WHERE a.registered), 0.5) AS median_days_to_live
    FROM cohorts AS c
    LEFT JOIN arrived AS a ON c.cohort_month IS NULL OR a.cohort_month = c.cohort_month
    GROUP BY c.cohort_month
)
SELECT
    cohort_month,
    live,
    touchless,
    CAST(touchless AS DOUBLE) / NULLIF(live, 0) AS touchless_rate,
    tickets_before_live,
    median_days_to_live
FROM counted
ORDER BY cohort_month NULLS LAST
