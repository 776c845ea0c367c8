-- The errors of the partner with the most calls, by day, status and endpoint.
SELECT event_date, status, endpoint, count(*) AS errors
FROM api_calls
WHERE partner_id = $partner AND status >= 400
GROUP BY event_date, status, endpoint
