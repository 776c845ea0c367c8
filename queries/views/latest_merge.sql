/*---
description = "The latest merge of each partner before as_of. One into itself is void, so an earlier one stands; those that form a circle are void too: merge_circles"
owner = "partner-analytics"
grain = ["partner_id"]
slice = "whole"
tags = ["partners"]
keep = true

[columns]
partner_id = { type = "Utf8" }
merged_into = { type = "Utf8" }

[[checks]]
unique = ["partner_id"]
---*/
SELECT
  partner_id,
  last_value(merged_into ORDER BY occurred_at, event_id) AS merged_into
FROM partner_events
WHERE type = 'merged'
  AND merged_into IS NOT NULL
  AND merged_into <> partner_id
  AND event_date < $as_of
GROUP BY partner_id
ORDER BY partner_id
