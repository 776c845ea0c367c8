/*---
description = "The steps of onboarding that rules may ask for: what a partner did in the sandbox before as_of, and what it signed"
owner = "partner-analytics"
grain = ["partner_id"]
tags = ["internal"]

[columns]
partner_id = { type = "Utf8" }
sandbox_calls = { type = "Int64", unit = "calls", description = "of the 28 days before as_of" }
sandbox_success_rate = { type = "Float64", unit = "share", description = "of these calls; NULL without any" }
terms_signed = { type = "Boolean" }
payment_method_added = { type = "Boolean" }
production_requested = { type = "Boolean" }
production_approved = { type = "Boolean" }

[[checks]]
unique = ["partner_id"]
---*/
WITH sandbox AS (
  SELECT partner_id, sum(calls) AS calls, sum(successes) AS successes
  FROM usage_day
  WHERE environment = 'sandbox'
    AND event_date >= CAST($as_of - INTERVAL '28 days' AS DATE)
    AND event_date < CAST($as_of AS DATE)
  GROUP BY partner_id
)
SELECT
  p.partner_id,
  coalesce(s.calls, 0) AS sandbox_calls,
  CAST(s.successes AS DOUBLE) / s.calls AS sandbox_success_rate,
  f.terms_signed IS NOT NULL AS terms_signed,
  f.payment_method_added IS NOT NULL AS payment_method_added,
  f.production_requested IS NOT NULL AS production_requested,
  f.production_approved IS NOT NULL AS production_approved
FROM partners AS p
LEFT JOIN sandbox AS s ON s.partner_id = p.partner_id
LEFT JOIN first_steps AS f ON f.partner_id = p.partner_id
ORDER BY p.partner_id
