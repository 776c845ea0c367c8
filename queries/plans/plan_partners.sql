/*---
description = "What a plan's conditions may read of each partner besides its scores"
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
  t.throttled_rate,
  t.utilisation,
  t.needs_upgrade,
  t.peak_per_minute
FROM partners AS p
LEFT JOIN throttling AS t ON t.partner_id = p.partner_id
ORDER BY p.partner_id
