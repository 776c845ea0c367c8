SELECT partner_id, CAST(quantile_disc(latency_us, 0.95) AS DOUBLE) AS p95
FROM api_calls
WHERE event_date >= CAST($as_of - INTERVAL '30 days' AS DATE) AND event_date < CAST($as_of AS DATE)
GROUP BY partner_id
