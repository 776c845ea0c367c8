/*---
description = "The 196 dates before each evaluation day, each with its age: the last date before the day has age 1"
owner = "partner-analytics"
grain = ["day", "event_date"]
tags = ["internal"]

[columns]
day = { type = "Date32", description = "evaluation day" }
event_date = { type = "Date32" }
age = { type = "Int64", unit = "days", description = "from event_date to day" }

[[checks]]
unique = ["day", "event_date"]
---*/
SELECT
  e.day,
  e.day - CAST(a.value AS INT) AS event_date,
  a.value AS age
FROM evaluation_day AS e
CROSS JOIN generate_series(1, 196) AS a
ORDER BY e.day, e.day - CAST(a.value AS INT)
