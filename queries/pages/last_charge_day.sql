/*---
description = "The last day on which any partner was charged: gross of later months is not known"
owner = "partner-analytics"
grain = []
tags = ["internal"]

[columns]
charged_on = { type = "Date32", description = "NULL where nobody was charged" }
---*/
SELECT max(event_date) AS charged_on
FROM billing_day
WHERE kind IN ('usage', 'subscription', 'commission') AND event_date < $as_of
