/*---
description = "Every model as of as_of or before, of several fits as of the same day the last one"
owner = "partner-analytics"
grain = ["kind", "as_of_us"]
tags = ["internal"]

[columns]
kind = { type = "Utf8" }
as_of_us = { type = "Int64", unit = "us", description = "the day as of which it was fitted or adopted" }
fitted_at_us = { type = "Int64", unit = "us" }
parameters = { type = "Utf8", description = "JSON" }
n = { type = "Int64", description = "how many partners or outcomes it rests on" }
adopted_by = { type = "Utf8" }

[[checks]]
unique = ["kind", "as_of_us"]
---*/
WITH numbered AS (
  SELECT
    kind,
    as_of,
    fitted_at,
    parameters,
    n,
    adopted_by,
    row_number() OVER (
      PARTITION BY kind, as_of
      ORDER BY fitted_at DESC, parameters, n, adopted_by
    ) AS place
  FROM models
  WHERE as_of <= $as_of
  GROUP BY kind, as_of, fitted_at, parameters, n, adopted_by
)
SELECT
  kind,
  CAST(as_of AS BIGINT) AS as_of_us,
  CAST(fitted_at AS BIGINT) AS fitted_at_us,
  parameters,
  n,
  adopted_by
FROM numbered
WHERE place = 1
ORDER BY kind, as_of_us
