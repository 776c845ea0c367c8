/*---
description = "Support tickets before as_of, with merges: when each was opened, answered and resolved. A ticket is a partner and a ticket_id"
owner = "partner-analytics"
grain = ["partner_id", "ticket_id"]
slice = "partner_id"
tags = ["support"]

[columns]
partner_id = { type = "Utf8" }
ticket_id = { type = "Utf8" }
first_opened = { type = "Timestamp", description = "NULL where only answers came" }
last_opened = { type = "Timestamp", description = "later than first_opened where it was opened again" }
first_response = { type = "Timestamp" }
last_resolved = { type = "Timestamp" }

[[checks]]
unique = ["partner_id", "ticket_id"]
---*/
SELECT
  coalesce(m.survivor, e.partner_id) AS partner_id,
  e.ticket_id,
  min(CASE WHEN e.type = 'opened' THEN e.occurred_at END) AS first_opened,
  max(CASE WHEN e.type = 'opened' THEN e.occurred_at END) AS last_opened,
  min(CASE WHEN e.type = 'first_response' THEN e.occurred_at END) AS first_response,
  max(CASE WHEN e.type = 'resolved' THEN e.occurred_at END) AS last_resolved
FROM support_events e
LEFT JOIN merge_map m ON m.partner_id = e.partner_id
WHERE e.event_date < $as_of
GROUP BY coalesce(m.survivor, e.partner_id), e.ticket_id
