/*---
description = "The annotations by which scores leave out each day, as one text: scores of later days depend on it"
owner = "partner-analytics"
grain = ["event_date"]
tags = ["internal"]

[columns]
event_date = { type = "Date32" }
annotations = { type = "Utf8" }

[[checks]]
unique = ["event_date"]
---*/
WITH days AS (
  SELECT
    a.first_day + CAST(n.value AS INT) AS event_date,
    a.annotation_id,
    coalesce(a.partner_id, '') AS partner_id
  -- An annotation has 366 days at most.
  FROM annotation AS a
  CROSS JOIN generate_series(0, 366) AS n
  WHERE a.first_day + CAST(n.value AS INT) <= a.last_day AND a.calm IS DISTINCT FROM false
  GROUP BY a.first_day + CAST(n.value AS INT), a.annotation_id, coalesce(a.partner_id, '')
)
SELECT
  event_date,
  string_agg(
    concat(annotation_id, ':', partner_id),
    ','
    ORDER BY event_date, annotation_id, partner_id
  ) AS annotations
FROM days
GROUP BY event_date
ORDER BY event_date
