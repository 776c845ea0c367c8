/*---
description = "Partners to which an action was delivered in the label window of an evaluation day: their outcome may be that of the action"
owner = "partner-analytics"
grain = ["day", "partner_id"]
tags = ["internal"]

[columns]
day = { type = "Date32", description = "evaluation day" }
partner_id = { type = "Utf8" }

[[checks]]
unique = ["day", "partner_id"]
---*/
WITH delivered AS (
  SELECT coalesce(m.survivor, l.partner_id) AS partner_id, CAST(l."at" AS DATE) AS delivered_on
  FROM action_log AS l
  LEFT JOIN merge_map AS m ON m.partner_id = l.partner_id
  WHERE l.entry = 'acknowledged'
)
SELECT DISTINCT e.day, d.partner_id
FROM evaluation_day AS e
CROSS JOIN delivered AS d
LEFT JOIN scoring_activity AS a ON a.day = e.day AND a.partner_id = d.partner_id
WHERE d.delivered_on >= e.day
  AND d.delivered_on < e.day + CAST(ceil(greatest(2 * coalesce(a.cadence, 1), 28)) AS INT)
ORDER BY e.day, d.partner_id
