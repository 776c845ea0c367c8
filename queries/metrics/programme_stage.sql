/*---
description = "How mature the programme is: five measures, each with the stage from 1 to 4 that it has reached. The programme's stage is the least of them"
owner = "partner-analytics"
grain = ["measure"]
tags = ["leadership", "activation", "revenue"]

[columns]
measure = { type = "Utf8", description = "days_to_live and hours_to_first_call: medians from registration by Kaplan–Meier, over partners registered in the last 180 days. paying: of the partners that are live and have not churned, the share with gross in the last complete calendar month. terms: of the go-lives in the last 90 days, the share with terms signed before. touchless: of the same, the share without a ticket before" }
value = { type = "Float64", description = "Days, hours or a ratio; NULL where it can't be told" }
stage = { type = "Int64", description = "Stages 2, 3, 4: days ≤ 30, 7, 1; hours ≤ 168, 24, 1; paying ≥ 0.1, 0.3, 0.5; terms ≥ 0.5, 0.8, 0.95; touchless ≥ 0.2, 0.5, 0.8. Else 1" }

[[checks]]
unique = ["measure"]
[[checks]]
not_null = ["measure", "stage"]
[[checks]]
sql = "SELECT * FROM this WHERE stage NOT BETWEEN 1 AND 4 OR value < 0"
---*/
WITH recent AS (
    SELECT
        live IS NOT NULL AS went_live,
        greatest(CAST(COALESCE(live, $as_of) AS BIGINT) - CAST(registered AS BIGINT), 0) AS to_live_us,
        first_call IS NOT NULL AS called,
        greatest(CAST(COALESCE(first_call, $as_of) AS BIGINT) - CAST(registered AS BIGINT), 0) AS to_call_us
    FROM partners
    WHERE registered >= $as_of - INTERVAL '180 days'
),
speed AS (
    SELECT
        survival_quantile(kaplan_meier(to_live_us, went_live), 0.5) / 8.64e10 AS days_to_live,
        survival_quantile(kaplan_meier(to_call_us, called), 0.5) / 3.6e9 AS hours_to_first_call
    FROM recent
),
-- The month before the one that holds as_of is the last that is complete.
charged AS (
    SELECT DISTINCT partner_id
    FROM money_day
    WHERE event_date < month_start($as_of)
        AND event_date >= month_start(month_start($as_of) - INTERVAL '1 day')
        AND gross > 0
),
paying_share AS (
    SELECT CAST(count(c.partner_id) AS DOUBLE) / NULLIF(count(*), 0) AS paying
    FROM partners AS p
    LEFT JOIN charged AS c ON c.partner_id = p.partner_id
    WHERE p.last_success >= $as_of - INTERVAL '28 days'
),
with_ticket_before_live AS (
    SELECT DISTINCT p.partner_id
    FROM partners AS p
    JOIN tickets AS t ON t.partner_id = p.partner_id
    WHERE t.first_opened < p.live
),
go_lives_90d AS (
    SELECT
        CAST(count(*) FILTER (WHERE s.terms_signed < p.live) AS DOUBLE) / NULLIF(count(*), 0) AS terms,
        CAST(count(*) FILTER (WHERE h.partner_id IS NULL) AS DOUBLE) / NULLIF(count(*), 0) AS touchless
    FROM partners AS p
    LEFT JOIN first_steps AS s ON s.partner_id = p.partner_id
    LEFT JOIN with_ticket_before_live AS h ON h.partner_id = p.partner_id
    WHERE p.live >= $as_of - INTERVAL '90 days'
),
measured AS (
    SELECT
        'days_to_live' AS measure,
        days_to_live AS value,
        days_to_live <= 30 AS two,
        days_to_live <= 7 AS three,
        days_to_live <= 1 AS four
    FROM speed
    UNION ALL
    SELECT
        'hours_to_first_call',
        hours_to_first_call,
        hours_to_first_call <= 168,
        hours_to_first_call <= 24,
        hours_to_first_call <= 1
    FROM speed
    UNION ALL
    SELECT 'paying', paying, paying >= 0.1, paying >= 0.3, paying >= 0.5
    FROM paying_share
    UNION ALL
    SELECT 'terms', terms, terms >= 0.5, terms >= 0.8, terms >= 0.95
    FROM go_lives_90d
    UNION ALL
    SELECT 'touchless', touchless, touchless >= 0.2, touchless >= 0.5, touchless >= 0.8
    FROM go_lives_90d
)
SELECT
    measure,
    value,
    CASE WHEN four THEN 4 WHEN three THEN 3 WHEN two THEN 2 ELSE 1 END AS stage
FROM measured
ORDER BY measure
