/*---
description = "How many calls of a partner on a day took how long: a histogram that merges by adding, exact in its counts, within 1/128 in its values"
owner = "partner-analytics"
grain = ["event_date", "partner_id", "environment", "product"]
tags = ["traffic", "latency"]
reads = { api_calls = "same" }

[columns]
event_date = { type = "Date32" }
partner_id = { type = "Utf8", description = "as sent; merges are applied when it is read" }
environment = { type = "Utf8" }
product = { type = "Utf8" }
buckets = { type = "List", description = "(bucket Int32, count Int64) by bucket, none empty. For v µs: 0 → 0; else k = max(0, ⌊log₂ v⌋ − 6), bucket = 64k + (v >> k)" }

[[checks]]
unique = ["event_date", "partner_id", "environment", "product"]
---*/
SELECT
  event_date,
  partner_id,
  environment,
  product,
  latency_histogram(latency_us) AS buckets
FROM api_calls
WHERE latency_us IS NOT NULL
GROUP BY event_date, partner_id, environment, product
ORDER BY event_date, partner_id, environment, product
