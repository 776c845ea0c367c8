/*---
description = "Calls of a partner on a day that failed, by product, method, endpoint and status"
owner = "partner-analytics"
grain = ["event_date", "partner_id", "environment", "product", "method", "endpoint", "status"]
tags = ["traffic", "reliability"]
reads = { api_calls = "same" }

[columns]
event_date = { type = "Date32" }
partner_id = { type = "Utf8", description = "as sent; merges are applied when it is read" }
environment = { type = "Utf8" }
product = { type = "Utf8" }
method = { type = "Utf8" }
endpoint = { type = "Utf8", description = "route template" }
status = { type = "Int32", description = "400 and above, 429 included" }
calls = { type = "Int64", unit = "calls" }

[[checks]]
unique = ["event_date", "partner_id", "environment", "product", "method", "endpoint", "status"]
[[checks]]
sql = "SELECT * FROM this WHERE status < 400"
---*/
SELECT
  event_date,
  partner_id,
  environment,
  product,
  method,
  endpoint,
  status,
  count(*) AS calls
FROM api_calls
WHERE status >= 400
GROUP BY event_date, partner_id, environment, product, method, endpoint, status
ORDER BY event_date, partner_id, environment, product, method, endpoint, status
