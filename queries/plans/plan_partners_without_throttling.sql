/*---
description = "As plan_partners where throttling is held back: what it says is unknown"
owner = "partner-analytics"
grain = ["partner_id"]
tags = ["internal"]

[columns]
partner_id = { type = "Utf8" }
name = { type = "Utf8" }
plan = { type = "Utf8" }
segment = { type = "Utf8" }
manager = { type = "Utf8" }
region = { type = "Utf8" }
quota_per_minute = { type = "Int64", unit = "calls" }
throttled_rate = { type = "Float64", unit = "share" }
utilisation = { type = "Float64", unit = "share" }
needs_upgrade = { type = "Boolean" }
peak_per_minute = { type = "Int64", unit = "calls" }

[[checks]]
unique = ["partner_id"]
---*/
SELECT
  p.partner_id,
  p.name,
  p.plan,
  p.segment,
  p.manager,
  p.region,
  p.quota_per_minute,
  CAST(NULL AS DOUBLE) AS throttled_rate,
  CAST(NULL AS DOUBLE) AS utilisation,
  CAST(NULL AS BOOLEAN) AS needs_upgrade,
  CAST(NULL AS BIGINT) AS peak_per_minute
FROM partners AS p
ORDER BY p.partner_id
