/*---
description = "Merges before as_of that are void: each one into itself, and the latest ones that form a circle"
owner = "partner-analytics"
tags = ["partners", "quality"]

[columns]
partner_id = { type = "Utf8", description = "as sent" }
merged_into = { type = "Utf8" }
---*/
SELECT partner_id, merged_into
FROM partner_events
WHERE type = 'merged' AND merged_into = partner_id AND event_date < $as_of
UNION ALL
SELECT l.partner_id, l.merged_into
FROM latest_merge l
JOIN merge_circles c ON c.partner_id = l.partner_id
