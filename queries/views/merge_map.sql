/*---
description = "For each partner that was merged away before as_of: who stands for it now"
owner = "partner-analytics"
grain = ["partner_id"]
tags = ["partners"]
keep = true

[columns]
partner_id = { type = "Utf8", description = "merged away" }
survivor = { type = "Utf8", description = "the end of its chain of merges" }

[[checks]]
unique = ["partner_id"]
---*/
WITH RECURSIVE
-- The latest merge of a partner counts; one into itself is void, so an earlier one stands.
latest AS (
  SELECT
    partner_id,
    last_value(merged_into ORDER BY occurred_at, event_id) AS merged_into
  FROM partner_events
  WHERE type = 'merged'
    AND merged_into IS NOT NULL
    AND merged_into <> partner_id
    AND event_date < $as_of
  GROUP BY partner_id
),
-- Everything that can be reached from a merged partner; UNION drops what was reached before, so
-- a circle ends.
reached AS (
  SELECT partner_id, merged_into AS at FROM latest
  UNION
  SELECT r.partner_id, l.merged_into AS at FROM reached r JOIN latest l ON l.partner_id = r.at
),
-- Where the latest merges form a circle, all on it are void.
standing AS (
  SELECT partner_id, merged_into
  FROM latest
  WHERE partner_id NOT IN (SELECT partner_id FROM reached WHERE at = partner_id)
),
chain AS (
  SELECT partner_id, merged_into AS at FROM standing
  UNION
  SELECT c.partner_id, s.merged_into AS at FROM chain c JOIN standing s ON s.partner_id = c.at
)
SELECT partner_id, at AS survivor
FROM chain
WHERE at NOT IN (SELECT partner_id FROM standing)
ORDER BY partner_id
