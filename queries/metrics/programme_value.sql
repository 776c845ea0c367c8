/*---
description = "What the programme brought beside what the whole company earned and what the programme cost, by month"
owner = "partner-analytics"
grain = ["month"]
tags = ["leadership", "revenue"]

[columns]
month = { type = "Date32", description = "Months with a billing event" }
gross = { type = "Decimal", unit = "reporting_currency", description = "Of some of the partners, where only they are looked at; the next columns are the whole company's even then" }
company_revenue = { type = "Decimal", unit = "reporting_currency", description = "From the configuration; NULL where that does not say" }
share_of_company = { type = "Float64", unit = "ratio", description = "gross / company_revenue" }
cost = { type = "Decimal", unit = "reporting_currency", description = "From the configuration; NULL where that does not say" }
return_on_cost = { type = "Float64", unit = "ratio", description = "(gross − cost) / cost" }

[[checks]]
unique = ["month"]
[[checks]]
not_null = ["month", "gross"]
[[checks]]
sql = "SELECT * FROM this WHERE gross < 0 OR company_revenue < 0 OR cost < 0 OR return_on_cost < -1"
[[checks]]
sql = "SELECT * FROM this WHERE share_of_company > 1"
severity = "warn"
---*/
SELECT
    r.month,
    r.gross,
    p.company_revenue,
    CAST(r.gross AS DOUBLE) / NULLIF(CAST(p.company_revenue AS DOUBLE), 0) AS share_of_company,
    p.cost,
    CAST(r.gross - p.cost AS DOUBLE) / NULLIF(CAST(p.cost AS DOUBLE), 0) AS return_on_cost
FROM revenue_summary AS r
LEFT JOIN programme AS p ON p.month = r.month
ORDER BY r.month
