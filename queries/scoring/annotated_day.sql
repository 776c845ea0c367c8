/*---
description = "The annotations that cover each day, as one text: scores of later days depend on it"
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
    a.annotation_id,
    a.partner_id,
    unnest(generate_series(a.first_day, a.last_day, INTERVAL '1 day')) AS event_date
  FROM annotation AS a
)
SELECT
  CAST(event_date AS DATE) AS event_date,
  string_agg(concat(annotation_id, ':', coalesce(partner_id, '')), ',' ORDER BY annotation_id)
    AS annotations
FROM days
GROUP BY event_date
ORDER BY event_date
