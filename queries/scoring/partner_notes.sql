/*---
description = "What people noted of each partner and how they judged it, newest first; of partners merged into it too"
owner = "partner-analytics"
grain = ["partner_id", "at", "by", "sentiment", "note", "noted_of"]
tags = ["internal"]

[columns]
partner_id = { type = "Utf8" }
at = { type = "Timestamp" }
by = { type = "Utf8", description = "who wrote it" }
sentiment = { type = "Int64", description = "1, poor, to 5, good; NULL for a note alone" }
note = { type = "Utf8" }
noted_of = { type = "Utf8", description = "the partner's id as it was given" }
---*/
WITH
records AS (
  SELECT
    partner_id,
    "at",
    "by",
    CAST(NULL AS BIGINT) AS sentiment,
    note
  FROM notes
  UNION
  SELECT
    partner_id,
    "at",
    "by",
    sentiment,
    note
  FROM sentiment
)
SELECT
  coalesce(m.survivor, r.partner_id) AS partner_id,
  r."at",
  r."by",
  r.sentiment,
  r.note,
  r.partner_id AS noted_of
FROM records r
LEFT JOIN merge_map m ON m.partner_id = r.partner_id
ORDER BY
  coalesce(m.survivor, r.partner_id),
  r."at" DESC,
  r."by",
  r.sentiment,
  r.note,
  r.partner_id
