/*---
description = "Payments of each partner that came or failed in the 90 days before each evaluation day, and the failures that none has followed"
owner = "partner-analytics"
grain = ["day", "partner_id"]
tags = ["internal"]

[columns]
day = { type = "Date32", description = "evaluation day" }
partner_id = { type = "Utf8", description = "with a payment that came or failed in [day − 90 d, day)" }
payments = { type = "Int64", unit = "payments", description = "came or failed" }
failed = { type = "Int64", unit = "payments" }
open = { type = "Int64", unit = "payments", description = "failed, and no payment of any invoice has come at that instant or later, as in the metric payment_failures" }
open_days = { type = "Int64", unit = "days", description = "from the date of the first that is open to the day; NULL without one" }

[[checks]]
unique = ["day", "partner_id"]
[[checks]]
sql = "SELECT * FROM this WHERE payments < 1 OR open > failed OR failed > payments OR (open = 0) <> (open_days IS NULL) OR open_days < 1 OR open_days > 90"
---*/
WITH
seen AS (
  SELECT
    e.day,
    p.partner_id,
    p.kind,
    p.occurred_at,
    max(CASE WHEN p.kind = 'payment_succeeded' THEN p.occurred_at END)
      OVER (PARTITION BY e.day, p.partner_id) AS last_paid_at
  FROM evaluation_day AS e
  CROSS JOIN payments AS p
  WHERE CAST(p.occurred_at AS DATE) < e.day
    AND CAST(p.occurred_at AS DATE) >= e.day - 90
),
judged AS (
  SELECT
    day,
    partner_id,
    kind = 'payment_failed' AS has_failed,
    kind = 'payment_failed' AND (last_paid_at IS NULL OR occurred_at > last_paid_at) AS is_open,
    CAST(CAST(day AS INT) - CAST(CAST(occurred_at AS DATE) AS INT) AS BIGINT) AS days
  FROM seen
)
SELECT
  day,
  partner_id,
  count(*) AS payments,
  count(*) FILTER (WHERE has_failed) AS failed,
  count(*) FILTER (WHERE is_open) AS open,
  max(days) FILTER (WHERE is_open) AS open_days
FROM judged
GROUP BY day, partner_id
ORDER BY day, partner_id
