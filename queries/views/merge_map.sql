/*---
description = "For each partner that was merged away before as_of: who stands for it now"
owner = "partner-analytics"
grain = ["partner_id"]
slice = "whole"
tags = ["partners"]
keep = true

[columns]
partner_id = { type = "Utf8", description = "merged away" }
survivor = { type = "Utf8", description = "the end of its chain of merges" }

[[checks]]
unique = ["partner_id"]
---*/
WITH RECURSIVE
standing AS (
  SELECT partner_id, merged_into
  FROM latest_merge
  WHERE partner_id NOT IN (SELECT partner_id FROM merge_circles)
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
