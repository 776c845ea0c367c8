/*---
description = "How many partners there are before as_of"
owner = "partner-analytics"
grain = []
tags = ["internal"]

[columns]
partners = { type = "Int64", unit = "partners" }
---*/
SELECT count(*) AS partners
FROM partners
