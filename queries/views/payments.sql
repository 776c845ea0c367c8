/*---
description = "Payments before as_of that came or failed, with merges. No other view holds these events: they are in no amount of money"
owner = "partner-analytics"
slice = "partner_id"
tags = ["revenue"]

[columns]
partner_id = { type = "Utf8" }
kind = { type = "Utf8", description = "payment_failed or payment_succeeded" }
occurred_at = { type = "Timestamp" }
---*/
SELECT coalesce(m.survivor, e.partner_id) AS partner_id, e.kind, e.occurred_at
FROM billing_events e
LEFT JOIN merge_map m ON m.partner_id = e.partner_id
WHERE e.event_date < $as_of AND e.kind IN ('payment_failed', 'payment_succeeded')
