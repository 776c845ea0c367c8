-- Computes percentiles from the calls.
SELECT
  month_start(c.event_date) AS month,
  c.product,
  count(DISTINCT coalesce(m.survivor, c.partner_id)) AS partners,
  count(*) AS calls,
  count(*) FILTER (WHERE c.status >= 200 AND c.status < 400) / count(*) AS success_rate,
  quantile_disc(c.latency_us, 0.95) / 1000 AS p95_ms
FROM api_calls c
LEFT JOIN merge_map m ON m.partner_id = c.partner_id
WHERE c.environment = 'production' AND c.event_date < CAST($as_of AS DATE)
GROUP BY month_start(c.event_date), c.product
ORDER BY month, c.product NULLS LAST
