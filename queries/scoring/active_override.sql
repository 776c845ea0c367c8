/*---
description = "The tier that a person last set for each partner, unless a person ended it; whoever reads it compares until with the clock"
owner = "partner-analytics"
grain = ["partner_id"]
tags = ["internal"]

[columns]
partner_id = { type = "Utf8" }
tier = { type = "Utf8", description = "healthy, watch or at_risk" }
reason = { type = "Utf8" }
by = { type = "Utf8", description = "who set it" }
at = { type = "Timestamp", description = "when it was set" }
until = { type = "Timestamp", description = "from when on it no longer holds" }

[[checks]]
unique = ["partner_id"]
---*/
WITH
-- An override holds from the moment it is made, whatever day is looked at: $as_of does not matter.
numbered AS (
  SELECT
    partner_id,
    tier,
    reason,
    "by",
    "at",
    until,
    row_number() OVER (
      PARTITION BY partner_id
      ORDER BY "at" DESC, tier DESC NULLS FIRST, reason DESC, "by" DESC, until DESC
    ) AS place
  FROM overrides
  GROUP BY partner_id, tier, reason, "by", "at", until
)
SELECT
  partner_id,
  tier,
  reason,
  "by",
  "at",
  until
FROM numbered
WHERE place = 1 AND tier IS NOT NULL
ORDER BY partner_id
