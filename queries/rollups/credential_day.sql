/*---
description = "API calls that a partner made with a credential on a day, by environment"
owner = "partner-analytics"
grain = ["event_date", "partner_id", "environment", "credential_id"]
tags = ["traffic", "credentials"]
reads = { api_calls = "same" }

[columns]
event_date = { type = "Date32" }
partner_id = { type = "Utf8", description = "as sent; merges are applied when it is read" }
environment = { type = "Utf8" }
credential_id = { type = "Utf8", description = "a keyed hash; calls that carry no credential are in no row" }
calls = { type = "Int64", unit = "calls" }
successes = { type = "Int64", unit = "calls", description = "200 ≤ status < 400" }
auth_failures = { type = "Int64", unit = "calls", description = "401 and 403" }
first_call_at = { type = "Timestamp" }
last_call_at = { type = "Timestamp", description = "of any status" }

[[checks]]
unique = ["event_date", "partner_id", "environment", "credential_id"]
[[checks]]
not_null = ["credential_id"]
[[checks]]
sql = "SELECT * FROM this WHERE successes + auth_failures > calls"
---*/
SELECT
  event_date,
  partner_id,
  environment,
  credential_id,
  count(*) AS calls,
  count(CASE WHEN status >= 200 AND status < 400 THEN 1 END) AS successes,
  count(CASE WHEN status = 401 OR status = 403 THEN 1 END) AS auth_failures,
  min(occurred_at) AS first_call_at,
  max(occurred_at) AS last_call_at
FROM api_calls
WHERE credential_id IS NOT NULL
GROUP BY event_date, partner_id, environment, credential_id
ORDER BY event_date, partner_id, environment, credential_id
