-- Active partners of each month, and how many of them are new.
WITH active AS (
  SELECT DISTINCT partner_id, month_start(event_date) AS month
  FROM api_calls
  WHERE environment = 'production' AND status >= 200 AND status < 400
),
neighbours AS (
  SELECT month, lag(month) OVER (PARTITION BY partner_id ORDER BY month) AS before
  FROM active
)
SELECT month, count(*) AS active, count(*) FILTER (WHERE before IS NULL) AS new
FROM neighbours
GROUP BY month
