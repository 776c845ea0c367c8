-- Computes percentiles from the calls.
WITH usage AS (
  SELECT
    month_start(c.event_date) AS month,
    least(next_month(c.event_date), CAST($as_of AS DATE)) AS ends_on,
    coalesce(m.survivor, c.partner_id) AS partner_id,
    count(*) AS calls,
    count(*) FILTER (WHERE c.status >= 500) AS server_errors,
    quantile_disc(c.latency_us, 0.99) / 1000 AS p99_ms
  FROM api_calls c
  LEFT JOIN merge_map m ON m.partner_id = c.partner_id
  WHERE c.environment = 'production' AND c.event_date < CAST($as_of AS DATE)
  GROUP BY ALL
)
SELECT
  u.month,
  u.partner_id,
  s.target,
  (u.calls - u.server_errors) / u.calls AS availability,
  s.latency_target_ms,
  u.p99_ms,
  coalesce((u.calls - u.server_errors) / u.calls < s.target, FALSE)
    OR coalesce(u.p99_ms > s.latency_target_ms, FALSE) AS breached
FROM usage u
JOIN plan_history p
  ON p.partner_id = u.partner_id
  AND CAST(p.since AS DATE) < u.ends_on
  AND (p.until IS NULL OR CAST(p.until AS DATE) >= u.ends_on)
JOIN sla s ON s.plan = p.plan
WHERE s.target IS NOT NULL OR s.latency_target_ms IS NOT NULL
ORDER BY u.month, u.partner_id
