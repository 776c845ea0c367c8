/*---
description = "When each partner was first charged before as_of, with merges: its earliest charge above 0, in whatever currency, so no exchange rate is needed"
owner = "partner-analytics"
grain = ["partner_id"]
slice = "partner_id"
tags = ["revenue"]
keep = true

[columns]
partner_id = { type = "Utf8" }
charged_at = { type = "Timestamp", description = "of usage, subscription or commission" }

[[checks]]
unique = ["partner_id"]
[[checks]]
not_null = ["partner_id", "charged_at"]
---*/
SELECT coalesce(m.survivor, e.partner_id) AS partner_id, min(e.occurred_at) AS charged_at
FROM billing_events e
LEFT JOIN merge_map m ON m.partner_id = e.partner_id
WHERE e.event_date < $as_of
  AND e.kind IN ('usage', 'subscription', 'commission')
  AND e.amount_minor > 0
GROUP BY coalesce(m.survivor, e.partner_id)
