SELECT date_trunc('hour', occurred_at) AS hour, CAST(quantile_disc(latency_us, 0.95) AS DOUBLE) AS p95
FROM api_calls
GROUP BY 1
