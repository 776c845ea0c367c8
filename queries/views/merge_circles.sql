/*---
description = "Partners whose latest merges before as_of form a circle: all merges on it are void"
owner = "partner-analytics"
grain = ["partner_id"]
slice = "whole"
tags = ["partners"]
keep = true

[columns]
partner_id = { type = "Utf8" }

[[checks]]
unique = ["partner_id"]
---*/
WITH RECURSIVE
-- Everything that can be reached from a merged partner; UNION drops what was reached before, so
-- a circle ends.
reached AS (
  SELECT partner_id, merged_into AS at FROM latest_merge
  UNION
  SELECT r.partner_id, l.merged_into AS at FROM reached r JOIN latest_merge l ON l.partner_id = r.at
)
SELECT partner_id
FROM reached
WHERE at = partner_id
ORDER BY partner_id
