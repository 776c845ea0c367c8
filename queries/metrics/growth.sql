/*---
description = "Active partners by month and where they came from: new, retained, resurrected, and those lost"
owner = "partner-analytics"
grain = ["month"]
tags = ["leadership", "growth"]

[columns]
month = { type = "Date32", description = "Every month from the first with an active partner to the one that holds as_of" }
active = { type = "Int64", unit = "partners", description = "With a production success in the month" }
new = { type = "Int64", unit = "partners", description = "Never active before" }
retained = { type = "Int64", unit = "partners", description = "Active the month before too" }
resurrected = { type = "Int64", unit = "partners", description = "Active before, but not the month before" }
churned = { type = "Int64", unit = "partners", description = "Active the month before and not (yet) in this" }
growth_rate = { type = "Float64", unit = "ratio", description = "active / active the month before − 1" }
churn_rate = { type = "Float64", unit = "ratio", description = "churned / active the month before" }
quick_ratio = { type = "Float64", unit = "ratio", description = "(new + resurrected) / churned" }
complete = { type = "Boolean", description = "as_of is at or after the month's end" }

[[checks]]
unique = ["month"]
[[checks]]
not_null = ["month", "active", "new", "retained", "resurrected", "churned", "complete"]
[[checks]]
sql = "SELECT * FROM this WHERE active <> new + retained + resurrected"
---*/
WITH active_months AS (
    SELECT DISTINCT partner_id, month_start(event_date) AS month
    FROM usage_day
    WHERE environment = 'production' AND successes > 0
),
neighbours AS (
    SELECT
        month,
        lag(month) OVER (PARTITION BY partner_id ORDER BY month) AS before,
        lead(month) OVER (PARTITION BY partner_id ORDER BY month) AS after
    FROM active_months
),
arrived AS (
    SELECT
        month,
        count(*) AS active,
        count(*) FILTER (WHERE before IS NULL) AS new,
        count(*) FILTER (WHERE months_apart(before, month) = 1) AS retained,
        count(*) FILTER (WHERE months_apart(before, month) > 1) AS resurrected
    FROM neighbours
    GROUP BY month
),
lost AS (
    SELECT next_month(month) AS month, count(*) AS churned
    FROM neighbours
    WHERE after IS NULL OR months_apart(month, after) > 1
    GROUP BY next_month(month)
),
months AS (
    SELECT unnest(month_series(min(month), $as_of - INTERVAL '1 microsecond')) AS month
    FROM active_months
),
counted AS (
    SELECT
        m.month,
        COALESCE(a.active, 0) AS active,
        COALESCE(a.new, 0) AS new,
        COALESCE(a.retained, 0) AS retained,
        COALESCE(a.resurrected, 0) AS resurrected,
        COALESCE(l.churned, 0) AS churned,
        lag(COALESCE(a.active, 0), 1, 0) OVER (ORDER BY m.month) AS active_before
    FROM months AS m
    LEFT JOIN arrived AS a ON a.month = m.month
    LEFT JOIN lost AS l ON l.month = m.month
    WHERE m.month IS NOT NULL
)
SELECT
    month,
    active,
    new,
    retained,
    resurrected,
    churned,
    CAST(active AS DOUBLE) / NULLIF(active_before, 0) - 1 AS growth_rate,
    CAST(churned AS DOUBLE) / NULLIF(active_before, 0) AS churn_rate,
    CAST(new + resurrected AS DOUBLE) / NULLIF(churned, 0) AS quick_ratio,
    next_month(month) <= CAST($as_of AS DATE) AS complete
FROM counted
ORDER BY month
