/*---
description = "billing_day before as_of, with merges and in the reporting currency, exact: minor units × the latest rate on or before the day. Credits and refunds are positive here and subtracted by who reads them; payments are no money and left out"
owner = "partner-analytics"
grain = ["event_date", "partner_id", "product", "kind"]
slice = "partner_id"
tags = ["revenue"]
keep = true

[columns]
event_date = { type = "Date32" }
partner_id = { type = "Utf8" }
product = { type = "Utf8" }
kind = { type = "Utf8", description = "usage, subscription, commission, credit or refund" }
amount = { type = "Decimal", unit = "reporting_currency" }
gross = { type = "Decimal", unit = "reporting_currency", description = "amount of usage, subscription and commission; 0 for credits and refunds" }

[[checks]]
unique = ["event_date", "partner_id", "product", "kind"]
---*/
WITH
-- From a rate's first day to the day before the next one's; the reporting currency is 1.
dated AS (
  SELECT
    currency,
    rate,
    valid_from,
    lead(valid_from) OVER (PARTITION BY currency ORDER BY valid_from) AS valid_to
  FROM rates
  WHERE currency NOT IN (SELECT reporting_currency FROM settings)
  UNION ALL
  SELECT reporting_currency, CAST(1 AS DECIMAL(16, 8)), CAST('1970-01-01' AS DATE), NULL
  FROM settings
),
charged AS (
  SELECT event_date, partner_id, product, kind, currency, amount_minor
  FROM billing_day
  WHERE event_date < $as_of AND kind NOT IN ('payment_failed', 'payment_succeeded')
),
-- What one minor unit was worth, for the days and currencies that were billed.
priced AS (
  SELECT d.currency, d.event_date, r.rate * c.unit AS price
  FROM (SELECT DISTINCT currency, event_date FROM charged) d
  JOIN currencies c ON c.code = d.currency
  JOIN dated r
    ON r.currency = d.currency
    AND r.valid_from <= d.event_date
    AND (r.valid_to IS NULL OR d.event_date < r.valid_to)
),
converted AS (
  SELECT
    b.event_date,
    coalesce(m.survivor, b.partner_id) AS partner_id,
    b.product,
    b.kind,
    b.amount_minor * p.price AS amount
  FROM charged b
  JOIN priced p ON p.currency = b.currency AND p.event_date = b.event_date
  LEFT JOIN merge_map m ON m.partner_id = b.partner_id
)
SELECT
  event_date,
  partner_id,
  product,
  kind,
  checked_sum(amount) AS amount,
  checked_sum(amount) FILTER (WHERE kind IN ('usage', 'subscription', 'commission')) AS gross
FROM converted
GROUP BY event_date, partner_id, product, kind
