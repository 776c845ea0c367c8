/*---
description = "Success, error and throttling rates and latency of each partner's production calls in the last 28 days"
owner = "partner-analytics"
grain = ["partner_id"]
tags = ["reliability", "partners"]

[columns]
partner_id = { type = "Utf8", description = "With a production call in [as_of − 28 d, as_of)" }
calls = { type = "Int64", unit = "calls" }
success_rate = { type = "Float64", unit = "ratio", description = "Status 200 to 399; all rates are over calls" }
client_error_rate = { type = "Float64", unit = "ratio", description = "Status 400 to 499 without 429" }
auth_failure_rate = { type = "Float64", unit = "ratio", description = "Status 401 and 403, which are client errors too" }
throttled_rate = { type = "Float64", unit = "ratio", description = "Status 429" }
server_error_rate = { type = "Float64", unit = "ratio", description = "Status 500 and above" }
p50_ms = { type = "Float64", unit = "ms", description = "Nearest rank over calls with a latency, within 1 %, as the next two" }
p95_ms = { type = "Float64", unit = "ms" }
p99_ms = { type = "Float64", unit = "ms" }
calls_per_day = { type = "Float64", unit = "calls", description = "calls / 28" }

[[checks]]
unique = ["partner_id"]
[[checks]]
not_null = ["partner_id", "calls", "success_rate"]
[[checks]]
sql = "SELECT * FROM this WHERE p50_ms > p95_ms OR p95_ms > p99_ms OR auth_failure_rate > client_error_rate"
---*/
WITH usage AS (
    SELECT
        partner_id,
        sum(calls) AS calls,
        sum(successes) AS successes,
        sum(client_errors) AS client_errors,
        sum(auth_failures) AS auth_failures,
        sum(throttled) AS throttled,
        sum(server_errors) AS server_errors
    FROM usage_day
    WHERE environment = 'production'
        AND event_date >= CAST($as_of - INTERVAL '28 days' AS DATE)
        AND event_date < CAST($as_of AS DATE)
    GROUP BY partner_id
),
latency AS (
    SELECT partner_id, merge_histograms(buckets) AS buckets
    FROM latency_day
    WHERE environment = 'production'
        AND event_date >= CAST($as_of - INTERVAL '28 days' AS DATE)
        AND event_date < CAST($as_of AS DATE)
    GROUP BY partner_id
)
SELECT
    u.partner_id,
    u.calls,
    CAST(u.successes AS DOUBLE) / u.calls AS success_rate,
    CAST(u.client_errors AS DOUBLE) / u.calls AS client_error_rate,
    CAST(u.auth_failures AS DOUBLE) / u.calls AS auth_failure_rate,
    CAST(u.throttled AS DOUBLE) / u.calls AS throttled_rate,
    CAST(u.server_errors AS DOUBLE) / u.calls AS server_error_rate,
    histogram_percentile(l.buckets, 0.5) / 1000 AS p50_ms,
    histogram_percentile(l.buckets, 0.95) / 1000 AS p95_ms,
    histogram_percentile(l.buckets, 0.99) / 1000 AS p99_ms,
    CAST(u.calls AS DOUBLE) / 28 AS calls_per_day
FROM usage AS u
LEFT JOIN latency AS l ON l.partner_id = u.partner_id
ORDER BY u.partner_id
