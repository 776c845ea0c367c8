/*---
description = "The change of each partner's weekly calls, by the signal growth of latest_signals, beside the upper quartile of its segment, shrunk to that of all partners by 20 partners"
owner = "partner-analytics"
grain = ["partner_id"]
tags = ["internal"]

[columns]
partner_id = { type = "Utf8" }
growth = { type = "Float64", unit = "ratio" }
upper_quartile = { type = "Float64", unit = "ratio" }

[[checks]]
unique = ["partner_id"]
[[checks]]
not_null = ["growth", "upper_quartile"]
---*/
WITH
changes AS (
  SELECT s.partner_id, p.segment, s.value AS growth
  FROM latest_signals AS s
  LEFT JOIN partners AS p ON p.partner_id = s.partner_id
  WHERE s.signal = 'growth' AND s.value IS NOT NULL
),
everywhere AS (
  SELECT percentile_cont(0.75) WITHIN GROUP (ORDER BY growth) AS quartile FROM changes
),
segments AS (
  SELECT
    segment,
    count(*) AS partners,
    percentile_cont(0.75) WITHIN GROUP (ORDER BY growth) AS quartile
  FROM changes
  WHERE segment IS NOT NULL
  GROUP BY segment
)
SELECT
  c.partner_id,
  c.growth,
  coalesce((s.partners * s.quartile + 20 * e.quartile) / (s.partners + 20), e.quartile)
    AS upper_quartile
FROM everywhere AS e
CROSS JOIN changes AS c
LEFT JOIN segments AS s ON s.segment = c.segment
ORDER BY c.partner_id
