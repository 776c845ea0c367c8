-- The view with narrower decimals: products in DuckDB have at most 38 digits.
WITH
dated AS (
  SELECT currency, rate, valid_from, lead(valid_from) OVER (PARTITION BY currency ORDER BY valid_from) AS valid_to
  FROM rates
  WHERE currency NOT IN (SELECT reporting_currency FROM settings)
  UNION ALL
  SELECT reporting_currency, CAST(1 AS DECIMAL(16, 8)), DATE '1970-01-01', NULL
  FROM settings
),
priced AS (
  SELECT d.currency, d.event_date, r.rate * c.unit AS price
  FROM (SELECT DISTINCT currency, event_date FROM billing_day
    WHERE event_date < $as_of AND kind NOT IN ('payment_failed', 'payment_succeeded')) d
  JOIN currencies c ON c.code = d.currency
  JOIN dated r
    ON r.currency = d.currency
    AND r.valid_from <= d.event_date
    AND (r.valid_to IS NULL OR d.event_date < r.valid_to)
)
SELECT
  b.event_date,
  coalesce(m.survivor, b.partner_id) AS partner_id,
  b.product,
  b.kind,
  sum(CAST(b.amount_minor AS DECIMAL(17, 0)) * p.price) AS amount,
  coalesce(sum(CAST(b.amount_minor AS DECIMAL(17, 0)) * p.price)
    FILTER (WHERE b.kind IN ('usage', 'subscription', 'commission')), 0) AS gross
FROM billing_day b
JOIN priced p ON p.currency = b.currency AND p.event_date = b.event_date
LEFT JOIN merge_map m ON m.partner_id = b.partner_id
WHERE b.event_date < $as_of AND b.kind NOT IN ('payment_failed', 'payment_succeeded')
GROUP BY ALL
