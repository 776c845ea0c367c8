/*---
description = "The status, method and endpoint with the most client errors of each partner in production in the 28 days before each evaluation day"
owner = "partner-analytics"
grain = ["day", "partner_id"]
tags = ["internal"]

[columns]
day = { type = "Date32", description = "evaluation day" }
partner_id = { type = "Utf8", description = "with client errors" }
status = { type = "Int64", description = "400 to 499 without 429" }
method = { type = "Utf8" }
endpoint = { type = "Utf8", description = "route template" }
share = { type = "Float64", unit = "ratio", description = "of the partner's client errors" }

[[checks]]
unique = ["day", "partner_id"]
[[checks]]
sql = "SELECT * FROM this WHERE share <= 0 OR share > 1"
---*/
WITH
causes AS (
  SELECT
    w.day,
    coalesce(m.survivor, e.partner_id) AS partner_id,
    e.status,
    e.method,
    e.endpoint,
    sum(e.calls) AS calls
  FROM evaluation_window AS w
  JOIN error_detail AS e ON e.event_date = w.event_date
  LEFT JOIN merge_map AS m ON m.partner_id = e.partner_id
  WHERE e.environment = 'production'
    AND e.status < 500
    AND e.status <> 429
    AND w.age <= 28
    AND e.event_date >= (SELECT min(day) - 28 FROM evaluation_day)
  GROUP BY w.day, coalesce(m.survivor, e.partner_id), e.status, e.method, e.endpoint
),
ranked AS (
  SELECT
    *,
    sum(calls) OVER (PARTITION BY day, partner_id) AS all_calls,
    row_number() OVER (
      PARTITION BY day, partner_id
      ORDER BY calls DESC, status, method, endpoint
    ) AS place
  FROM causes
)
SELECT
  day,
  partner_id,
  CAST(status AS BIGINT) AS status,
  method,
  endpoint,
  CAST(calls AS DOUBLE) / all_calls AS share
FROM ranked
WHERE place = 1
ORDER BY day, partner_id
