-- Distinct credentials in use in each week.
SELECT CAST(date_trunc('week', occurred_at) AS DATE) AS week, count(DISTINCT credential_id) AS credentials
FROM api_calls
GROUP BY 1
