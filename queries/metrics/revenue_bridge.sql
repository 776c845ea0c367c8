/*---
description = "How gross came from one month to the next: new and returning partners, those that grew or shrank, those lost"
owner = "partner-analytics"
grain = ["month"]
tags = ["leadership", "revenue"]

[columns]
month = { type = "Date32", description = "Every month from the first with a paying partner to the one that holds as_of" }
start = { type = "Decimal", unit = "reporting_currency", description = "Gross of the month before" }
new = { type = "Decimal", unit = "reporting_currency", description = "Of partners whose first gross it is" }
reactivation = { type = "Decimal", unit = "reporting_currency", description = "Of partners with none the month before, but some earlier" }
expansion = { type = "Decimal", unit = "reporting_currency", description = "What partners that paid both months paid more" }
contraction = { type = "Decimal", unit = "reporting_currency", description = "What they paid less" }
churn = { type = "Decimal", unit = "reporting_currency", description = "Gross of the month before of partners with none (yet) in this" }
end = { type = "Decimal", unit = "reporting_currency", description = "Gross of the month: start + new + reactivation + expansion − contraction − churn" }
nrr = { type = "Float64", unit = "ratio", description = "Net revenue retention: (start + expansion − contraction − churn) / start" }
grr = { type = "Float64", unit = "ratio", description = "Gross revenue retention: the same without expansion" }
complete = { type = "Boolean", description = "as_of is at or after the month's end" }

[[checks]]
unique = ["month"]
[[checks]]
not_null = ["month", "start", "new", "reactivation", "expansion", "contraction", "churn", "end", "complete"]
[[checks]]
sql = 'SELECT * FROM this WHERE start + new + reactivation + expansion - contraction - churn <> "end"'
---*/
WITH monthly AS (
    SELECT month_start(event_date) AS month, partner_id, checked_sum(gross) AS gross
    FROM money_day
    GROUP BY month_start(event_date), partner_id
),
paying AS (
    SELECT
        month,
        gross,
        lag(month) OVER own AS before,
        lag(gross) OVER own AS gross_before,
        lead(month) OVER own AS after
    FROM monthly
    WHERE gross > 0
    WINDOW own AS (PARTITION BY partner_id ORDER BY month)
),
arrived AS (
    SELECT
        month,
        checked_sum(gross) AS gross,
        checked_sum(gross) FILTER (WHERE before IS NULL) AS new,
        checked_sum(gross) FILTER (WHERE months_apart(before, month) > 1) AS reactivation,
        checked_sum(gross - gross_before)
            FILTER (WHERE months_apart(before, month) = 1 AND gross > gross_before) AS expansion,
        checked_sum(gross_before - gross)
            FILTER (WHERE months_apart(before, month) = 1 AND gross < gross_before) AS contraction
    FROM paying
    GROUP BY month
),
lost AS (
    SELECT next_month(month) AS month, checked_sum(gross) AS churn
    FROM paying
    WHERE after IS NULL OR months_apart(month, after) > 1
    GROUP BY next_month(month)
),
months AS (
    SELECT unnest(month_series(min(month), $as_of - INTERVAL '1 microsecond')) AS month
    FROM paying
),
bridged AS (
    SELECT
        m.month,
        CAST(COALESCE(lag(a.gross) OVER (ORDER BY m.month), 0) AS DECIMAL(38, 12)) AS start,
        CAST(COALESCE(a.new, 0) AS DECIMAL(38, 12)) AS new,
        CAST(COALESCE(a.reactivation, 0) AS DECIMAL(38, 12)) AS reactivation,
        CAST(COALESCE(a.expansion, 0) AS DECIMAL(38, 12)) AS expansion,
        CAST(COALESCE(a.contraction, 0) AS DECIMAL(38, 12)) AS contraction,
        CAST(COALESCE(l.churn, 0) AS DECIMAL(38, 12)) AS churn,
        CAST(COALESCE(a.gross, 0) AS DECIMAL(38, 12)) AS "end"
    FROM months AS m
    LEFT JOIN arrived AS a ON a.month = m.month
    LEFT JOIN lost AS l ON l.month = m.month
    WHERE m.month IS NOT NULL
)
SELECT
    month,
    start,
    new,
    reactivation,
    expansion,
    contraction,
    churn,
    "end",
    CAST(start + expansion - contraction - churn AS DOUBLE) / NULLIF(CAST(start AS DOUBLE), 0) AS nrr,
    CAST(start - contraction - churn AS DOUBLE) / NULLIF(CAST(start AS DOUBLE), 0) AS grr,
    next_month(month) <= CAST($as_of AS DATE) AS complete
FROM bridged
ORDER BY month
