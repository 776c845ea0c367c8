/*---
description = "Registered partners that are not live and have stood in one stage for 30 days or more"
owner = "partner-analytics"
grain = ["partner_id"]
tags = ["activation", "partners"]

[columns]
partner_id = { type = "Utf8" }
stage = { type = "Utf8", description = "never_called, failing (calls but no success) or sandbox (successes there only)" }
since = { type = "Timestamp", description = "Registration, or the first success where that came later" }
days_in_stage = { type = "Int64", unit = "days", description = "Whole days of 24 h up to as_of" }
registered_at = { type = "Timestamp" }
last_call_at = { type = "Timestamp", description = "Of any status, in any environment" }

[[checks]]
unique = ["partner_id"]
[[checks]]
sql = "SELECT * FROM this WHERE days_in_stage < 30 OR stage NOT IN ('never_called', 'failing', 'sandbox')"
---*/
WITH waiting AS (
    SELECT
        partner_id,
        CASE
            WHEN first_call IS NOT NULL THEN 'sandbox'
            WHEN last_call_at IS NOT NULL THEN 'failing'
            ELSE 'never_called'
        END AS stage,
        greatest(registered, COALESCE(first_call, registered)) AS since,
        registered AS registered_at,
        last_call_at
    FROM partners
    WHERE registered IS NOT NULL AND live IS NULL
)
SELECT
    partner_id,
    stage,
    since,
    (CAST($as_of AS BIGINT) - CAST(since AS BIGINT)) / 86400000000 AS days_in_stage,
    registered_at,
    last_call_at
FROM waiting
WHERE since <= $as_of - INTERVAL '30 days'
ORDER BY partner_id
