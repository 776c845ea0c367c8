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
score = { type = "Float64", unit = "points" }
coverage = { type = "Float64", unit = "share" }
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
  score,
  coverage,
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
