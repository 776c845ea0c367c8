/*---
description = "Units of usage that billing_day has before as_of, with merges, in whatever currency, so no exchange rate is needed"
owner = "partner-analytics"
grain = ["event_date", "partner_id", "product"]
slice = "partner_id"
tags = ["revenue"]

[columns]
event_date = { type = "Date32" }
partner_id = { type = "Utf8" }
product = { type = "Utf8" }
units = { type = "Decimal(38, 0)", unit = "units", description = "0 where no event says how many" }

[[checks]]
unique = ["event_date", "partner_id", "product"]
[[checks]]
not_null = ["event_date", "partner_id", "units"]
---*/
SELECT
  b.event_date,
  coalesce(m.survivor, b.partner_id) AS partner_id,
  b.product,
  checked_sum(b.units) AS units
FROM billing_day b
LEFT JOIN merge_map m ON m.partner_id = b.partner_id
WHERE b.event_date < $as_of AND b.kind = 'usage'
GROUP BY b.event_date, coalesce(m.survivor, b.partner_id), b.product
