/*---
description = "The scores of every day up to as_of, of each day those of the newest revision"
owner = "partner-analytics"
grain = ["partner_id", "as_of"]
tags = ["internal"]

[columns]
as_of = { type = "Timestamp" }
partner_id = { type = "Utf8" }
stage = { type = "Utf8" }
tier = { type = "Utf8" }
tier_since = { type = "Timestamp" }
score = { type = "Float64", unit = "points" }
coverage = { type = "Float64", unit = "share" }

[[checks]]
unique = ["partner_id", "as_of"]
---*/
SELECT
  h.as_of,
  h.partner_id,
  h.stage,
  h.tier,
  h.tier_since,
  h.score,
  h.coverage
FROM (
  SELECT as_of, max(revision) AS revision
  FROM partner_health
  WHERE as_of <= $as_of
  GROUP BY as_of
) AS newest
INNER JOIN partner_health AS h
  ON h.as_of = newest.as_of AND h.revision = newest.revision
ORDER BY h.as_of, h.partner_id
