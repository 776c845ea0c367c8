/*---
description = "Changes of quotas, as events said them, also those after as_of: who changes a quota now must know of all"
owner = "partner-analytics"
grain = ["event_id"]
tags = ["internal"]

[columns]
event_id = { type = "Utf8" }
partner_id = { type = "Utf8" }
occurred_at = { type = "Timestamp" }
quota_per_minute = { type = "Int64", unit = "calls" }
---*/
SELECT
  event_id,
  partner_id,
  occurred_at,
  quota_per_minute
FROM partner_events
WHERE type = 'quota_changed'
  AND quota_per_minute IS NOT NULL
ORDER BY partner_id, occurred_at, event_id
