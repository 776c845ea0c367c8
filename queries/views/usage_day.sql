/*---
description = "partner_day before as_of, with merges: each call counts for the partner that stands for its sender now. Rows of partners merged together stand side by side, so sum over them"
owner = "partner-analytics"
slice = "partner_id"
tags = ["traffic"]

[columns]
event_date = { type = "Date32" }
partner_id = { type = "Utf8" }
environment = { type = "Utf8" }
product = { type = "Utf8" }
api_version = { type = "Utf8" }
calls = { type = "Int64", unit = "calls" }
successes = { type = "Int64", unit = "calls", description = "200 ≤ status < 400" }
client_errors = { type = "Int64", unit = "calls", description = "400 ≤ status < 500, not 429" }
auth_failures = { type = "Int64", unit = "calls", description = "401 and 403, among client_errors" }
throttled = { type = "Int64", unit = "calls", description = "429" }
server_errors = { type = "Int64", unit = "calls", description = "status ≥ 500" }
latency_us_sum = { type = "Decimal(38, 0)", unit = "microseconds" }
latency_count = { type = "Int64", unit = "calls" }
response_bytes = { type = "Decimal(38, 0)", unit = "bytes" }
first_call_at = { type = "Timestamp" }
last_call_at = { type = "Timestamp", description = "of any status" }
first_success_at = { type = "Timestamp" }
last_success_at = { type = "Timestamp" }
---*/
SELECT
  d.event_date,
  coalesce(m.survivor, d.partner_id) AS partner_id,
  d.environment,
  d.product,
  d.api_version,
  d.calls,
  d.successes,
  d.client_errors,
  d.auth_failures,
  d.throttled,
  d.server_errors,
  d.latency_us_sum,
  d.latency_count,
  d.response_bytes,
  d.first_call_at,
  d.last_call_at,
  d.first_success_at,
  d.last_success_at
FROM partner_day d
LEFT JOIN merge_map m ON m.partner_id = d.partner_id
WHERE d.event_date < $as_of
