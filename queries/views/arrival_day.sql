/*---
description = "quality_day before as_of"
owner = "partner-analytics"
grain = ["stream", "event_date"]
tags = ["quality"]

[columns]
stream = { type = "Utf8", description = "api-calls, billing-events, partner-events or support-events" }
event_date = { type = "Date32" }
rows = { type = "Int64", unit = "events", description = "each once" }
copies = { type = "Int64", unit = "copies", description = "beyond the first of an event, those that compaction dropped included" }
late = { type = "Int64", unit = "events", description = "flagged late, among rows" }

[[checks]]
unique = ["stream", "event_date"]
---*/
SELECT stream, event_date, rows, copies, late
FROM quality_day
WHERE event_date < $as_of
