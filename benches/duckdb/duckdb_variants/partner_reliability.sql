-- Computes percentiles from the calls.
WITH calls AS (
  SELECT coalesce(m.survivor, c.partner_id) AS partner_id, c.status, c.latency_us
  FROM api_calls c
  LEFT JOIN merge_map m ON m.partner_id = c.partner_id
  WHERE c.environment = 'production'
    AND c.event_date >= CAST($as_of - INTERVAL '28 days' AS DATE)
    AND c.event_date < CAST($as_of AS DATE)
)
SELECT
  partner_id,
  count(*) AS calls,
  count(*) FILTER (WHERE status >= 200 AND status < 400) / count(*) AS success_rate,
  count(*) FILTER (WHERE status >= 400 AND status < 500 AND status <> 429) / count(*) AS client_error_rate,
  count(*) FILTER (WHERE status = 401 OR status = 403) / count(*) AS auth_failure_rate,
  count(*) FILTER (WHERE status = 429) / count(*) AS throttled_rate,
  count(*) FILTER (WHERE status >= 500) / count(*) AS server_error_rate,
  quantile_disc(latency_us, 0.5) / 1000 AS p50_ms,
  quantile_disc(latency_us, 0.95) / 1000 AS p95_ms,
  quantile_disc(latency_us, 0.99) / 1000 AS p99_ms,
  count(*) / 28 AS calls_per_day
FROM calls
GROUP BY partner_id
ORDER BY partner_id
