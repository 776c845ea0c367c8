/*---
description = "billing_day before as_of, with merges: days on which a partner was charged anything, in whatever currency, so no exchange rate is needed"
owner = "partner-analytics"
grain = ["event_date", "partner_id"]
slice = "partner_id"
tags = ["revenue"]

[columns]
event_date = { type = "Date32" }
partner_id = { type = "Utf8" }

[[checks]]
unique = ["event_date", "partner_id"]
---*/
SELECT b.event_date, coalesce(m.survivor, b.partner_id) AS partner_id
FROM billing_day b
LEFT JOIN merge_map m ON m.partner_id = b.partner_id
WHERE b.event_date < $as_of
  AND b.kind IN ('usage', 'subscription', 'commission')
  AND b.amount_minor > 0
GROUP BY b.event_date, coalesce(m.survivor, b.partner_id)
