/*---
description = "The quotas that events of any type said, also after as_of: who changes a quota now must know of all"
owner = "partner-analytics"
grain = ["event_id"]
tags = ["internal"]

[columns]
event_id = { type = "Utf8" }
partner_id = { type = "Utf8" }
occurred_at = { type = "Timestamp" }
quota_per_minute = { type = "Int64", unit = "calls", description = "may be the same as before" }
type = { type = "Utf8", description = "of the event" }
---*/
SELECT
  event_id,
  partner_id,
  occurred_at,
  quota_per_minute,
  type
FROM partner_events
WHERE quota_per_minute IS NOT NULL
ORDER BY partner_id, occurred_at, event_id
