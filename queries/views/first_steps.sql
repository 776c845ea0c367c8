/*---
description = "When each partner first took a step of onboarding before as_of, with merges: the earliest event of each type; NULL where there is none"
owner = "partner-analytics"
grain = ["partner_id"]
slice = "partner_id"
tags = ["partners", "onboarding"]

[columns]
partner_id = { type = "Utf8", description = "with one of these steps" }
terms_signed = { type = "Timestamp" }
sandbox_key_issued = { type = "Timestamp" }
production_requested = { type = "Timestamp" }
production_approved = { type = "Timestamp" }
payment_method_added = { type = "Timestamp" }

[[checks]]
unique = ["partner_id"]
---*/
SELECT
  coalesce(m.survivor, e.partner_id) AS partner_id,
  min(CASE WHEN e.type = 'terms_signed' THEN e.occurred_at END) AS terms_signed,
  min(CASE WHEN e.type = 'sandbox_key_issued' THEN e.occurred_at END) AS sandbox_key_issued,
  min(CASE WHEN e.type = 'production_requested' THEN e.occurred_at END) AS production_requested,
  min(CASE WHEN e.type = 'production_approved' THEN e.occurred_at END) AS production_approved,
  min(CASE WHEN e.type = 'payment_method_added' THEN e.occurred_at END) AS payment_method_added
FROM partner_events e
LEFT JOIN merge_map m ON m.partner_id = e.partner_id
WHERE e.event_date < $as_of
  AND e.type IN (
    'terms_signed', 'sandbox_key_issued', 'production_requested', 'production_approved', 'payment_method_added'
  )
GROUP BY coalesce(m.survivor, e.partner_id)
