/*---
description = "credential_day before as_of, with merges: each call counts for the partner that stands for its sender now. Rows of partners merged together stand side by side, so sum over them"
owner = "partner-analytics"
slice = "partner_id"
tags = ["traffic", "credentials"]

[columns]
event_date = { type = "Date32" }
partner_id = { type = "Utf8" }
environment = { type = "Utf8" }
credential_id = { type = "Utf8", description = "a keyed hash" }
calls = { type = "Int64", unit = "calls" }
successes = { type = "Int64", unit = "calls", description = "200 ≤ status < 400" }
auth_failures = { type = "Int64", unit = "calls", description = "401 and 403" }
first_call_at = { type = "Timestamp" }
last_call_at = { type = "Timestamp", description = "of any status" }
---*/
SELECT
  d.event_date,
  coalesce(m.survivor, d.partner_id) AS partner_id,
  d.environment,
  d.credential_id,
  d.calls,
  d.successes,
  d.auth_failures,
  d.first_call_at,
  d.last_call_at
FROM credential_day d
LEFT JOIN merge_map m ON m.partner_id = d.partner_id
WHERE d.event_date < $as_of
