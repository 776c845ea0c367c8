/*---
description = "partner_minute_peak before as_of, with merges: of partners merged together the greater of their own peaks"
owner = "partner-analytics"
grain = ["event_date", "partner_id", "environment"]
slice = "partner_id"
tags = ["traffic", "quota"]

[columns]
event_date = { type = "Date32" }
partner_id = { type = "Utf8" }
environment = { type = "Utf8" }
peak = { type = "Int64", unit = "calls", description = "calls of any status in the fullest UTC minute" }

[[checks]]
unique = ["event_date", "partner_id", "environment"]
---*/
SELECT
  p.event_date,
  coalesce(m.survivor, p.partner_id) AS partner_id,
  p.environment,
  max(p.peak) AS peak
FROM partner_minute_peak p
LEFT JOIN merge_map m ON m.partner_id = p.partner_id
WHERE p.event_date < $as_of
GROUP BY p.event_date, coalesce(m.survivor, p.partner_id), p.environment
