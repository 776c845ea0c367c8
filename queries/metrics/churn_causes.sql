/*---
description = "What the last weeks of each churned partner looked like, and the likely cause: the first of seven that fits"
owner = "partner-analytics"
grain = ["partner_id"]
tags = ["growth", "reliability", "partners"]

[columns]
partner_id = { type = "Utf8", description = "Every partner of churned_partners" }
last_success_at = { type = "Timestamp", description = "The last success in production" }
cause = { type = "Utf8", description = "locked_out, errors, throttled, service, price, fade or abrupt" }
calls = { type = "Int64", unit = "calls", description = "In production on the 28 dates that end with that of last_success_at, as all that follows" }
client_error_rate = { type = "Float64", unit = "ratio", description = "Status 400 to 499 without 429; all rates are over calls" }
throttled_rate = { type = "Float64", unit = "ratio", description = "Status 429" }
server_error_rate = { type = "Float64", unit = "ratio", description = "Status 500 and above" }
gross = { type = "Decimal", unit = "reporting_currency" }

[[checks]]
unique = ["partner_id"]
[[checks]]
not_null = ["partner_id", "last_success_at", "cause", "calls", "client_error_rate", "throttled_rate", "server_error_rate", "gross"]
[[checks]]
sql = "SELECT * FROM this WHERE calls < 1 OR client_error_rate + throttled_rate + server_error_rate >= 1 OR gross < 0 OR cause NOT IN ('locked_out', 'errors', 'throttled', 'service', 'price', 'fade', 'abrupt')"
---*/
WITH churned AS (
    SELECT
        partner_id,
        last_success AS last_success_at,
        CAST(last_success AS DATE) AS last_date
    FROM partners
    WHERE last_success < $as_of - INTERVAL '28 days'
),
-- Calls around the last success, each with the part of the time it falls in: F, the 28 dates that
-- end with the last success's, the 56 dates before them, or the 28 after.
traffic AS (
    SELECT
        c.partner_id,
        CASE
            WHEN u.event_date > c.last_date THEN 'after'
            WHEN u.event_date > c.last_date - INTERVAL '28 days' THEN 'final'
            ELSE 'earlier'
        END AS period,
        u.event_date > c.last_date - INTERVAL '14 days' AS second_half,
        u.calls,
        u.client_errors,
        u.auth_failures,
        u.throttled,
        u.server_errors
    FROM churned AS c
    JOIN usage_day AS u ON u.partner_id = c.partner_id
    WHERE u.environment = 'production'
        AND u.event_date > c.last_date - INTERVAL '84 days'
        AND u.event_date <= c.last_date + INTERVAL '28 days'
),
usage AS (
    SELECT
        partner_id,
        sum(calls) FILTER (WHERE period = 'final') AS calls,
        sum(calls) FILTER (WHERE period = 'final' AND NOT second_half) AS calls_first_half,
        sum(calls) FILTER (WHERE period = 'final' AND second_half) AS calls_second_half,
        sum(client_errors) FILTER (WHERE period = 'final') AS client_errors,
        sum(throttled) FILTER (WHERE period = 'final') AS throttled,
        sum(server_errors) FILTER (WHERE period = 'final') AS server_errors,
        sum(calls) FILTER (WHERE period = 'earlier') AS earlier_calls,
        sum(client_errors) FILTER (WHERE period = 'earlier') AS earlier_client_errors,
        sum(calls) FILTER (WHERE period = 'after') AS later_calls,
        sum(auth_failures) FILTER (WHERE period = 'after') AS later_auth_failures
    FROM traffic
    GROUP BY partner_id
),
charges AS (
    SELECT
        c.partner_id,
        checked_sum(m.gross) FILTER (WHERE m.event_date > c.last_date - INTERVAL '28 days') AS gross,
        checked_sum(m.gross) FILTER (WHERE m.event_date <= c.last_date - INTERVAL '28 days') AS earlier_gross
    FROM churned AS c
    JOIN money_day AS m ON m.partner_id = c.partner_id
    WHERE m.event_date > c.last_date - INTERVAL '84 days'
        AND m.event_date <= c.last_date
    GROUP BY c.partner_id
),
measured AS (
    SELECT
        c.partner_id,
        c.last_success_at,
        u.calls,
        COALESCE(u.calls_first_half, 0) AS calls_first_half,
        u.calls_second_half,
        CAST(u.client_errors AS DOUBLE) / u.calls AS client_error_rate,
        CAST(u.throttled AS DOUBLE) / u.calls AS throttled_rate,
        CAST(u.server_errors AS DOUBLE) / u.calls AS server_error_rate,
        COALESCE(CAST(u.earlier_client_errors AS DOUBLE) / u.earlier_calls, 0) AS earlier_client_error_rate,
        COALESCE(u.later_calls, 0) AS later_calls,
        COALESCE(u.later_auth_failures, 0) AS later_auth_failures,
        CAST(COALESCE(g.gross, 0) AS DECIMAL(38, 12)) AS gross,
        CAST(COALESCE(g.earlier_gross, 0) AS DECIMAL(38, 12)) AS earlier_gross
    FROM churned AS c
    JOIN usage AS u ON u.partner_id = c.partner_id
    LEFT JOIN charges AS g ON g.partner_id = c.partner_id
)
SELECT
    partner_id,
    last_success_at,
    CASE
        -- None of these calls is a success: they come after the last one.
        WHEN later_calls >= 10 AND 2 * later_auth_failures >= later_calls THEN 'locked_out'
        WHEN calls >= 50
            AND client_error_rate >= 0.05
            AND client_error_rate >= 2 * earlier_client_error_rate
        THEN 'errors'
        WHEN throttled_rate >= 0.05 THEN 'throttled'
        WHEN server_error_rate >= 0.02 THEN 'service'
        WHEN earlier_gross > 0 AND 4 * gross > 3 * earlier_gross THEN 'price'
        WHEN 2 * calls_second_half < calls_first_half THEN 'fade'
        ELSE 'abrupt'
    END AS cause,
    calls,
    client_error_rate,
    throttled_rate,
    server_error_rate,
    gross
FROM measured
ORDER BY partner_id
