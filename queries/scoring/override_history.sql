/*---
description = "Every tier that a person ever set, newest first, with what ended it before its time; and the computed tier of the newest score beside it"
owner = "partner-analytics"
grain = ["at", "partner_id", "tier", "reason", "by", "until"]
tags = ["internal"]

[columns]
partner_id = { type = "Utf8" }
tier = { type = "Utf8", description = "healthy, watch or at_risk" }
computed_tier = { type = "Utf8", description = "what the newest score says" }
reason = { type = "Utf8" }
by = { type = "Utf8", description = "who set it" }
at = { type = "Timestamp", description = "when it was set" }
until = { type = "Timestamp", description = "from when on it no longer holds" }
ended_at = { type = "Timestamp", description = "when a person ended or replaced it; NULL if nobody did before until" }
ended_by = { type = "Utf8" }
end_reason = { type = "Utf8" }
replaced_by = { type = "Utf8", description = "the tier that replaced it" }
---*/
WITH
followed AS (
  SELECT
    partner_id,
    tier,
    reason,
    "by",
    "at",
    until,
    lead("at") OVER own AS next_at,
    lead("by") OVER own AS next_by,
    lead(reason) OVER own AS next_reason,
    lead(tier) OVER own AS next_tier
  FROM overrides
  GROUP BY partner_id, tier, reason, "by", "at", until
  WINDOW own AS (PARTITION BY partner_id ORDER BY "at", tier NULLS LAST, reason, "by", until)
),
-- What follows after the end of an override did not end it.
ended AS (
  SELECT *, next_at IS NOT NULL AND (until IS NULL OR next_at < until) AS is_ended
  FROM followed
  WHERE tier IS NOT NULL
),
scores AS (
  SELECT partner_id, as_of, revision, max(computed_tier) AS computed_tier
  FROM partner_health
  GROUP BY partner_id, as_of, revision
),
newest_scores AS (
  SELECT partner_id, last_value(computed_tier ORDER BY as_of, revision) AS computed_tier
  FROM scores
  GROUP BY partner_id
)
SELECT
  e.partner_id,
  e.tier,
  s.computed_tier,
  e.reason,
  e."by",
  e."at",
  e.until,
  CASE WHEN e.is_ended THEN e.next_at END AS ended_at,
  CASE WHEN e.is_ended THEN e.next_by END AS ended_by,
  CASE WHEN e.is_ended THEN e.next_reason END AS end_reason,
  CASE WHEN e.is_ended THEN e.next_tier END AS replaced_by
FROM ended e
LEFT JOIN newest_scores s ON s.partner_id = e.partner_id
ORDER BY e."at" DESC, e.partner_id, e.tier, e.reason, e."by", e.until
