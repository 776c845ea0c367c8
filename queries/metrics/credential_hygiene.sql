/*---
description = "Credentials that partners have ever called with: how old each is, how long unused, how often it was refused lately"
owner = "partner-analytics"
grain = ["partner_id", "credential_id"]
tags = ["reliability", "credentials", "partners"]

[columns]
partner_id = { type = "Utf8" }
credential_id = { type = "Utf8", description = "A keyed hash; with a call of any status in any environment" }
first_seen = { type = "Timestamp", description = "The first call of any status" }
last_seen = { type = "Timestamp", description = "The last call of any status" }
age_days = { type = "Int64", unit = "days", description = "Whole days of 24 h from first_seen to as_of" }
days_unused = { type = "Int64", unit = "days", description = "Whole days of 24 h from last_seen to as_of" }
calls_28d = { type = "Int64", unit = "calls", description = "In [as_of − 28 d, as_of), of any status, in any environment" }
auth_failure_rate_28d = { type = "Float64", unit = "ratio", description = "Status 401 and 403 / calls_28d; NULL without calls" }
unused = { type = "Boolean", description = "90 days or more without a call" }
old = { type = "Boolean", description = "First seen 365 days ago or earlier, and still called with in the last 28 days" }

[[checks]]
unique = ["partner_id", "credential_id"]
[[checks]]
not_null = ["partner_id", "credential_id", "first_seen", "last_seen", "age_days", "days_unused", "calls_28d", "unused", "old"]
[[checks]]
sql = "SELECT * FROM this WHERE first_seen > last_seen OR days_unused < 0 OR auth_failure_rate_28d > 1 OR (unused AND old) OR (unused AND calls_28d > 0)"
---*/
WITH seen AS (
    SELECT
        partner_id,
        credential_id,
        min(first_call_at) AS first_seen,
        max(last_call_at) AS last_seen,
        COALESCE(
            sum(calls) FILTER (WHERE event_date >= CAST($as_of - INTERVAL '28 days' AS DATE)), 0
        ) AS calls_28d,
        sum(auth_failures)
            FILTER (WHERE event_date >= CAST($as_of - INTERVAL '28 days' AS DATE)) AS auth_failures_28d
    FROM credential_usage_day
    GROUP BY partner_id, credential_id
),
aged AS (
    SELECT
        *,
        (CAST($as_of AS BIGINT) - CAST(first_seen AS BIGINT)) / 86400000000 AS age_days,
        (CAST($as_of AS BIGINT) - CAST(last_seen AS BIGINT)) / 86400000000 AS days_unused
    FROM seen
)
SELECT
    partner_id,
    credential_id,
    first_seen,
    last_seen,
    age_days,
    days_unused,
    calls_28d,
    CAST(auth_failures_28d AS DOUBLE) / NULLIF(calls_28d, 0) AS auth_failure_rate_28d,
    days_unused >= 90 AS unused,
    age_days >= 365 AND calls_28d > 0 AS old
FROM aged
ORDER BY partner_id, credential_id
