/*---
description = "When partners were suspended, offboarded and reinstated, also after as_of: who changes something of a partner must know of it"
owner = "partner-analytics"
grain = ["event_id"]
tags = ["internal"]

[columns]
event_id = { type = "Utf8" }
partner_id = { type = "Utf8" }
occurred_at = { type = "Timestamp" }
type = { type = "Utf8", description = "suspended, offboarded or reinstated" }
---*/
SELECT
  event_id,
  partner_id,
  occurred_at,
  type
FROM partner_events
WHERE type IN ('suspended', 'offboarded', 'reinstated')
ORDER BY partner_id, occurred_at, event_id
