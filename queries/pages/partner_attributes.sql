/*---
description = "What the pages say of each partner besides its figures"
owner = "partner-analytics"
grain = ["partner_id"]
tags = ["internal"]

[columns]
partner_id = { type = "Utf8" }
name = { type = "Utf8" }
segment = { type = "Utf8" }
plan = { type = "Utf8" }
manager = { type = "Utf8" }
region = { type = "Utf8" }
integration_level = { type = "Utf8" }

[[checks]]
unique = ["partner_id"]
---*/
SELECT
  partner_id,
  name,
  segment,
  plan,
  manager,
  region,
  CAST(integration_level AS VARCHAR) AS integration_level
FROM partners
ORDER BY partner_id
