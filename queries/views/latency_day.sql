/*---
description = "latency_histogram before as_of, with merges. Rows of partners merged together stand side by side, so merge their histograms"
owner = "partner-analytics"
slice = "partner_id"
tags = ["traffic", "latency"]

[columns]
event_date = { type = "Date32" }
partner_id = { type = "Utf8" }
environment = { type = "Utf8" }
product = { type = "Utf8" }
buckets = { type = "List", description = "as in latency_histogram; merge_histograms adds them up" }
---*/
SELECT
  h.event_date,
  coalesce(m.survivor, h.partner_id) AS partner_id,
  h.environment,
  h.product,
  h.buckets
FROM latency_histogram h
LEFT JOIN merge_map m ON m.partner_id = h.partner_id
WHERE h.event_date < $as_of
