/*---
description = "The scores of the last 240 days and of as_of without overrides, of each day those of the newest revision: a run evaluates up to 120 days, and the tiers of each fold over the 120 before it"
owner = "partner-analytics"
grain = ["day", "partner_id"]
tags = ["internal"]

[columns]
day = { type = "Date32" }
partner_id = { type = "Utf8" }
stage = { type = "Utf8" }
computed_tier = { type = "Utf8", description = "without overrides" }
tier_since = { type = "Timestamp" }
gate = { type = "Utf8" }
score = { type = "Float64", unit = "points" }
score_low = { type = "Float64", unit = "points", description = "the least with one week of W left out" }
score_high = { type = "Float64", unit = "points" }
gates_met = { type = "Utf8", description = "conditions of gates that hold" }

[[checks]]
unique = ["partner_id", "day"]
---*/
SELECT
  CAST(h.as_of AS DATE) AS day,
  h.partner_id,
  h.stage,
  h.computed_tier,
  h.tier_since,
  h.gate,
  h.score,
  h.score_low,
  h.score_high,
  h.gates_met
FROM (
  SELECT as_of, max(revision) AS revision
  FROM partner_health
  WHERE as_of <= $as_of AND as_of >= $as_of - INTERVAL '240 days'
  GROUP BY as_of
) AS newest
INNER JOIN partner_health AS h
  ON h.as_of = newest.as_of AND h.revision = newest.revision
WHERE h.as_of <= $as_of AND h.as_of >= $as_of - INTERVAL '240 days'
ORDER BY day, h.partner_id
