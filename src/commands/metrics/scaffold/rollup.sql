/*---
description = "API calls of a partner on a day, by endpoint and method"
owner = "data-engineering"
grain = ["event_date", "partner_id", "environment", "endpoint", "method"]
tags = ["traffic"]
reads = { api_calls = "same" }

[columns]
event_date = { type = "Date32" }
partner_id = { type = "Utf8", description = "as sent; merges are applied when it is read" }
environment = { type = "Utf8" }
endpoint = { type = "Utf8" }
method = { type = "Utf8" }
calls = { type = "Int64", unit = "calls" }
successes = { type = "Int64", unit = "calls", description = "Status 200 to 399" }

[[checks]]
unique = ["event_date", "partner_id", "environment", "endpoint", "method"]
---*/
SELECT
    event_date,
    partner_id,
    environment,
    endpoint,
    method,
    count(*) AS calls,
    count(CASE WHEN status >= 200 AND status < 400 THEN 1 END) AS successes
FROM api_calls
GROUP BY event_date, partner_id, environment, endpoint, method
ORDER BY event_date, partner_id, environment, endpoint, method
