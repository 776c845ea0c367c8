/*---
description = "What the newest scores of each day up to as_of were made from"
owner = "partner-analytics"
grain = ["day"]
tags = ["internal"]

[columns]
day = { type = "Date32" }
inputs = { type = "Utf8", description = "a digest of every event before the day" }

[[checks]]
unique = ["day"]
---*/
WITH numbered AS (
  SELECT
    CAST(as_of AS DATE) AS day,
    inputs,
    row_number() OVER (
      PARTITION BY as_of
      ORDER BY revision DESC, scored_at DESC, inputs
    ) AS place
  FROM evaluations
  WHERE as_of <= $as_of
)
SELECT day, inputs
FROM numbered
WHERE place = 1
ORDER BY day
