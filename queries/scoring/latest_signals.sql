/*---
description = "The signals behind the scores of latest_scores, a row each"
owner = "partner-analytics"
grain = ["partner_id", "signal"]
tags = ["internal"]

[columns]
as_of = { type = "Timestamp" }
revision = { type = "Int64" }
partner_id = { type = "Utf8" }
signal = { type = "Utf8" }
available = { type = "Boolean" }
value = { type = "Float64" }
score = { type = "Float64", unit = "points" }
reference = { type = "Float64", unit = "points", description = "the usual score" }
contribution = { type = "Float64", unit = "points" }
weight = { type = "Float64" }
n = { type = "Int64", description = "how many observations it rests on" }
reason = { type = "Utf8" }

[[checks]]
unique = ["partner_id", "signal"]
---*/
SELECT
  as_of,
  revision,
  partner_id,
  signal,
  available,
  value,
  score,
  reference,
  contribution,
  weight,
  n,
  reason
FROM partner_signals
WHERE as_of = $as_of
  AND revision = (SELECT max(revision) FROM partner_health WHERE as_of = $as_of)
ORDER BY partner_id, signal
