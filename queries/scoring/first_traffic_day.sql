/*---
description = "The first date with production calls before as_of"
owner = "partner-analytics"
grain = []
tags = ["internal"]

[columns]
first_day = { type = "Date32", description = "NULL without production calls" }
---*/
SELECT min(event_date) AS first_day
FROM usage_day
WHERE environment = 'production'
