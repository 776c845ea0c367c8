/*---
description = "What the partners that went live in one month did in each month since: active, lost, calls, gross"
owner = "partner-analytics"
grain = ["cohort_month", "months_since"]
tags = ["leadership", "growth"]

[columns]
cohort_month = { type = "Date32", description = "Month of go-live" }
months_since = { type = "Int64", unit = "months", description = "0 is the month of go-live" }
cohort_size = { type = "Int64", unit = "partners" }
active = { type = "Int64", unit = "partners", description = "With a production success in the month" }
retention = { type = "Float64", unit = "ratio", description = "active / cohort_size" }
churned = { type = "Int64", unit = "partners", description = "Active the month before and not (yet) in this" }
calls = { type = "Int64", unit = "calls", description = "In production, of any status" }
gross = { type = "Decimal", unit = "reporting_currency" }
complete = { type = "Boolean", description = "as_of is at or after the month's end" }

[[checks]]
unique = ["cohort_month", "months_since"]
[[checks]]
not_null = ["cohort_month", "months_since", "cohort_size", "active", "churned", "calls", "gross", "complete"]
[[checks]]
sql = "SELECT * FROM this WHERE active > cohort_size OR months_since < 0"
---*/
WITH cohort AS (
    SELECT partner_id, month_start(live) AS cohort_month
    FROM partners
    WHERE live IS NOT NULL
),
months AS (
    SELECT
        cohort_month,
        count(*) AS cohort_size,
        unnest(month_series(cohort_month, $as_of - INTERVAL '1 microsecond')) AS month
    FROM cohort
    GROUP BY cohort_month
),
usage AS (
    SELECT
        c.cohort_month,
        c.partner_id,
        month_start(u.event_date) AS month,
        sum(u.calls) AS calls,
        sum(u.successes) > 0 AS active
    FROM usage_day AS u
    JOIN cohort AS c ON c.partner_id = u.partner_id
    WHERE u.environment = 'production'
    GROUP BY c.cohort_month, c.partner_id, month_start(u.event_date)
),
used AS (
    SELECT cohort_month, month, count(*) FILTER (WHERE active) AS active, sum(calls) AS calls
    FROM usage
    GROUP BY cohort_month, month
),
actives AS (
    SELECT
        cohort_month,
        month,
        lead(month) OVER (PARTITION BY partner_id ORDER BY month) AS after
    FROM usage
    WHERE active
),
lost AS (
    SELECT cohort_month, next_month(month) AS month, count(*) AS churned
    FROM actives
    WHERE after IS NULL OR months_apart(month, after) > 1
    GROUP BY cohort_month, month
),
charged AS (
    SELECT c.cohort_month, month_start(m.event_date) AS month, checked_sum(m.gross) AS gross
    FROM money_day AS m
    JOIN cohort AS c ON c.partner_id = m.partner_id
    GROUP BY c.cohort_month, month_start(m.event_date)
)
SELECT
    m.cohort_month,
    months_apart(m.cohort_month, m.month) AS months_since,
    m.cohort_size,
    COALESCE(u.active, 0) AS active,
    CAST(COALESCE(u.active, 0) AS DOUBLE) / m.cohort_size AS retention,
    COALESCE(l.churned, 0) AS churned,
    COALESCE(u.calls, 0) AS calls,
    CAST(COALESCE(g.gross, 0) AS DECIMAL(38, 12)) AS gross,
    next_month(m.month) <= CAST($as_of AS DATE) AS complete
FROM months AS m
LEFT JOIN used AS u ON u.cohort_month = m.cohort_month AND u.month = m.month
LEFT JOIN lost AS l ON l.cohort_month = m.cohort_month AND l.month = m.month
LEFT JOIN charged AS g ON g.cohort_month = m.cohort_month AND g.month = m.month
ORDER BY m.cohort_month, months_since
