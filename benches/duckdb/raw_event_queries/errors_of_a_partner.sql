-- The errors of one partner by day, status and endpoint.
SELECT event_date, status, endpoint, count(*) AS errors
FROM api_calls
WHERE partner_id = 'p-000039' AND status >= 400
GROUP BY event_date, status, endpoint
