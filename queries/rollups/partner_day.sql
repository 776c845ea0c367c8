/*---
description = "API calls of a partner on a day, by environment, product and API version; every state is a count, a sum, a minimum or a maximum, so days add up to weeks and months"
owner = "partner-analytics"
grain = ["event_date", "partner_id", "environment", "product", "api_version"]
tags = ["traffic"]
reads = { api_calls = "same" }

[columns]
event_date = { type = "Date32" }
partner_id = { type = "Utf8", description = "as sent; merges are applied when it is read" }
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
latency_count = { type = "Int64", unit = "calls", description = "calls that carry a latency" }
response_bytes = { type = "Decimal(38, 0)", unit = "bytes" }
first_call_at = { type = "Timestamp" }
last_call_at = { type = "Timestamp", description = "of any status" }
first_success_at = { type = "Timestamp" }
last_success_at = { type = "Timestamp" }

[[checks]]
unique = ["event_date", "partner_id", "environment", "product", "api_version"]
[[checks]]
sql = "SELECT * FROM this WHERE successes + client_errors + throttled + server_errors > calls"
---*/
SELECT
  event_date,
  partner_id,
  environment,
  product,
  api_version,
  count(*) AS calls,
  count(CASE WHEN status >= 200 AND status < 400 THEN 1 END) AS successes,
  count(CASE WHEN status >= 400 AND status < 500 AND status <> 429 THEN 1 END) AS client_errors,
  count(CASE WHEN status = 401 OR status = 403 THEN 1 END) AS auth_failures,
  count(CASE WHEN status = 429 THEN 1 END) AS throttled,
  count(CASE WHEN status >= 500 THEN 1 END) AS server_errors,
  checked_sum(latency_us) AS latency_us_sum,
  count(latency_us) AS latency_count,
  checked_sum(response_bytes) AS response_bytes,
  min(occurred_at) AS first_call_at,
  max(occurred_at) AS last_call_at,
  min(CASE WHEN status >= 200 AND status < 400 THEN occurred_at END) AS first_success_at,
  max(CASE WHEN status >= 200 AND status < 400 THEN occurred_at END) AS last_success_at
FROM api_calls
GROUP BY event_date, partner_id, environment, product, api_version
ORDER BY event_date, partner_id, environment, product, api_version
