/*---
description = "endpoint_day before as_of, with merges: each call counts for the partner that stands for its sender now. Rows of partners merged together stand side by side, so sum over them"
owner = "partner-analytics"
slice = "partner_id"
tags = ["traffic", "products"]

[columns]
event_date = { type = "Date32" }
partner_id = { type = "Utf8" }
environment = { type = "Utf8" }
product = { type = "Utf8" }
method = { type = "Utf8" }
endpoint = { type = "Utf8", description = "route template" }
calls = { type = "Int64", unit = "calls" }
successes = { type = "Int64", unit = "calls", description = "200 ≤ status < 400" }
client_errors = { type = "Int64", unit = "calls", description = "400 ≤ status < 500, not 429" }
throttled = { type = "Int64", unit = "calls", description = "429" }
server_errors = { type = "Int64", unit = "calls", description = "status ≥ 500" }
latency_us_sum = { type = "Decimal(38, 0)", unit = "microseconds" }
latency_count = { type = "Int64", unit = "calls", description = "calls that carry a latency" }
---*/
SELECT
  d.event_date,
  coalesce(m.survivor, d.partner_id) AS partner_id,
  d.environment,
  d.product,
  d.method,
  d.endpoint,
  d.calls,
  d.successes,
  d.client_errors,
  d.throttled,
  d.server_errors,
  d.latency_us_sum,
  d.latency_count
FROM endpoint_day d
LEFT JOIN merge_map m ON m.partner_id = d.partner_id
WHERE d.event_date < $as_of
