/*---
description = "The policy that the newest scores of each day in evaluation_day were computed by"
owner = "partner-analytics"
grain = ["day"]
tags = ["internal"]

[columns]
day = { type = "Date32" }
policy = { type = "Utf8", description = "its text" }

[[checks]]
unique = ["day"]
---*/
WITH numbered AS (
  SELECT
    CAST(as_of AS DATE) AS day,
    policy,
    row_number() OVER (
      PARTITION BY as_of
      ORDER BY revision DESC, scored_at DESC, policy
    ) AS place
  FROM evaluations
  WHERE CAST(as_of AS DATE) IN (SELECT day FROM evaluation_day)
)
SELECT day, policy
FROM numbered
WHERE place = 1
ORDER BY day
