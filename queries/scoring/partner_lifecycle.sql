/*---
description = "When each partner registered, first called, went live and last succeeded: what stages and onboarding are told from"
owner = "partner-analytics"
grain = ["partner_id"]
tags = ["internal"]

[columns]
partner_id = { type = "Utf8" }
segment = { type = "Utf8" }
registered_at = { type = "Timestamp" }
first_call_at = { type = "Timestamp", description = "the earliest success in any environment" }
last_call_at = { type = "Timestamp", description = "the last call of any status in any environment" }
live_at = { type = "Timestamp", description = "the earliest success in production" }
last_success_at = { type = "Timestamp", description = "the last success in production" }

[[checks]]
unique = ["partner_id"]
---*/
SELECT
  partner_id,
  segment,
  registered AS registered_at,
  first_call AS first_call_at,
  last_call_at,
  live AS live_at,
  last_success AS last_success_at
FROM partners
ORDER BY partner_id
