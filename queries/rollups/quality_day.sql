/*---
description = "Events of each stream by day: how many there are, how many copies came beside them, how many came late"
owner = "partner-analytics"
grain = ["stream", "event_date"]
tags = ["quality"]
reads = { api_calls = "same", partner_events = "same", billing_events = "same", support_events = "same", arrivals = "same" }

[columns]
stream = { type = "Utf8", description = "api-calls, billing-events, partner-events or support-events" }
event_date = { type = "Date32" }
rows = { type = "Int64", unit = "events", description = "each once" }
copies = { type = "Int64", unit = "copies", description = "beyond the first of an event, those that compaction dropped included" }
late = { type = "Int64", unit = "events", description = "flagged late, among rows" }

[[checks]]
unique = ["stream", "event_date"]
[[checks]]
sql = "SELECT * FROM this WHERE rows < 1 OR copies < 0 OR late > rows"
---*/
SELECT
  stream,
  event_date,
  sum(events) AS rows,
  sum(arrived) - sum(events) AS copies,
  sum(late) AS late
FROM (
  SELECT 'api-calls' AS stream, event_date, count(*) AS events, count(CASE WHEN late THEN 1 END) AS late, 0 AS arrived
  FROM api_calls
  GROUP BY event_date
  UNION ALL
  SELECT 'partner-events' AS stream, event_date, count(*) AS events, count(CASE WHEN late THEN 1 END) AS late, 0 AS arrived
  FROM partner_events
  GROUP BY event_date
  UNION ALL
  SELECT 'billing-events' AS stream, event_date, count(*) AS events, count(CASE WHEN late THEN 1 END) AS late, 0 AS arrived
  FROM billing_events
  GROUP BY event_date
  UNION ALL
  SELECT 'support-events' AS stream, event_date, count(*) AS events, count(CASE WHEN late THEN 1 END) AS late, 0 AS arrived
  FROM support_events
  GROUP BY event_date
  UNION ALL
  SELECT stream, event_date, 0 AS events, 0 AS late, records AS arrived
  FROM arrivals
) AS counted
GROUP BY stream, event_date
ORDER BY stream, event_date
