/*---
description = "The stored scores of the days in evaluation_day, of each day those of the newest revision"
owner = "partner-analytics"
grain = ["as_of", "partner_id"]
tags = ["internal"]

[columns]
as_of = { type = "Timestamp" }
revision = { type = "Int64" }
partner_id = { type = "Utf8" }
stage = { type = "Utf8" }
tier = { type = "Utf8" }
tier_since = { type = "Timestamp" }
gate = { type = "Utf8", description = "the gate that decides the tier" }
score = { type = "Float64", unit = "points" }
score_low = { type = "Float64", unit = "points", description = "the least with one week of W left out" }
score_high = { type = "Float64", unit = "points", description = "the greatest with one week of W left out" }
coverage = { type = "Float64", unit = "share" }
cap = { type = "Float64", unit = "points", description = "the greatest score that this coverage allows" }
gates_met = { type = "Utf8", description = "conditions of gates that hold" }
risk = { type = "Float64", unit = "share", description = "the probability that it leaves" }
risk_model = { type = "Utf8", description = "what the risk is computed by" }
impact_share = { type = "Float64", unit = "share" }
impact_rank = { type = "Int64" }
top_reason = { type = "Utf8" }
policy_version = { type = "Utf8" }
computed_tier = { type = "Utf8" }
override_until = { type = "Timestamp" }
scored_at = { type = "Timestamp" }

[[checks]]
unique = ["as_of", "partner_id"]
---*/
WITH newest AS (
  SELECT h.as_of, max(h.revision) AS revision
  FROM partner_health AS h
  INNER JOIN evaluation_day AS d ON CAST(d.day AS TIMESTAMP) = CAST(h.as_of AS TIMESTAMP)
  GROUP BY h.as_of
)
SELECT
  h.as_of,
  h.revision,
  h.partner_id,
  h.stage,
  h.tier,
  h.tier_since,
  h.gate,
  h.score,
  h.score_low,
  h.score_high,
  h.coverage,
  h.cap,
  h.gates_met,
  h.risk,
  h.risk_model,
  h.impact_share,
  h.impact_rank,
  h.top_reason,
  h.policy_version,
  h.computed_tier,
  h.override_until,
  h.scored_at
FROM partner_health AS h
INNER JOIN newest AS n ON n.as_of = h.as_of AND n.revision = h.revision
ORDER BY h.as_of, h.partner_id
