/*---
description = "retry_day before as_of, with merges: of partners merged together the sums of their own, because the calls of one do not follow those of another"
owner = "partner-analytics"
grain = ["event_date", "partner_id", "environment"]
slice = "partner_id"
tags = ["traffic", "quota"]

[columns]
event_date = { type = "Date32" }
partner_id = { type = "Utf8" }
environment = { type = "Utf8" }
throttled = { type = "Int64", unit = "calls", description = "429" }
retried_1s = { type = "Int64", unit = "calls", description = "throttled calls whose next call, of any status, of the same date came at most 1 s later" }

[[checks]]
unique = ["event_date", "partner_id", "environment"]
---*/
SELECT
  r.event_date,
  coalesce(m.survivor, r.partner_id) AS partner_id,
  r.environment,
  sum(r.throttled) AS throttled,
  sum(r.retried_1s) AS retried_1s
FROM retry_day r
LEFT JOIN merge_map m ON m.partner_id = r.partner_id
WHERE r.event_date < $as_of
GROUP BY r.event_date, coalesce(m.survivor, r.partner_id), r.environment
