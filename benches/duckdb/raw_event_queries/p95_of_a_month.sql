-- The 95th percentile of each partner's latency in the last month, within 1 %.
SELECT partner_id, histogram_percentile(latency_histogram(latency_us), 0.95) AS p95
FROM api_calls
WHERE event_date >= CAST($as_of - INTERVAL '30 days' AS DATE) AND event_date < CAST($as_of AS DATE)
GROUP BY partner_id
