-- Calls and errors of every product and day.
SELECT
  event_date,
  product,
  count(*) AS calls,
  count(*) FILTER (WHERE status >= 400 AND status < 500) AS client_errors,
  count(*) FILTER (WHERE status >= 500) AS server_errors
FROM api_calls
GROUP BY event_date, product
