/*---
description = "The stored signals behind the scores of the days in evaluation_day, a row each"
owner = "partner-analytics"
grain = ["as_of", "partner_id", "signal"]
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
unique = ["as_of", "partner_id", "signal"]
---*/
-- Signals go by the revisions of partner_health: those without scores were never finished.
WITH newest AS (
  SELECT h.as_of, max(h.revision) AS revision
  FROM partner_health AS h
  INNER JOIN evaluation_day AS d ON CAST(d.day AS TIMESTAMP) = CAST(h.as_of AS TIMESTAMP)
  GROUP BY h.as_of
)
SELECT
  s.as_of,
  s.revision,
  s.partner_id,
  s.signal,
  s.available,
  s.value,
  s.score,
  s.reference,
  s.contribution,
  s.weight,
  s.n,
  s.reason
FROM partner_signals AS s
INNER JOIN newest AS n ON n.as_of = s.as_of AND n.revision = s.revision
ORDER BY s.as_of, s.partner_id, s.signal
