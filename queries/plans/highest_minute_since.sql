/*---
description = "The highest minute of each partner since as_of: what it uses today protects it from a cut today. Of merged partners the sum, as in highest_minute"
owner = "partner-analytics"
grain = ["partner_id"]
tags = ["internal"]

[columns]
partner_id = { type = "Utf8", description = "with a production call since as_of" }
highest_minute = { type = "Int64", unit = "calls" }

[[checks]]
unique = ["partner_id"]
---*/
WITH own AS (
  SELECT p.partner_id, max(p.peak) AS peak
  FROM partner_minute_peak AS p
  WHERE p.environment = 'production'
    AND p.event_date >= CAST($as_of AS DATE)
  GROUP BY p.partner_id
)
SELECT
  coalesce(m.survivor, o.partner_id) AS partner_id,
  CAST(sum(o.peak) AS BIGINT) AS highest_minute
FROM own AS o
LEFT JOIN merge_map AS m ON m.partner_id = o.partner_id
GROUP BY coalesce(m.survivor, o.partner_id)
ORDER BY 1
