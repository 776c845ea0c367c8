/*---
description = "Gross, net, paying partners and how concentrated revenue is, by month"
owner = "partner-analytics"
grain = ["month"]
tags = ["leadership", "revenue"]

[columns]
month = { type = "Date32", description = "Months with a billing event" }
gross = { type = "Decimal", unit = "reporting_currency" }
net = { type = "Decimal", unit = "reporting_currency", description = "gross − credits − refunds" }
paying_partners = { type = "Int64", unit = "partners", description = "With gross above 0; all that follows is over them, and NULL without any" }
mean_gross = { type = "Float64", unit = "reporting_currency" }
median_gross = { type = "Decimal", unit = "reporting_currency", description = "Of an even number, the mean of the middle two" }
top10_share = { type = "Float64", unit = "ratio", description = "Share of the ten largest" }
hhi = { type = "Float64", unit = "ratio", description = "Herfindahl–Hirschman index, Σ share²" }
gini = { type = "Float64", unit = "ratio", description = "0 is even" }
complete = { type = "Boolean", description = "as_of is at or after the month's end" }

[[checks]]
unique = ["month"]
[[checks]]
not_null = ["month", "gross", "net", "paying_partners", "complete"]
[[checks]]
sql = "SELECT * FROM this WHERE top10_share > 1 OR hhi > 1.000000001 OR gini < 0 OR gini >= 1"
---*/
WITH by_month AS (
    SELECT
        month,
        checked_sum(gross) AS gross,
        checked_sum(net) AS net,
        count(*) FILTER (WHERE gross > 0) AS paying_partners,
        median(gross) FILTER (WHERE gross > 0) AS median_gross,
        checked_sum(gross) FILTER (WHERE rank <= 10) AS top10_gross,
        hhi(gross) FILTER (WHERE gross > 0) AS hhi,
        gini(gross) FILTER (WHERE gross > 0) AS gini
    FROM revenue_per_partner
    GROUP BY month
)
SELECT
    month,
    gross,
    net,
    paying_partners,
    CAST(gross AS DOUBLE) / NULLIF(paying_partners, 0) AS mean_gross,
    median_gross,
    CAST(top10_gross AS DOUBLE) / NULLIF(CAST(gross AS DOUBLE), 0) AS top10_share,
    hhi,
    gini,
    next_month(month) <= CAST($as_of AS DATE) AS complete
FROM by_month
ORDER BY month
