/*---
description = "The scores as of as_of: of several revisions the newest"
owner = "partner-analytics"
grain = ["partner_id"]
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
unique = ["partner_id"]
---*/
SELECT
  as_of,
  revision,
  partner_id,
  stage,
  tier,
  tier_since,
  gate,
  score,
  score_low,
  score_high,
  coverage,
  cap,
  gates_met,
  risk,
  risk_model,
  impact_share,
  impact_rank,
  top_reason,
  policy_version,
  computed_tier,
  override_until,
  scored_at
FROM partner_health
WHERE as_of = $as_of
  AND revision = (SELECT max(revision) FROM partner_health WHERE as_of = $as_of)
ORDER BY partner_id
