/*---
description = "The days with an explanation: of each annotation the newest row, those withdrawn left out"
owner = "partner-analytics"
grain = ["annotation_id"]
tags = ["internal"]

[columns]
annotation_id = { type = "Utf8" }
partner_id = { type = "Utf8", description = "NULL for the whole platform" }
first_day = { type = "Date32" }
last_day = { type = "Date32", description = "inclusive" }
text = { type = "Utf8" }
by = { type = "Utf8", description = "who wrote it" }
at = { type = "Timestamp", description = "when it was written" }
calm = { type = "Boolean", description = "scores leave the days out; otherwise charts only mark them" }

[[checks]]
unique = ["annotation_id"]
---*/
WITH
-- An annotation holds for its days from the moment it is made: $as_of does not matter.
numbered AS (
  SELECT
    annotation_id,
    partner_id,
    first_day,
    last_day,
    "text",
    "by",
    "at",
    withdrawn,
    coalesce(calm, true) AS calm,
    row_number() OVER (
      PARTITION BY annotation_id
      ORDER BY "at" DESC, withdrawn DESC, "by", partner_id, first_day, last_day, "text", calm
    ) AS place
  FROM annotations
  GROUP BY annotation_id, partner_id, first_day, last_day, "text", "by", "at", withdrawn, calm
)
SELECT
  annotation_id,
  partner_id,
  first_day,
  last_day,
  "text",
  "by",
  "at",
  calm
FROM numbered
WHERE place = 1 AND NOT withdrawn
ORDER BY annotation_id
