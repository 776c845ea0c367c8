-- The calls of the last month by status.
SELECT status, count(*) AS calls
FROM api_calls
WHERE event_date >= CAST($as_of - INTERVAL '30 days' AS DATE) AND event_date < CAST($as_of AS DATE)
GROUP BY status
