/*---
description = "Each partner's share of support beside its share of revenue, over the last 90 days"
owner = "partner-analytics"
grain = ["partner_id"]
tags = ["support", "revenue", "partners"]

[columns]
partner_id = { type = "Utf8", description = "With a ticket opened, gross or a production call in the last 90 days" }
tickets = { type = "Int64", unit = "tickets", description = "First opened in [as_of − 90 d, as_of)" }
ticket_share = { type = "Float64", unit = "ratio", description = "tickets / those of all partners; NULL if there are none" }
gross = { type = "Decimal", unit = "reporting_currency" }
gross_share = { type = "Float64", unit = "ratio", description = "gross / that of all partners; NULL if that is 0" }
calls = { type = "Int64", unit = "calls", description = "In production" }
gap = { type = "Float64", unit = "ratio", description = "ticket_share − gross_share: above 0 takes more attention than it brings; NULL where either is" }

[[checks]]
unique = ["partner_id"]
[[checks]]
not_null = ["partner_id", "tickets", "gross", "calls"]
[[checks]]
sql = "SELECT * FROM this WHERE (tickets = 0 AND gross = 0 AND calls = 0) OR ticket_share > 1 OR gross_share > 1"
---*/
WITH parts AS (
    SELECT partner_id, count(*) AS tickets, CAST(0 AS DECIMAL(38, 12)) AS gross, 0 AS calls
    FROM tickets
    WHERE first_opened >= $as_of - INTERVAL '90 days'
    GROUP BY partner_id
    UNION ALL
    SELECT partner_id, 0, checked_sum(gross), 0
    FROM money_day
    WHERE event_date >= CAST($as_of - INTERVAL '90 days' AS DATE)
    GROUP BY partner_id
    UNION ALL
    SELECT partner_id, 0, CAST(0 AS DECIMAL(38, 12)), sum(calls)
    FROM usage_day
    WHERE environment = 'production'
        AND event_date >= CAST($as_of - INTERVAL '90 days' AS DATE)
    GROUP BY partner_id
),
summed AS (
    SELECT
        partner_id,
        sum(tickets) AS tickets,
        checked_sum(gross) AS gross,
        sum(calls) AS calls
    FROM parts
    GROUP BY partner_id
),
shared AS (
    SELECT
        partner_id,
        tickets,
        CAST(tickets AS DOUBLE) / NULLIF(sum(tickets) OVER (), 0) AS ticket_share,
        gross,
        CAST(gross AS DOUBLE) / NULLIF(CAST(checked_sum(gross) OVER () AS DOUBLE), 0) AS gross_share,
        calls
    FROM summed
)
SELECT
    partner_id,
    tickets,
    ticket_share,
    gross,
    gross_share,
    calls,
    ticket_share - gross_share AS gap
FROM shared
WHERE tickets > 0 OR gross > 0 OR calls > 0
ORDER BY partner_id
