/*---
description = "Which plan a partner was on from when to when, before as_of: for attributes at an earlier instant, the one with since < instant ≤ until. By the id as sent: a merged partner's plan does not count for the survivor"
owner = "partner-analytics"
grain = ["partner_id", "since", "event_id"]
slice = "partner_id"
tags = ["partners"]

[columns]
partner_id = { type = "Utf8" }
plan = { type = "Utf8" }
since = { type = "Timestamp", description = "the event that says so" }
event_id = { type = "Utf8", description = "of events at one instant the last one by event_id stands" }
until = { type = "Timestamp", description = "the next event that names a plan; NULL for the last one" }

[[checks]]
unique = ["partner_id", "since", "event_id"]
---*/
SELECT
  partner_id,
  plan,
  occurred_at AS since,
  event_id,
  lead(occurred_at) OVER (PARTITION BY partner_id ORDER BY occurred_at, event_id) AS until
FROM partner_events
WHERE plan IS NOT NULL AND event_date < $as_of
