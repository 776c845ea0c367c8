/*---
description = "API calls of a partner on a day, by environment, product, method and endpoint"
owner = "partner-analytics"
grain = ["event_date", "partner_id", "environment", "product", "method", "endpoint"]
tags = ["traffic", "products"]
reads = { api_calls = "same" }

[columns]
event_date = { type = "Date32" }
partner_id = { type = "Utf8", description = "as sent; merges are applied when it is read" }
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

[[checks]]
unique = ["event_date", "partner_id", "environment", "product", "method", "endpoint"]
[[checks]]
sql = "SELECT * FROM this WHERE successes + client_errors + throttled + server_errors > calls"
---*/
SELECT
  event_date,
  partner_id,
  environment,
  product,
  method,
  endpoint,
  count(*) AS calls,
  count(CASE WHEN status >= 200 AND status < 400 THEN 1 END) AS successes,
  count(CASE WHEN status >= 400 AND status < 500 AND status <> 429 THEN 1 END) AS client_errors,
  count(CASE WHEN status = 429 THEN 1 END) AS throttled,
  count(CASE WHEN status >= 500 THEN 1 END) AS server_errors,
  checked_sum(latency_us) AS latency_us_sum,
  count(latency_us) AS latency_count
FROM api_calls
GROUP BY event_date, partner_id, environment, product, method, endpoint
ORDER BY event_date, partner_id, environment, product, method, endpoint
