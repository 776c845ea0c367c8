/*---
description = "How partners come from registration to their first charge, and what those without one use"
owner = "partner-analytics"
grain = ["cohort_month"]
tags = ["leadership", "revenue", "activation"]

[columns]
cohort_month = { type = "Date32", description = "Month of registration; NULL is all partners" }
partners = { type = "Int64", unit = "partners" }
live = { type = "Int64", unit = "partners", description = "With a success in production" }
paid = { type = "Int64", unit = "partners", description = "With a charge: usage, subscription or commission above 0" }
paid_rate = { type = "Float64", unit = "ratio", description = "paid / partners" }
median_seconds = { type = "Float64", unit = "seconds", description = "From registration to the first charge, by Kaplan–Meier; NULL while fewer than half have got there" }
within_30d = { type = "Float64", unit = "ratio", description = "Share charged within 30 days; NULL while nobody has been watched for so long, as for the next" }
within_90d = { type = "Float64", unit = "ratio" }
unpaid_live = { type = "Int64", unit = "partners", description = "Live without a charge" }
unpaid_calls = { type = "Int64", unit = "calls", description = "In production, of any status and all time, of all partners without a charge" }
unpaid_tickets = { type = "Int64", unit = "tickets", description = "Opened at any time, of all partners without a charge" }

[[checks]]
unique = ["cohort_month"]
[[checks]]
not_null = ["partners", "live", "paid", "unpaid_live", "unpaid_calls", "unpaid_tickets"]
[[checks]]
sql = "SELECT * FROM this WHERE live > partners OR paid > partners OR unpaid_live > partners - paid OR unpaid_live > live OR within_30d > within_90d"
---*/
WITH calls AS (
    SELECT partner_id, sum(calls) AS calls
    FROM usage_day
    WHERE environment = 'production'
    GROUP BY partner_id
),
opened AS (
    SELECT partner_id, count(*) AS tickets
    FROM tickets
    WHERE first_opened IS NOT NULL
    GROUP BY partner_id
),
registered AS (
    SELECT
        p.partner_id,
        month_start(p.registered) AS cohort_month,
        p.live IS NOT NULL AS live,
        f.partner_id IS NOT NULL AS paid,
        -- A charge before registration waited for nothing.
        greatest(CAST(COALESCE(f.charged_at, $as_of) AS BIGINT) - CAST(p.registered AS BIGINT), 0) AS waited_us,
        CAST($as_of AS BIGINT) - CAST(p.registered AS BIGINT) AS watched_us,
        COALESCE(c.calls, 0) AS calls,
        COALESCE(o.tickets, 0) AS tickets
    FROM partners AS p
    LEFT JOIN first_charge AS f ON f.partner_id = p.partner_id
    LEFT JOIN calls AS c ON c.partner_id = p.partner_id
    LEFT JOIN opened AS o ON o.partner_id = p.partner_id
    WHERE p.registered IS NOT NULL
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
        count(r.partner_id) FILTER (WHERE r.live) AS live,
        count(r.partner_id) FILTER (WHERE r.paid) AS paid,
        kaplan_meier(r.waited_us, r.paid) AS curve,
        max(r.watched_us) AS watched_us,
        count(r.partner_id) FILTER (WHERE r.live AND NOT r.paid) AS unpaid_live,
        COALESCE(sum(r.calls) FILTER (WHERE NOT r.paid), 0) AS unpaid_calls,
        COALESCE(sum(r.tickets) FILTER (WHERE NOT r.paid), 0) AS unpaid_tickets
    FROM cohorts AS c
    LEFT JOIN registered AS r ON c.cohort_month IS NULL OR r.cohort_month = c.cohort_month
    GROUP BY c.cohort_month
)
SELECT
    cohort_month,
    partners,
    live,
    paid,
    CAST(paid AS DOUBLE) / NULLIF(partners, 0) AS paid_rate,
    survival_quantile(curve, 0.5) / 1e6 AS median_seconds,
    CASE WHEN watched_us >= 2592000000000 THEN 1 - survival_at(curve, 2592000000000) END AS within_30d,
    CASE WHEN watched_us >= 7776000000000 THEN 1 - survival_at(curve, 7776000000000) END AS within_90d,
    unpaid_live,
    unpaid_calls,
    unpaid_tickets
FROM counted
ORDER BY cohort_month NULLS LAST
