/*---
description = "Each partner's daily error rates of the last 90 days, and the days on which client errors stand clearly above what is usual for it"
owner = "partner-analytics"
grain = ["partner_id", "event_date"]
tags = ["reliability", "partners"]

[columns]
partner_id = { type = "Utf8" }
event_date = { type = "Date32", description = "Days with production calls" }
calls = { type = "Int64", unit = "calls" }
client_error_rate = { type = "Float64", unit = "ratio", description = "Status 400 to 499 without 429" }
server_error_rate = { type = "Float64", unit = "ratio" }
throttled_rate = { type = "Float64", unit = "ratio" }
baseline_rate = { type = "Float64", unit = "ratio", description = "Client error rate of the 84 days before, shrunk towards that of the partner's segment by 100 calls; NULL where the segment had no calls then" }
alarm = { type = "Boolean", description = "A CUSUM of robust z scores at 5 or more, and the Wilson bound of the day's rate above the baseline" }

[[checks]]
unique = ["partner_id", "event_date"]
[[checks]]
not_null = ["partner_id", "event_date", "calls", "client_error_rate", "alarm"]
---*/
-- The first of the 90 days looks back 84 days for its deviation, and each of those 84 for its
-- baseline: 258 days in all.
WITH daily AS (
    SELECT
        u.partner_id,
        p.segment,
        u.event_date,
        sum(u.calls) AS calls,
        sum(u.client_errors) AS client_errors,
        sum(u.server_errors) AS server_errors,
        sum(u.throttled) AS throttled
    FROM usage_day AS u
    LEFT JOIN partners AS p ON p.partner_id = u.partner_id
    WHERE u.environment = 'production'
        AND u.event_date >= CAST($as_of - INTERVAL '258 days' AS DATE)
        AND u.event_date < CAST($as_of AS DATE)
    GROUP BY u.partner_id, p.segment, u.event_date
),
segments AS (
    SELECT segment, event_date, sum(calls) AS calls, sum(client_errors) AS client_errors
    FROM daily
    GROUP BY segment, event_date
),
peers AS (
    SELECT
        segment,
        event_date,
        CAST(trailing_sum(client_errors, event_date, 84) OVER own AS DOUBLE)
            / NULLIF(trailing_sum(calls, event_date, 84) OVER own, 0) AS rate
    FROM segments
    WINDOW own AS (PARTITION BY segment ORDER BY event_date)
),
before AS (
    SELECT
        d.*,
        trailing_sum(d.calls, d.event_date, 84) OVER own AS own_calls,
        trailing_sum(d.client_errors, d.event_date, 84) OVER own AS own_errors,
        s.rate AS segment_rate
    FROM daily AS d
    JOIN peers AS s ON s.event_date = d.event_date AND s.segment IS NOT DISTINCT FROM d.segment
    WINDOW own AS (PARTITION BY d.partner_id ORDER BY d.event_date)
),
baselines AS (
    SELECT *, (own_errors + 100 * segment_rate) / (own_calls + 100) AS baseline
    FROM before
),
shrunk AS (
    SELECT *, (client_errors + 100 * baseline) / (calls + 100) AS rate
    FROM baselines
),
scored AS (
    SELECT
        *,
        (rate - baseline) / greatest(
            1.4826 * trailing_deviation(rate, event_date, 84)
                OVER (PARTITION BY partner_id ORDER BY event_date),
            0.005
        ) AS z
    FROM shrunk
),
recent AS (
    SELECT
        *,
        cusum(z)
            OVER (PARTITION BY partner_id ORDER BY event_date ROWS UNBOUNDED PRECEDING) AS c
    FROM scored
    WHERE event_date >= CAST($as_of - INTERVAL '90 days' AS DATE)
)
SELECT
    partner_id,
    event_date,
    calls,
    CAST(client_errors AS DOUBLE) / calls AS client_error_rate,
    CAST(server_errors AS DOUBLE) / calls AS server_error_rate,
    CAST(throttled AS DOUBLE) / calls AS throttled_rate,
    baseline AS baseline_rate,
    COALESCE(c >= 5 AND wilson_lower(client_errors, calls) > baseline, FALSE) AS alarm
FROM recent
ORDER BY partner_id, event_date
