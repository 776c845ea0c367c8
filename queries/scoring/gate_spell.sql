/*---
description = "The stretches of scored days up to as_of on which one gate decided the tier of a partner"
owner = "partner-analytics"
grain = ["partner_id", "first_day"]
tags = ["internal"]

[columns]
partner_id = { type = "Utf8" }
gate = { type = "Utf8" }
first_day = { type = "Date32" }
ended_on = { type = "Date32", description = "the first scored day on which it decided no longer; NULL while it does" }
may_be_older = { type = "Boolean", description = "it decided the first scored day of the partner already" }

[[checks]]
unique = ["partner_id", "first_day"]
[[checks]]
not_null = ["gate", "may_be_older"]
---*/
WITH
newest AS (
  SELECT as_of, max(revision) AS revision
  FROM partner_health
  WHERE as_of <= $as_of
  GROUP BY as_of
),
days AS (
  SELECT h.partner_id, CAST(h.as_of AS DATE) AS day, max(h.gate) AS gate
  FROM newest AS n
  INNER JOIN partner_health AS h ON h.as_of = n.as_of AND h.revision = n.revision
  WHERE h.as_of <= $as_of
  GROUP BY h.partner_id, CAST(h.as_of AS DATE)
),
followed AS (
  SELECT
    partner_id,
    day,
    gate,
    lag(gate) OVER own AS gate_before,
    lag(day) OVER own AS day_before
  FROM days
  WINDOW own AS (PARTITION BY partner_id ORDER BY day)
),
changes AS (
  SELECT
    partner_id,
    gate,
    day AS first_day,
    lead(day) OVER (PARTITION BY partner_id ORDER BY day) AS ended_on,
    day_before IS NULL AS may_be_older
  FROM followed
  WHERE gate IS DISTINCT FROM gate_before
)
SELECT
  partner_id,
  gate,
  first_day,
  ended_on,
  may_be_older
FROM changes
WHERE gate IS NOT NULL
ORDER BY partner_id, first_day
