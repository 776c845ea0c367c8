-- The 95th percentile of the latency of each hour, within 1 %.
SELECT date_trunc('hour', occurred_at) AS hour, histogram_percentile(latency_histogram(latency_us), 0.95) AS p95
FROM api_calls
GROUP BY 1
